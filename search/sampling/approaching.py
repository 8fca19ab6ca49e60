"""Finds candidates within bounds that hardly any candidate keeps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution

from search.objectives import Bound, bound_violations
from search.problem import Problem
from search.sampling.drawing import Draft, DrawnTrial, draft, from_unit, to_unit

_CHANGED = 0.3
"""How likely a parameter of that one is changed."""
_TO_AN_END = 0.1
"""How likely a number that is changed becomes an end of its range."""
_MAGNITUDES = 4.0
"""Steps of numbers that are changed: from so many powers of ten below their range up to that."""


def approaching(
    problem: Problem,
    bounds: Sequence[Bound],
    rng: np.random.Generator,
    *,
    by_chance: int,
    near: int,
) -> Iterator[Draft | None]:
    """Yield drafts drawn by chance, then such as are like whichever came nearest to the bounds.

    None stands for one that the space refuses. Within bounds, those that follow are like one that
    keeps them.
    """
    nearest: tuple[float, Draft] | None = None
    for number in range(by_chance + near):
        trial = DrawnTrial(rng)
        if nearest is not None and number >= by_chance:
            trial = _ApproachingTrial(rng, nearest[1].params, changed=_CHANGED)
        drawn = draft(problem, trial)
        if drawn is not None:
            distance = sum(max(0.0, excess) for excess in bound_violations(bounds, drawn.costs))
            if nearest is None or distance < nearest[0]:
                nearest = distance, drawn
        yield drawn


class _ApproachingTrial(DrawnTrial):
    """Is like a known candidate but for some numbers, a little or a lot, up to the ends of their
    ranges: costs are extreme there, and what keeps narrow bounds lies close to what does not."""

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        known = self._near.get(name)
        if known is None or not isinstance(distribution, FloatDistribution | IntDistribution):
            return super()._value(name, distribution)
        if distribution.low <= known <= distribution.high and not self._changes():
            return known
        if self._rng.random() < _TO_AN_END:
            return distribution.low if self._rng.random() < 0.5 else distribution.high
        step = 10.0 ** self._rng.uniform(-_MAGNITUDES, 0.0)
        moved = to_unit(distribution, known) + self._rng.normal(0.0, step)
        return from_unit(distribution, min(max(moved, 0.0), 1.0))
