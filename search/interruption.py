"""Signals that ask a command to leave in order."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any


class Interruption:
    """Whether somebody asked the search to leave (Ctrl-C, SIGTERM); a second Ctrl-C insists."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self) -> bool:
        return self.requested

    @classmethod
    @contextlib.contextmanager
    def handled(cls) -> Iterator[Interruption]:
        """Listen to signals for as long as the context lasts; in the main thread only."""
        interruption = cls()
        if threading.current_thread() is not threading.main_thread():
            yield interruption
            return
        before = {
            number: signal.signal(number, interruption._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield interruption
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        # At once, by a write that a signal handler may make: leaving takes some seconds.
        os.write(2, b"stopping; running candidates are left at their checkpoints\n")
