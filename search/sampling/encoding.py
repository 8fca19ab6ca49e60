"""Candidates as vectors: what a model of accuracy sees of parameters and exact costs.

A number is its place in its range, from 0 to 1 (by the logarithm where the space says so; what has
none is at the low end). Of a categorical parameter each choice is a coordinate, so that any two
choices are 1 apart. A parameter that a candidate does not have, or in another space has as a text
in place of a number, is halfway, or a choice of its own. Exact costs are added: how
accurate a model can be depends on nothing as much as on its size.

Coordinates of one parameter (or cost) are a group: they share a length scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.sampling.drawing import to_units

FloatArray = npt.NDArray[np.float64]
_APART = 2.0**-0.5
"""One coordinate of a choice: two that differ are 1 apart."""


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """What there is to encode of one candidate."""

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    sizes: Sequence[float]
    """Its exact objectives, in units in which 1 is much."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """What they, and others, are as they were stated."""


class Encoder:
    """Turns candidates into rows of coordinates."""

    def __init__(self, candidates: Sequence[Encoded]) -> None:
        """Learn from `candidates` which parameters there are, and their ranges.

        A parameter that all of them have alike is no coordinate.
        """
        spread: dict[str, BaseDistribution] = {}
        for candidate in candidates:
            for name, distribution in candidate.distributions.items():
                spread[name] = _joined(spread.get(name), distribution)
        self._distributions = {
            name: spread[name] for name in sorted(spread) if _differs(name, candidates)
        }
        sizes = len(candidates[0].sizes)
        self.names = (*self._distributions, *(f"size {i}" for i in range(sizes)))
        """Of the groups."""
        widths = [_width(distribution) for distribution in self._distributions.values()]
        self.group = np.repeat(np.arange(len(self.names)), [*widths, *([1] * sizes)])
        """int64 [coordinate]: the number of the parameter or cost."""

    def rows(self, candidates: Sequence[Encoded]) -> FloatArray:
        """Return float64 [candidate, coordinate]."""
        blocks = [_columns(name, of, candidates) for name, of in self._distributions.items()]
        sizes = np.array([candidate.sizes for candidate in candidates], dtype=np.float64)
        return np.concatenate([*blocks, sizes.reshape(len(candidates), -1)], axis=1)


def _joined(known: BaseDistribution | None, other: BaseDistribution) -> BaseDistribution:
    """Return the distribution that covers both: ranges may depend on other parameters."""
    if known is other or known is None or known == other or type(known) is not type(other):
        return known or other
    if isinstance(known, CategoricalDistribution) and isinstance(other, CategoricalDistribution):
        choices: dict[Any, Any] = {}
        for choice in (*known.choices, *other.choices):
            choices.setdefault(_hashable(choice), choice)
        return CategoricalDistribution(tuple(choices.values()))
    assert isinstance(known, FloatDistribution | IntDistribution)
    assert isinstance(other, FloatDistribution | IntDistribution)
    return FloatDistribution(
        min(known.low, other.low), max(known.high, other.high), log=known.log and other.log
    )


def _differs(name: str, candidates: Sequence[Encoded]) -> bool:
    first = candidates[0].params.get(name, _ABSENT)
    return any(candidate.params.get(name, _ABSENT) != first for candidate in candidates)


def _columns(
    name: str, distribution: BaseDistribution, candidates: Sequence[Encoded]
) -> FloatArray:
    if isinstance(distribution, CategoricalDistribution):
        last = len(distribution.choices)
        place = {_hashable(choice): i for i, choice in enumerate(distribution.choices)}
        columns = np.zeros((len(candidates), last + 1))
        given = (candidate.params.get(name, _ABSENT) for candidate in candidates)
        chosen = [place.get(_hashable(choice), last) for choice in given]
        columns[range(len(candidates)), chosen] = _APART
        return columns
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    values = _numbers([candidate.params.get(name, np.nan) for candidate in candidates])
    if distribution.log:
        values = np.where(values <= 0.0, distribution.low, values)
    places = to_units(distribution, values)
    return np.where(np.isnan(places), 0.5, places)[:, None]


def _numbers(values: Sequence[Any]) -> FloatArray:
    """Return numbers as they are, and NaN for whatever is none."""
    if not {*map(type, values)} <= {int, float}:  # as a rule they are, and it is asked for often
        values = [value if isinstance(value, int | float) else np.nan for value in values]
    return np.array(values, dtype=np.float64)


def _hashable(choice: Any) -> Any:
    """Return a choice as a key; lists are what storages make of tuples."""
    return tuple(map(_hashable, choice)) if isinstance(choice, list | tuple) else choice


def _width(distribution: BaseDistribution) -> int:
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices) + 1
    return 1


_ABSENT = object()
