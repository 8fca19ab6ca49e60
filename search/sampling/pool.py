"""Drafts to choose a proposal from."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from search.objectives import Bound
from search.problem import Problem
from search.sampling.approaching import approaching
from search.sampling.drawing import Draft, DrawnTrial, draft


class Pool:
    """Drafts within bounds, none of them known or twice."""

    def __init__(
        self, problem: Problem, bounds: Sequence[Bound], known_keys: Collection[str]
    ) -> None:
        self.drafts: list[Draft] = []
        self._problem = problem
        self._bounds = bounds
        self._known = known_keys
        self._drawn: set[str] = set()

    def draw(self, count: int, rng: np.random.Generator) -> None:
        """Add drafts drawn by chance, from so many trials."""
        for _ in range(count):
            self._try(DrawnTrial(rng))

    def change(
        self,
        origins: Sequence[Mapping[str, Any]],
        count: int,
        changed: float,
        rng: np.random.Generator,
    ) -> None:
        """Add drafts that are like one of `origins` but for some parameters.

        Args:
            changed: how likely a parameter is changed.
        """
        for _ in range(count):
            origin = origins[int(rng.integers(len(origins)))]
            self._try(DrawnTrial(rng, origin, changed=changed))

    def approach(self, count: int, rng: np.random.Generator) -> None:
        """Add drafts within bounds that chance hardly meets, from so many trials."""
        trials = approaching(
            self._problem, self._bounds, rng, by_chance=count // 4, near=count - count // 4
        )
        for drafted in trials:
            if drafted is not None:
                self.add(drafted)

    def add(self, drafted: Draft) -> None:
        """Add a draft, unless it is known, in the pool already, or out of bounds."""
        if drafted.key in self._known or drafted.key in self._drawn:
            return
        if any(bound.violation(drafted.costs) > 0 for bound in self._bounds):
            return
        self._drawn.add(drafted.key)
        self.drafts.append(drafted)

    def _try(self, trial: DrawnTrial) -> None:
        drafted = draft(self._problem, trial)
        if drafted is not None:
            self.add(drafted)
