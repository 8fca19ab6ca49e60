"""Drafts to choose a proposal from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from search.objectives import Bound
from search.problem import Problem
from search.sampling.drawing import Draft, DrawnTrial, draft


class Pool:
    """Drafts within bounds, none of them known or twice."""

    def __init__(
        self,
        problem: Problem,
        bounds: Sequence[Bound],
        known_keys: Collection[str],
        rng: np.random.Generator,
    ) -> None:
        self.drafts: list[Draft] = []
        self._problem = problem
        self._bounds = bounds
        self._known = known_keys
        self._drawn: set[str] = set()
        self._rng = rng

    def draw(self, count: int) -> None:
        """Add drafts drawn by chance, from so many trials."""
        for _ in range(count):
            self._add(DrawnTrial(self._rng))

    def change(self, origins: Sequence[Mapping[str, Any]], count: int, changed: float) -> None:
        """Add drafts that are like one of `origins` but for some parameters.

        Args:
            changed: how likely a parameter is changed.
        """
        for _ in range(count):
            origin = origins[int(self._rng.integers(len(origins)))]
            self._add(DrawnTrial(self._rng, origin, changed=changed))

    def _add(self, trial: DrawnTrial) -> None:
        drafted = draft(self._problem, trial)
        if drafted is None or drafted.key in self._known or drafted.key in self._drawn:
            return
        if any(bound.violation(drafted.costs) > 0 for bound in self._bounds):
            return
        self._drawn.add(drafted.key)
        self.drafts.append(drafted)
