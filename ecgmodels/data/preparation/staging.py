"""A dataset's folder appears whole or not at all: it is written under a hidden name first."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ecgmodels.data.storage.shards import sync_to_disk

_LOCK = "lock"
_DATASET = "dataset"


@dataclass(frozen=True, kw_only=True)
class Staging:
    """The folder to write into, until it is moved to where it belongs."""

    folder: Path
    target: Path

    def move_into_place(self) -> None:
        """Rename the folder, in one step; it is on the disk when this returns."""
        for folder in (*(path for path in self.folder.rglob("*") if path.is_dir()), self.folder):
            sync_to_disk(folder)
        self.folder.rename(self.target)
        sync_to_disk(self.target.parent)


@contextmanager
def staging_folder(out: Path) -> Iterator[Staging]:
    """Yield an empty folder next to `out`, gone on leaving unless it was moved into place.

    What processes that were killed have left of earlier attempts at `out` is removed.
    """
    target = out.resolve()  # so that the name is right for "." too
    made = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    # On the same file system as its destination, so that the rename is one step.
    around = Path(tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".partial", dir=target.parent))
    try:
        with _held(around / _LOCK):
            folder = around / _DATASET  # mkdtemp makes folders that nobody else can read
            folder.mkdir()
            yield Staging(folder=folder, target=target)
    finally:
        shutil.rmtree(around, ignore_errors=True)
        with suppress(OSError):  # not empty: the dataset is there, or something of others
            for parent in made:
                parent.rmdir()


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a lock, by which others see that this process lives."""
    # It gets its name when it is held: a lock seen free is that of a process that has ended.
    unnamed = path.with_suffix(".new")
    descriptor = os.open(unnamed, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with suppress(OSError):  # a file system without locks: nobody will sweep here
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unnamed.rename(path)
        yield
    finally:
        os.close(descriptor)


def _sweep(target: Path) -> None:
    """Remove the staging folders for `target` whose process has ended."""
    ours = re.compile(rf"\.{re.escape(target.name)}-[a-z0-9_]{{8}}\.partial")  # mkdtemp's letters
    for folder in target.parent.iterdir():
        if ours.fullmatch(folder.name) and _abandoned(folder / _LOCK):
            shutil.rmtree(folder, ignore_errors=True)


def _abandoned(lock: Path) -> bool:
    """Whether nobody holds the lock; where that cannot be told, somebody might."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except OSError:  # being made just now, or not a staging folder
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
