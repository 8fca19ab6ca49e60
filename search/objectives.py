"""What a search is after: objectives to optimise and bounds that a candidate has to keep.

Learned objectives (mean_f1) come from training; exact ones (parameters, MACs) are arithmetic and
known before a candidate starts. Inside the search everything is minimised, so a vector of objective
values has the maximised ones negated.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from ecgmodels.configs import nearest_hint
from search.errors import StudyError

# Sizes on a front span three magnitudes; a hypervolume over plain counts sees only the largest.
LOG10_PREFIX = "log10_"


@dataclasses.dataclass(frozen=True)
class Objective:
    """One axis of the front."""

    metric: str
    """Name of a validation metric, of a cost, or `log10_` and the name of a cost."""

    direction: Literal["max", "min"]

    exact: bool = dataclasses.field(default=False, kw_only=True)
    """True: the value is one of the candidate's costs; False: it is learned by training."""

    def __post_init__(self) -> None:
        if not self.metric:
            raise StudyError("an objective has an empty metric", hint='name one, such as "mean_f1"')
        if self.direction not in ("max", "min"):
            raise StudyError(
                f"objective '{self.metric}': direction is 'max' or 'min', not {self.direction!r}",
                hint=nearest_hint(str(self.direction), ("max", "min")),
            )

    def minimised(self, value: float) -> float:
        """Return `value` as the search sees it: negated when the objective is maximised."""
        return -value if self.direction == "max" else value

    # Negation is its own inverse, but call sites should say which way they go.
    natural = minimised


@dataclasses.dataclass(frozen=True)
class Bound:
    """Limits, both included, that a cost has to keep; outside, a candidate is turned down."""

    name: str
    min: float | None = None
    max: float | None = None

    def __post_init__(self) -> None:
        if self.min is None and self.max is None:
            raise StudyError(
                f"bound '{self.name}' has neither min nor max", hint="give it min, max or both"
            )
        if self.min is not None and self.max is not None and self.min > self.max:
            raise StudyError(
                f"bound '{self.name}': min {self.min:g} is above max {self.max:g}",
                hint="swap them",
            )

    def violation(self, costs: Mapping[str, float]) -> float:
        """Return how far the cost lies outside, as a fraction of the limit; 0 or less inside.

        That is Optuna's convention for a constraint. The fraction makes violations of parameters
        (10^5) and of MACs (10^8) comparable where a sampler adds them up.

        Raises:
            StudyError: the candidate has no such cost.
        """
        value = exact_value(self.name, costs)
        excess = [
            sign * (value - limit) / (abs(limit) or 1.0)
            for sign, limit in ((-1.0, self.min), (1.0, self.max))
            if limit is not None
        ]
        return max(excess)


def exact_value(name: str, costs: Mapping[str, float]) -> float:
    """Return the cost called `name`; `log10_NAME` is derived from NAME.

    Raises:
        StudyError: there is no such cost, it is not finite, or it has no logarithm.
    """
    derived = name.startswith(LOG10_PREFIX) and name not in costs
    source = name.removeprefix(LOG10_PREFIX) if derived else name
    value = _found(source, costs, "cost")
    if not derived:
        return value
    if value <= 0.0:
        raise StudyError(
            f"cost '{name}' is the logarithm of {source}, which is {value:g}",
            hint=f"use '{source}' itself",
        )
    return math.log10(value)


def is_exact(name: str, cost_names: Iterable[str]) -> bool:
    """Return whether `name` is one of the costs or the log10 of one: known before training."""
    known = set(cost_names)
    return name in known or (
        name.startswith(LOG10_PREFIX) and name.removeprefix(LOG10_PREFIX) in known
    )


def first_learned(objectives: Sequence[Objective]) -> Objective:
    """Return the objective that a study's models are first of all judged by."""
    return next(objective for objective in objectives if not objective.exact)


def objective_vector(
    objectives: Sequence[Objective], metrics: Mapping[str, float], costs: Mapping[str, float]
) -> tuple[float, ...]:
    """Return one number an objective, in order, all to be minimised.

    Args:
        objectives: what is optimised.
        metrics: what an epoch measured, for the learned objectives.
        costs: the candidate's costs, for the exact ones.

    Raises:
        StudyError: a value is missing, NaN or infinite; the message names the objective.
    """
    return tuple(objective.minimised(_value(objective, metrics, costs)) for objective in objectives)


def bound_violations(bounds: Sequence[Bound], costs: Mapping[str, float]) -> tuple[float, ...]:
    """Return `Bound.violation` of each bound; a candidate is admitted when none is above 0."""
    return tuple(bound.violation(costs) for bound in bounds)


def _value(objective: Objective, metrics: Mapping[str, float], costs: Mapping[str, float]) -> float:
    name = objective.metric
    if objective.exact:
        return exact_value(name, costs)
    if name not in metrics and is_exact(name, costs):
        raise StudyError(
            f"metric '{name}' is missing",
            hint=f"it is a cost: give objective '{name}' exact = true",
        )
    return _found(name, metrics, "metric")


def _found(name: str, values: Mapping[str, float], kind: str) -> float:
    if name not in values:
        hint = nearest_hint(name, values) if values else f"there is no {kind} at all"
        raise StudyError(f"{kind} '{name}' is missing", hint=hint)
    value = float(values[name])
    if not math.isfinite(value):
        raise StudyError(
            f"{kind} '{name}' is {value}, not a finite number",
            hint="training diverged or a class is absent: look at the candidate's other metrics",
        )
    return value
