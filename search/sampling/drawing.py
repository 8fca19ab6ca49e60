"""Drawing candidates without storing anything: what a sampler of our own chooses from.

A space is define-by-run: only `Problem.suggest` knows which parameters there are. So a trial that
answers by chance, or with the parameters of another candidate here and there changed, is how a
point of the space is drawn; its exact costs are known before anybody hears of it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from search.named_failures import with_named_failures
from search.problem import Problem, candidate_key
from spaces import CandidateRefused

_STEP = 0.15
"""Standard deviation of a changed number, as a share of its range (of the logarithms', if log)."""


class DrawnTrial:
    """Answers `suggest_*` from known parameters where it has them, and by chance otherwise.

    Args:
        rng: the source of chance.
        near: parameters of another candidate; those that this one asks for too are taken over.
        changed: how likely one of them is changed instead, a number to one nearby.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        near: Mapping[str, Any] | None = None,
        *,
        changed: float = 0.0,
    ) -> None:
        self.params: dict[str, Any] = {}
        self.distributions: dict[str, BaseDistribution] = {}
        self._rng = rng
        self._near = near or {}
        self._changed = changed

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return float(self._suggest(name, _floats(low, high, log, step)))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return int(self._suggest(name, _ints(low, high, log, step)))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._suggest(name, _shared_choices(tuple(choices)))

    def _suggest(self, name: str, distribution: BaseDistribution) -> Any:
        if name not in self.params:
            self.params[name] = self._value(name, distribution)
            self.distributions[name] = distribution
        return self.params[name]

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        if isinstance(distribution, CategoricalDistribution):
            choices = distribution.choices
            kept = self._near.get(name, _ABSENT)
            if kept in choices and not self._changes():
                return kept
            return choices[int(self._rng.integers(len(choices)))]
        assert isinstance(distribution, FloatDistribution | IntDistribution)
        kept = self._near.get(name, _ABSENT)
        if kept is _ABSENT or not distribution.low <= kept <= distribution.high:
            return from_unit(distribution, float(self._rng.random()))
        if not self._changes():
            return kept
        moved = to_unit(distribution, kept) + self._rng.normal(0.0, _STEP)
        return from_unit(distribution, min(abs(1.0 - abs(1.0 - moved)), 1.0))  # off the walls

    def _changes(self) -> bool:
        return bool(self._rng.random() < self._changed)


# The same range is one object: it is asked for some hundred times a proposal, and compared.
@functools.lru_cache(maxsize=4096)
def _floats(low: float, high: float, log: bool, step: float | None) -> FloatDistribution:
    return FloatDistribution(low, high, log=log, step=step)


@functools.lru_cache(maxsize=4096)
def _ints(low: int, high: int, log: bool, step: int) -> IntDistribution:
    return IntDistribution(low, high, log=log, step=step)


@functools.lru_cache(maxsize=4096)
def _choices(choices: tuple[Any, ...], kinds: tuple[type, ...]) -> CategoricalDistribution:
    # By the kinds too: 1 and True are equal.
    return CategoricalDistribution(choices)


def _shared_choices(choices: tuple[Any, ...]) -> CategoricalDistribution:
    try:
        return _choices(choices, tuple(map(type, choices)))
    except TypeError:  # a list among them: Optuna warns, and takes it
        return CategoricalDistribution(choices)


def shared(distribution: BaseDistribution) -> BaseDistribution:
    """Return the one object that stands for all distributions like this one."""
    if isinstance(distribution, CategoricalDistribution):
        return _shared_choices(distribution.choices)
    if isinstance(distribution, FloatDistribution):
        return _floats(distribution.low, distribution.high, distribution.log, distribution.step)
    assert isinstance(distribution, IntDistribution)
    return _ints(distribution.low, distribution.high, distribution.log, distribution.step)


_ABSENT = object()


@dataclass(frozen=True, kw_only=True, eq=False)
class Draft:
    """A candidate that nobody has heard of yet."""

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    candidate: Any
    key: str
    costs: Mapping[str, float]


def draft(problem: Problem, trial: DrawnTrial) -> Draft | None:
    """Return what the space makes of a drawn trial; None where it refuses it.

    Raises:
        StudyError: the problem's code failed; the message says where, and with which parameters.
    """
    problem = with_named_failures(problem)
    try:
        candidate = problem.suggest(trial)
    except CandidateRefused:
        return None
    return Draft(
        params=trial.params,
        distributions=trial.distributions,
        candidate=candidate,
        key=candidate_key(problem, candidate),
        costs=dict(problem.cost(candidate)),
    )


def to_unit(distribution: FloatDistribution | IntDistribution, value: float) -> float:
    """Return where in its range a number lies, from 0 to 1; by its logarithm where that counts."""
    return float(to_units(distribution, np.array([value], dtype=np.float64))[0])


def to_units(
    distribution: FloatDistribution | IntDistribution, values: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Return `to_unit` of each value, float64 [value]; NaN stays NaN."""
    low, high = _ends(distribution)
    if high <= low:
        return np.full_like(values, 0.5)
    if distribution.log:
        return np.asarray(np.log(values / low) / math.log(high / low))
    return (values - low) / (high - low)


def from_unit(distribution: FloatDistribution | IntDistribution, place: float) -> float | int:
    """Return the number at a place from 0 to 1 of its range; each whole number has equal room."""
    low, high = _ends(distribution)
    if distribution.log:
        value = low * (high / low) ** place
    else:
        value = low + (high - low) * place
    step = distribution.step
    if step is not None:
        value = distribution.low + step * round((value - distribution.low) / step)
    value = min(max(value, distribution.low), distribution.high)
    return int(value) if isinstance(distribution, IntDistribution) else float(value)


def _ends(distribution: FloatDistribution | IntDistribution) -> tuple[float, float]:
    """Return the range, by half a step wider where numbers are whole."""
    low, high = float(distribution.low), float(distribution.high)
    if isinstance(distribution, IntDistribution):
        low, high = low - 0.5 * distribution.step, high + 0.5 * distribution.step
        low = max(low, 0.5) if distribution.log else low
    return low, high
