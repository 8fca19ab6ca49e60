"""Who drives a study: one process at a time, on whichever machine.

The driver holds the operating system's lock (flock) on `driver.lock`, which goes when its process
does, however that ends: on one machine no lock is ever stale. Where machines share the folder, the
file's text, which names the driver and changes with every beat, settles what the lock cannot:

- Locks reach from machine to machine, and another one has it: it drives. (A file server may keep
  the lock of a machine that crashed until that is back, or for good: the file can be deleted.)
- Locks count on one machine only, or there are none (some mounts of NFS, FUSE and object stores):
  the lock is granted although another machine may drive. So where the text names another machine we
  watch it, for several beats: a driver that lives changes it, and one that is gone does not. No two
  clocks are compared.
- A driver that slept for as long (a suspended machine) may wake up replaced. At its next beat it
  finds a text that is not its own, and `DriverLock.lost` says so.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from search.errors import StudyError

LOCK_NAME = "driver.lock"
BEAT_S = 5.0
BEATS_WATCHED = 6
"""File servers stall for some seconds now and then: a living driver may miss a beat or two."""

_HELD = (errno.EWOULDBLOCK, errno.EACCES)
_NO_LOCKS_HERE = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


class DriverLock:
    """The hold on a study, kept up by a thread."""

    def __init__(self, path: Path, descriptor: int, beat_s: float) -> None:
        self.lost = False
        """Whether another driver took the study over; this one must stop."""
        self._path = path
        self._descriptor = descriptor
        self._beat_s = beat_s
        self._token = secrets.token_hex(8)
        self._beats = 0
        self._since = time.strftime("%Y-%m-%d %H:%M:%S %z")
        self._over = threading.Event()
        self._write()
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)
        self._thread.start()

    def release(self) -> None:
        """Let go; the text goes too, so that nobody has to watch it."""
        self._over.set()
        self._thread.join(2 * self._beat_s)
        if self._thread.is_alive():  # the file system hangs: the process's end will let go
            return
        if not self.lost:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def require_kept(self) -> None:
        """Check that nobody took the study over.

        Raises:
            StudyError: somebody did.
        """
        if self.lost:
            raise StudyError(
                f"study {self._path.parent} was taken over by {_holder(_text(self._path))}",
                hint="this driver was not heard of for too long, and has stopped; the other one "
                "goes on with the study",
            )

    def _keep_beating(self) -> None:
        while not self._over.wait(self._beat_s):
            text = _text(self._path)
            if text and self._token not in text:
                self.lost = True
                return
            with contextlib.suppress(OSError):  # a full disk, a file server away: at the next beat
                self._write()

    def _write(self) -> None:
        self._beats += 1
        holder = {
            "process": os.getpid(),
            "host": socket.gethostname(),
            "machine": _machine(),
            "since": self._since,
            "command": " ".join(sys.argv),
            "token": self._token,
            "beats": self._beats,
        }
        # One write that never gets shorter: readers see the old text or the new one.
        os.pwrite(self._descriptor, json.dumps(holder).encode(), 0)
        os.fsync(self._descriptor)


@contextlib.contextmanager
def driver_lock(
    folder: Path, *, beat_s: float = BEAT_S, tell: Callable[[str], None] = lambda line: None
) -> Iterator[DriverLock]:
    """Hold the study as its only driver.

    Args:
        tell: told when it has to be watched for a while whether another machine drives.

    Raises:
        StudyError: another process holds it; the message names process, machine and start.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOCK_NAME
    descriptor = _open_locked(path)
    try:
        _require_gone(path, descriptor, beat_s, tell)
        os.ftruncate(descriptor, 0)
        lock = DriverLock(path, descriptor, beat_s)
    except BaseException:
        os.close(descriptor)
        raise
    try:
        yield lock
    finally:
        lock.release()


def _open_locked(path: Path) -> int:
    """Return a descriptor of the file at `path`, locked as far as the file system has locks."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD:
                os.close(descriptor)
                raise _refusal(path, _text(path)) from error
            if error.errno not in _NO_LOCKS_HERE:
                os.close(descriptor)
                raise
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)  # whoever had it removed the file meanwhile


def _require_gone(path: Path, descriptor: int, beat_s: float, tell: Callable[[str], None]) -> None:
    """Check that whoever the text names drives no more; see the module's docstring."""
    before = _text(path)
    if not before or (_named(before).get("machine") == _machine() and _has_locks(descriptor)):
        return
    tell(
        f"waiting  {beat_s * BEATS_WATCHED:.0f} s, to see whether {_holder(before)} "
        "still drives the study"
    )
    deadline = time.monotonic() + beat_s * BEATS_WATCHED
    while time.monotonic() < deadline:
        time.sleep(beat_s / 10)
        now = _text(path)
        if not now:
            return
        if now != before:
            raise _refusal(path, now)


def _has_locks(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # ours already, if there are any
    except OSError:
        return False
    return True


def _refusal(path: Path, text: str) -> StudyError:
    folder = path.parent
    return StudyError(
        f"study {folder} is already driven by {_holder(text)}",
        hint="wait for it, or stop it (Ctrl-C there, `ray job stop` for a job); "
        f"`ecgsearch pareto {folder}` shows how far it is. If its machine is gone for good, "
        f"delete {path}",
    )


def _holder(text: str) -> str:
    named = _named(text)
    try:
        return f"process {named['process']} on {named['host']} since {named['since']}"
    except KeyError:
        return "another process"


def _named(text: str) -> dict[str, Any]:
    try:
        named = json.loads(text)
    except ValueError:
        return {}
    return named if isinstance(named, dict) else {}


def _text(path: Path) -> str:
    """Return the file's text as the file server has it now: opening asks for it."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _machine() -> str:
    """Return what tells this machine, since it was started, from all others."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()
