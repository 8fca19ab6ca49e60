"""Who cannot reach the front any more, even if it learns as well as any candidate before it.

The best that can be hoped for of a candidate is its result so far, made better by as much as any
other candidate has become better from that epoch on: by the learning curves so far, of all of them,
those that were stopped on the way too. When some candidate that is no larger has more than that
already, the rest of the training is wasted.

The rule can be wrong: the one candidate that blooms later than any before it is stopped as well. So
a seeded few that it would stop are let through, and what becomes of them is told
(`search.reports.optimism_audit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from search.engine.halving import Point
from search.errors import StudyError

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Optimism:
    """When hope is given up."""

    min_curves: int = 5
    """So many curves have to have been seen from an epoch on before anybody is stopped there."""
    audit_share: float = 0.1
    """The share of those it would stop that are let through."""

    def __post_init__(self) -> None:
        if self.min_curves < 1 or not 0.0 <= self.audit_share <= 1.0:
            raise StudyError(
                f"optimism with min_curves {self.min_curves} and audit_share "
                f"{self.audit_share:g} cannot be",
                hint="min_curves is at least 1, audit_share from 0 to 1",
            )


class Improvements:
    """By how much candidates became better from each epoch on, at most, objective by objective.

    Improvements are counted from an epoch to the next mark (a rung, or full length), and added up:
    few candidates train to the end, but each that reaches a mark says something of the way there.
    """

    def __init__(self, marks: Sequence[int]) -> None:
        """Begin without a curve; `marks` ascend, the last is full length."""
        self._marks = tuple(marks)
        self._most: dict[int, FloatArray] = {}
        self._seen: dict[int, int] = {}

    def add(self, curve: Sequence[Point]) -> None:
        """Take a curve up to the epoch that was just told: points, minimised, from epoch 1 on."""
        last = len(curve)
        if last not in self._marks:
            return
        begin = max((mark for mark in self._marks if mark < last), default=1)
        best = np.asarray(curve[last - 1], dtype=np.float64)
        for epoch in range(last - 1, begin - 1, -1):
            now = np.asarray(curve[epoch - 1], dtype=np.float64)
            best = np.minimum(best, now)
            self._most[epoch] = np.maximum(self._most.get(epoch, 0.0), now - best)
            self._seen[epoch] = self._seen.get(epoch, 0) + 1

    def hoped(self, epoch: int, point: Point, min_curves: int) -> FloatArray | None:
        """Return the best that can come of a candidate; None where too little has been seen.

        Args:
            epoch: how far it has come.
            point: float [objective], where it stands, minimised.
            min_curves: of each part of the way to full length.
        """
        ways = [epoch, *(mark for mark in self._marks[:-1] if mark > epoch)]
        if any(self._seen.get(way, 0) < min_curves for way in ways):
            return None
        return np.asarray(point, dtype=np.float64) - sum(self._most[way] for way in ways)
