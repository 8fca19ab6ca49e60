"""Short temporary folders for Ray, swept up even after an owner that was killed."""

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "ecg"
_OWNED = "owned"
_LONGEST_PARENT = 24


@contextlib.contextmanager
def short_temp_dir() -> Iterator[Path]:
    """A new folder with a short name: Ray's socket names in it must stay under 107 bytes.

    Folders that killed processes left behind are removed first. A folder has an owner as long as a
    process holds the lock on its file; the operating system lets go of it when the process dies.
    """
    parent = Path(tempfile.gettempdir())
    if len(str(parent)) > _LONGEST_PARENT:
        parent = Path("/tmp")
    _sweep(parent)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    with open(folder / _OWNED, "w") as owned:
        fcntl.flock(owned, fcntl.LOCK_EX)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _sweep(parent: Path) -> None:
    for owned in parent.glob(f"{_PREFIX}*/{_OWNED}"):
        # Another user's folder cannot be opened, and is left alone.
        with contextlib.suppress(OSError), open(owned, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(owned.parent, ignore_errors=True)
