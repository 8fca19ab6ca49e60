"""Checksums of shards, computed once a machine and remembered.

What was verified is remembered by path, size and modification time, so that of all the trials of a
node only the first reads the shards twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ecgmodels.data.storage.manifest import ShardEntry
from ecgmodels.data.storage.shards import sha256_of
from ecgmodels.errors import DataError

_HINT = "copy the dataset again from where it was prepared, or delete it and prepare it again"


def check_sizes(folder: Path, shards: Sequence[ShardEntry]) -> None:
    """Raise DataError naming the first shard that is missing or of the wrong size."""
    for shard in shards:
        path = folder / shard.file
        if not path.is_file():
            raise DataError(f"shard {path} is missing", hint=_HINT)
        found = path.stat().st_size
        if found != shard.bytes:
            raise DataError(
                f"shard {path} has {found:,} bytes, expected {shard.bytes:,}", hint=_HINT
            )


def check_checksums(folder: Path, shards: Sequence[ShardEntry], *, remember: bool = True) -> None:
    """Raise DataError naming the first shard whose content is not what the manifest says.

    Args:
        folder: the dataset.
        shards: the shards to check.
        remember: skip shards verified before and unchanged since, and remember these.
    """
    check_sizes(folder, shards)
    cache = _cache_file(folder)
    verified = _recall(cache) if remember else {}
    fresh = {}
    for shard in shards:
        path = folder / shard.file
        fresh[shard.file] = [shard.bytes, path.stat().st_mtime_ns, shard.sha256]
        if verified.get(shard.file) == fresh[shard.file]:
            continue
        found = sha256_of(path)
        if found != shard.sha256:
            raise DataError(
                f"shard {path} is damaged: its SHA-256 is {found[:12]}..., "
                f"expected {shard.sha256[:12]}...",
                hint=_HINT,
            )
    if remember and any(verified.get(file) != entry for file, entry in fresh.items()):
        _remember(cache, verified | fresh)


def cache_folder() -> Path:
    """Return $ECGSEARCH_CACHE, or ~/.cache/ecgsearch."""
    chosen = os.environ.get("ECGSEARCH_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "ecgsearch"


def _cache_file(folder: Path) -> Path:
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
    return cache_folder() / "verified" / f"{name}.json"


def _recall(cache: Path) -> dict[str, list[object]]:
    # A memory that cannot be read is no memory: the checksums are computed again.
    with suppress(OSError, ValueError):
        content = json.loads(cache.read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return content
    return {}


def _remember(cache: Path, verified: dict[str, list[object]]) -> None:
    # A read-only home only costs the next process its time. Renaming keeps readers from half files.
    with suppress(OSError):
        cache.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=cache.parent)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(verified, file)
        os.replace(name, cache)
