"""One line on a terminal that is written over as work goes on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self, TextIO

if TYPE_CHECKING:
    from ecgmodels.errors import DataError

SECONDS_BETWEEN = 0.1


class ProgressLine:
    """Called with (done, in all); says nothing where nobody watches.

    unit: what is counted, in the singular.
    failures: (name, error) of each that failed, in the order told to `fail`.
    """

    def __init__(self, unit: str, stream: TextIO) -> None:
        self.unit = unit
        self.failures: list[tuple[str, DataError]] = []
        self.total = 0
        self._stream = stream
        self._begun_s = self._shown_s = time.monotonic()
        self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._open:  # whatever is said next begins a line
            print(file=self._stream, flush=True)
            self._open = False

    def fail(self, name: str, error: DataError) -> None:
        """Count one that failed."""
        self.failures.append((name, error))

    def __call__(self, done: int, total: int) -> None:
        self.total = total
        now_s = time.monotonic()
        last = done == total
        if not self._stream.isatty() or (now_s - self._shown_s < SECONDS_BETWEEN and not last):
            return
        self._shown_s = now_s
        rate = done / max(now_s - self._begun_s, 1e-3)
        failed = f", {len(self.failures)} failed" if self.failures else ""
        line = f"{self.unit} {done}/{total}, {rate:.3g}/s{failed}"
        print(f"\r{line:<60}", end="\n" if last else "", file=self._stream, flush=True)
        self._open = not last
