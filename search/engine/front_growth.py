"""How much a front has grown since an earlier epoch."""

from __future__ import annotations

import numpy as np

from search.engine.halving import Point
from search.engine.pareto import hypervolume


class FrontGrowth:
    """Keeps each result that nothing before it was as good as, and what the worst ones were."""

    def __init__(self) -> None:
        self._points: list[np.ndarray] = []
        self._epochs: list[int] = []
        self._front: np.ndarray | None = None
        self._worst: np.ndarray | None = None

    def add(self, point: Point, *, epoch: int) -> None:
        """Add a result, float [objective], all minimised; `epoch` counts all of a study's."""
        new = np.asarray(point, dtype=np.float64)
        if self._front is None or self._worst is None:
            self._front, self._worst = np.empty((0, len(new))), new
        self._worst = np.maximum(self._worst, new)
        if np.any(np.all(self._front <= new, axis=1)):
            return
        self._front = np.vstack([self._front[~np.all(self._front >= new, axis=1)], new])
        self._points.append(new)
        self._epochs.append(epoch)

    def since(self, epoch: int) -> float:
        """Return which part of today's hypervolume came after `epoch`; 0 where there is none.

        The reference is the worst value seen of each objective, now and then.
        """
        if self._front is None or self._worst is None:
            return 0.0
        now = hypervolume(self._front, self._worst)
        earlier = [p for p, e in zip(self._points, self._epochs, strict=True) if e <= epoch]
        then = hypervolume(earlier, self._worst) if earlier else 0.0
        return (now - then) / now if now > 0 else 0.0
