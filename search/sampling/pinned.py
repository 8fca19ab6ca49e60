"""Drawing candidates of which some parameters are given: by a user, or by an earlier study."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from ecgmodels.configs import nearest_hint
from search.errors import StudyError
from search.objectives import Bound, exact_value, is_exact
from search.problem import Problem, measured_costs
from search.sampling.drawing import Draft, DrawnTrial, draft
from search.sampling.samplers import derived_seed
from spaces import CandidateRefused

_TRIES = 200
"""Draws of what is not given, until one goes with what is."""
_STEP_TOLERANCE = 1e-8


class ParameterError(StudyError):
    """A given value that the space does not have, or a parameter that has no effect."""


class PinnedTrial(DrawnTrial):
    """Answers with given values, and by chance where there are none.

    Args:
        strict: a value that the space does not have is an error; else it is drawn by chance, too.
    """

    def __init__(self, rng: np.random.Generator, given: Mapping[str, Any], *, strict: bool) -> None:
        super().__init__(rng)
        self._given = given
        self._strict = strict

    def _value(self, name: str, distribution: BaseDistribution) -> Any:
        if name in self._given:
            problem = misfit(self._given[name], distribution)
            if problem is None:
                return _converted(self._given[name], distribution)
            if self._strict:
                raise ParameterError(
                    f"'{name}' {problem}", hint="change the value, or widen the space"
                )
        return super()._value(name, distribution)

    @property
    def kept(self) -> dict[str, Any]:
        """The given parameters that this trial was asked for and has as they were given."""
        given = self._given
        return {n: v for n, v in self.params.items() if n in given and _same(v, given[n])}


def misfit(value: Any, distribution: BaseDistribution) -> str | None:
    """Return what keeps the value from being one of the distribution's; None when it is."""
    if isinstance(distribution, CategoricalDistribution):
        if any(_same(value, choice) for choice in distribution.choices):
            return None
        shown = ", ".join(str(choice) for choice in distribution.choices)
        return f"is {value!r}, which is none of {shown}"
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"is {value!r}, which is no number"
    if isinstance(distribution, IntDistribution) and not isinstance(value, int):
        return f"is {value}, which is no whole number"
    if not distribution.low <= value <= distribution.high:
        return f"is {value}, outside {distribution.low} to {distribution.high}"
    step = distribution.step
    if step is not None:
        steps = (value - distribution.low) / step
        if abs(steps - round(steps)) > _STEP_TOLERANCE:
            return f"is {value}, between the steps of {step} from {distribution.low}"
    return None


def pinned_draft(
    problem: Problem,
    bounds: Sequence[Bound],
    given: Mapping[str, Any],
    seed: int,
    known_keys: Collection[str] = (),
) -> Draft:
    """Return a candidate within bounds that has all given parameters, the rest by chance.

    The same seed gives the same one, or the first that is not known; when all of them are known,
    a known one.

    Raises:
        StudyError: there is none; the message names the parameter or bound that is in the way.
    """
    rng = np.random.default_rng(derived_seed(seed, "given", fingerprint(given)))
    bounds = exact_bounds(problem, bounds)
    asked: set[str] = set()
    refusal: StudyError | CandidateRefused | None = None
    known: Draft | None = None
    for _ in range(_TRIES):
        trial = PinnedTrial(rng, given, strict=True)
        try:
            found = draft(problem, trial)
            if found is None:
                problem.suggest(PinnedTrial(rng, trial.params, strict=True))  # says why
        except (ParameterError, CandidateRefused) as error:
            refusal = refusal or error
            found = None
        asked.update(trial.params)
        if found is not None and set(given) <= set(trial.params):
            broken = _broken(bounds, found)
            if broken is not None:
                refusal = refusal or broken
            elif found.key not in known_keys:
                return found
            else:
                known = known or found
        if set(trial.params) <= set(given):
            break  # nothing is left to chance
    if known is not None:
        return known
    raise _explained(given, asked, refusal)


def shared_params(
    problem: Problem, bounds: Sequence[Bound], params: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Return those of another study's parameters that a candidate within bounds can have here.

    Empty when there is none.
    """
    rng = np.random.default_rng(derived_seed(seed, "shared", fingerprint(params)))
    bounds = exact_bounds(problem, bounds)
    for _ in range(_TRIES):
        trial = PinnedTrial(rng, params, strict=False)
        found = draft(problem, trial)
        if found is not None and _broken(bounds, found) is None:
            return trial.kept
    return {}


def exact_bounds(problem: Problem, bounds: Sequence[Bound]) -> list[Bound]:
    """Return the bounds on costs that are known without measuring."""
    measured = measured_costs(problem)
    return [bound for bound in bounds if not is_exact(bound.name, measured)]


def fingerprint(params: Mapping[str, Any]) -> str:
    """Return what tells given parameters apart: 16 hexadecimal digits."""
    canonical = json.dumps(dict(params), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _broken(bounds: Sequence[Bound], found: Draft) -> StudyError | None:
    for bound in bounds:
        if bound.violation(found.costs) > 0:
            limits = (("at least", bound.min), ("at most", bound.max))
            asked = " and ".join(
                f"{word} {limit:,g}" for word, limit in limits if limit is not None
            )
            return StudyError(
                f"bounds.{bound.name} asks for {asked}, and it has "
                f"{exact_value(bound.name, found.costs):,g}",
                hint="change the parameters, or the bound",
            )
    return None


def _explained(
    given: Mapping[str, Any], asked: set[str], refusal: StudyError | CandidateRefused | None
) -> StudyError:
    for name in given:
        if name not in asked and not isinstance(refusal, ParameterError):
            return ParameterError(
                f"'{name}' is no parameter that the space searches beside the others",
                hint=nearest_hint(name, sorted(asked)),
            )
    if isinstance(refusal, CandidateRefused):
        return StudyError(f"the space refuses it: {refusal}", hint=refusal.hint)
    return refusal or ParameterError(
        f"{', '.join(given)} never go together in the space", hint="leave one of them out"
    )


def _same(value: Any, choice: Any) -> bool:
    """Whether both are the same option: True is not 1 here, though 1 is 1.0."""
    return bool(value == choice) and isinstance(value, bool) == isinstance(choice, bool)


def _converted(value: Any, distribution: BaseDistribution) -> Any:
    if isinstance(distribution, FloatDistribution):
        return float(value)
    if isinstance(distribution, CategoricalDistribution):
        return next(choice for choice in distribution.choices if _same(value, choice))
    return value
