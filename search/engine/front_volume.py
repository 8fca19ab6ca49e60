"""The hypervolume of a front that grows point by point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from search.engine.pareto import hypervolume


class FrontVolume:
    """Keeps the points that none dominates, and the hypervolume below a reference."""

    def __init__(self, reference: Sequence[float]) -> None:
        """Begin without a point; `reference` float [objective] is the worst that counts."""
        self._reference = np.asarray(reference, dtype=np.float64)
        self._front = np.empty((0, len(self._reference)))
        self.value = 0.0

    def add(self, point: Sequence[float]) -> None:
        """Add a point, float [objective], all minimised."""
        new = np.asarray(point, dtype=np.float64)
        if np.any(new >= self._reference) or np.any(np.all(self._front <= new, axis=1)):
            return
        beaten = np.all(self._front >= new, axis=1)
        self._front = np.vstack([self._front[~beaten], new])
        self.value = hypervolume(self._front, self._reference)
