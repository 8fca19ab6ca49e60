"""Sizes and checksums of a dataset's files, computed once a machine and remembered.

What was verified is remembered by path, size, number of the inode and times, so that of all the
trials of a node only the first reads the files twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from ecgmodels.data.storage.shards import sha256_of
from ecgmodels.errors import DataError

HINT = "copy the dataset again from where it was prepared, or delete it and prepare it again"
_HASHING_THREADS = 4
"""One SHA-256 runs at 0.5 to 2 GB/s, less than a disk reads."""


class FileEntry(Protocol):
    """What the manifest says of a shard or of the table of records."""

    @property
    def file(self) -> str:
        """Path in the dataset's folder."""

    @property
    def bytes(self) -> int:
        """Its size."""

    @property
    def sha256(self) -> str:
        """Of its content, hex."""


def check_sizes(folder: Path, files: Sequence[FileEntry]) -> None:
    """Raise DataError naming the first file that is missing or of the wrong size."""
    for entry in files:
        path = folder / entry.file
        try:
            found = path.stat().st_size
        except OSError as error:
            raise DataError(f"{path} is missing", hint=HINT) from error
        if found != entry.bytes:
            raise DataError(f"{path} has {found:,} bytes, expected {entry.bytes:,}", hint=HINT)


def check_checksums(folder: Path, files: Sequence[FileEntry], *, remember: bool = True) -> None:
    """Raise DataError naming the first file whose content is not what the manifest says.

    Args:
        folder: the dataset.
        files: those to check.
        remember: skip files verified before and unchanged since, and remember these.
    """
    check_sizes(folder, files)
    memory = Memory(folder)
    evidence = {entry.file: evidence_of(folder, entry) for entry in files}
    fresh = [
        entry
        for entry in files
        if not (remember and memory.recalls(entry.file, evidence[entry.file]))
    ]
    if not fresh:
        return
    with ThreadPoolExecutor(min(_HASHING_THREADS, len(fresh))) as pool:
        found = pool.map(_readable_sha256, [folder / entry.file for entry in fresh])
        for entry, sha256 in zip(fresh, found, strict=True):
            if sha256 != entry.sha256:
                pool.shutdown(cancel_futures=True)
                raise DataError(
                    f"{folder / entry.file} is damaged: its SHA-256 is {sha256[:12]}..., "
                    f"expected {entry.sha256[:12]}...",
                    hint=HINT,
                )
    if remember:
        memory.keep({entry.file: evidence[entry.file] for entry in fresh})


def _readable_sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}", hint=HINT) from error


def evidence_of(folder: Path, entry: FileEntry) -> list[Any]:
    """Return what tells whether a file has changed since it was verified.

    Whoever writes a file may set its modification time back (rsync, tar and os.utime do), but not
    the time of its last change of status; a file that took its place has another inode.
    """
    status = (folder / entry.file).stat()
    return [entry.bytes, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, entry.sha256]


def cache_folder() -> Path:
    """Return $ECGSEARCH_CACHE, or ~/.cache/ecgsearch; without a home a folder for temporary files.

    Containers run under user numbers that have neither $HOME nor an entry in the user table.
    """
    chosen = os.environ.get("ECGSEARCH_CACHE")
    if chosen:
        return Path(chosen)
    try:
        return Path.home() / ".cache" / "ecgsearch"
    except RuntimeError:
        return temporary_folder()


@lru_cache(maxsize=1)
def temporary_folder() -> Path:
    """Return a folder of this user's among the temporary ones."""
    folder = Path(tempfile.gettempdir()) / f"ecgsearch-{os.getuid()}"
    with suppress(OSError):
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.lstat()
        # What others may write there could call a damaged file sound.
        if status.st_uid == os.getuid() and not status.st_mode & 0o022:
            return folder
    return Path(tempfile.mkdtemp(prefix="ecgsearch-"))


class Memory:
    """What was found sound in one dataset's folder, on this machine."""

    def __init__(self, folder: Path) -> None:
        """Read what is remembered of `folder`."""
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:32]
        self._file = cache_folder() / "verified" / f"{name}.json"
        self._known = self._read()

    def recalls(self, name: str, evidence: object) -> bool:
        """Whether `name` was found sound when the evidence was the same."""
        return self._known.get(name) == evidence

    def keep(self, sound: Mapping[str, object]) -> None:
        """Remember names and evidence."""
        self._known = {**self._read(), **sound}
        # A read-only home only costs the next process its time.
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            # Renaming keeps readers from half files.
            descriptor, name = tempfile.mkstemp(dir=self._file.parent)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self._known, file)
            os.replace(name, self._file)

    def _read(self) -> dict[str, object]:
        # A memory that cannot be read is no memory: everything is verified again.
        with suppress(OSError, ValueError):
            content = json.loads(self._file.read_text(encoding="utf-8"))
            if isinstance(content, dict):
                return content
        return {}
