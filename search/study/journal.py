"""The file a study lives in: Optuna's journal, opened safely after any kind of death.

Optuna writes a line an operation. A process killed in the middle of a write leaves half a line:
reading tolerates it, but the next append would glue itself to it and make the file unreadable. A
process killed while it holds Optuna's own lock leaves the lock behind, which stalls the next one
for 30 s. Both are mended here, by whoever holds the driver lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from search.errors import StudyError

JOURNAL_NAME = "journal.log"
LOCK_NAME = "driver.lock"
_STALE_LOCK_S = 1.0  # Optuna holds its lock for a write of milliseconds


@contextlib.contextmanager
def driver_lock(folder: Path) -> Iterator[None]:
    """Hold the study as its only driver; the operating system lets go of it when a process dies.

    Raises:
        StudyError: another process holds it; the message names process, machine and start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    with open(path, "a+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise StudyError(
                f"study {folder} is already driven by {_holder(path)}",
                hint="wait for it, or stop it (Ctrl-C there, `ray job stop` for a job); "
                f"`ecgsearch pareto {folder}` shows how far it is",
            ) from error
        file.truncate(0)
        file.write(
            json.dumps(
                {
                    "process": os.getpid(),
                    "host": socket.gethostname(),
                    "since": time.strftime("%Y-%m-%d %H:%M:%S"),
                    "command": " ".join(sys.argv),
                }
            )
        )
        file.flush()
        try:
            yield
        finally:
            file.truncate(0)


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


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        return f"process {holder['process']} on {holder['host']} since {holder['since']}"
    except (OSError, ValueError, KeyError):
        return "another process"
