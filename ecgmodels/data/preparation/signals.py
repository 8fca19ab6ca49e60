"""Keeping a Ctrl-C out of a moment that must not be broken off."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put off what SIGINT and SIGTERM call in Python until the context is left.

    A mask would not do: another thread may take the signal, and Python handles it in this one.
    """
    if threading.current_thread() is not threading.main_thread():  # where no handler ever runs
        yield
        return
    heard: list[tuple[int, FrameType | None]] = []

    def hear(number: int, frame: FrameType | None) -> None:
        heard.append((number, frame))

    handlers = {
        number: handler
        for number in (signal.SIGINT, signal.SIGTERM)
        if callable(handler := signal.getsignal(number))
    }
    for number in handlers:
        signal.signal(number, hear)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for first, frame in heard[:1]:
            handlers[signal.Signals(first)](first, frame)
