"""Which candidates none dominates by their latest results, kept while results come in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from search.engine.pareto import front


class LatestFront:
    """The front of the latest points; worked out again only when a result can have changed it."""

    def __init__(self) -> None:
        self._points: dict[int, Sequence[float]] = {}
        self._front: set[int] | None = None

    def add(self, number: int, point: Sequence[float]) -> None:
        """Take a candidate's latest point, in the place of an earlier one."""
        self._points[number] = point
        if self._front is not None and (number in self._front or not self.beats(point)):
            self._front = None

    def remove(self, number: int) -> None:
        """Forget a candidate, if it is known."""
        self._points.pop(number, None)
        if self._front is not None and number in self._front:
            self._front = None

    @property
    def numbers(self) -> set[int]:
        """Those that none dominates."""
        if self._front is None:
            numbers = list(self._points)
            self._front = {numbers[i] for i in front(np.array(list(self._points.values())))}
        return self._front

    def beats(self, point: npt.ArrayLike) -> bool:
        """Return whether somebody's latest point dominates this one, float [objective]."""
        if not self.numbers:
            return False
        others = np.array([self._points[number] for number in self.numbers])
        below = np.all(others <= point, axis=1)
        return bool(np.any(below & np.any(others < point, axis=1)))
