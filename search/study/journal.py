"""The file a study lives in: Optuna's journal, opened safely after any kind of death.

Optuna writes a line an operation. A process killed in the middle of a write leaves half a line:
reading tolerates it, but the next append would glue itself to it and make the file unreadable. A
process killed while it holds Optuna's own lock leaves the lock behind, which stalls the next one
for 30 s. Both are mended here, by whoever holds the driver's lock.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import BinaryIO

JOURNAL_NAME = "journal.log"
_STALE_LOCK_S = 1.0  # Optuna holds its lock for a write of milliseconds


def mend_journal(path: Path) -> int:
    """Cut a torn last line and remove an orphaned lock; call it holding the driver lock.

    Returns:
        The number of bytes cut.
    """
    _remove_orphaned_lock(path)
    if not path.exists():
        return 0
    with open(path, "r+b") as file:
        size = file.seek(0, os.SEEK_END)
        end = _end_of_last_line(file, size)
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
        return size - end


def _end_of_last_line(file: BinaryIO, size: int) -> int:
    """Return the offset just after the last newline (0 when there is none)."""
    block = 1 << 16
    end = size
    while end > 0:
        start = max(0, end - block)
        file.seek(start)
        newline = file.read(end - start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _remove_orphaned_lock(path: Path) -> None:
    # A dashboard may hold it for the milliseconds of a write: only one that stays is orphaned.
    deadline = time.monotonic() + _STALE_LOCK_S
    lock = path.with_name(path.name + ".lock")
    while os.path.lexists(lock):
        if time.monotonic() > deadline:
            lock.unlink(missing_ok=True)
            return
        time.sleep(0.05)
