"""Windows of a record that may become segments: where they lie, which are kept, what they hold."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Windows:
    """Windows of one length over a record at the segments' rate.

    start: int64 [window], may lie before the record.
    samples: length of each.
    beyond: what stands for the signal beyond its ends: "edge", the end sample; "constant", 0.
    """

    start: NDArray[np.int64]
    samples: int
    beyond: Literal["edge", "constant"]

    def __len__(self) -> int:
        return len(self.start)

    def reach_beyond(self, length: int) -> NDArray[np.bool_]:
        """Return bool [window]: it holds samples beyond a record of `length` samples."""
        return (self.start < 0) | (self.start + self.samples > length)

    def valid_samples(self, length: int) -> NDArray[np.int32]:
        """Return int32 [window]: up to where a window holds the record, or repeats its ends."""
        if self.beyond == "edge":
            return np.full(len(self), self.samples, dtype=np.int32)
        return np.minimum(self.samples, length - self.start).astype(np.int32)

    def in_recording(
        self, ratio: Fraction, length: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return start and stop, int64 [window], at the record's own rate, within its length."""
        start = self.start * ratio.denominator // ratio.numerator
        stop = -(-(self.start + self.samples) * ratio.denominator // ratio.numerator)
        return np.clip(start, 0, length), np.clip(stop, 0, length)


class Sieve:
    """Which windows of a record are kept, and how many are not for which reason."""

    def __init__(self, count: int) -> None:
        self.kept = np.ones(count, dtype=np.bool_)
        self._rejected: Counter[str] = Counter()

    def reject(self, bad: NDArray[np.bool_] | bool, reason: str) -> None:
        """Leave out the windows where `bad` is True; those already out keep their first reason."""
        bad = self.kept & bad
        self.note(reason, int(bad.sum()))
        self.kept &= ~bad

    def note(self, reason: str, count: int) -> None:
        """Count what is missing but never had a window."""
        if count:
            self._rejected[reason] += count

    @property
    def rejected(self) -> dict[str, int]:
        """Reason -> count, in the order of the alphabet."""
        return dict(sorted(self._rejected.items()))


def touches(
    unusable: NDArray[np.bool_], start: NDArray[np.int64], stop: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return bool [window]: an unusable sample, bool [time], lies in [start, stop)."""
    sums = np.concatenate([[0], np.cumsum(unusable)])
    return sums[stop] > sums[start]


def cut(signal: NDArray[Any], windows: Windows, kept: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the kept windows of a signal [lead, time] as [segment, lead, time], same dtype."""
    start = windows.start[kept]
    leads, length = signal.shape
    if not len(start):
        return np.empty((0, leads, windows.samples), dtype=signal.dtype)
    before = max(0, -int(start.min()))
    after = max(0, int(start.max()) + windows.samples - length)
    padded = np.pad(signal, ((0, 0), (before, after)), mode=windows.beyond)
    views = np.lib.stride_tricks.sliding_window_view(padded, windows.samples, axis=1)
    return np.ascontiguousarray(views[:, start + before].transpose(1, 0, 2))
