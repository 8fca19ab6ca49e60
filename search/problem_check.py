"""Tries a problem out on one candidate, before anything is written.

Objectives and bounds cannot change once a study has begun, so a cost misspelt there must not get
that far; and what costs a problem of one's own has is known from a candidate only. Its mistakes
show here, too, in two lines instead of in the middle of a search.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cluster.resources import Resources
from ecgmodels.configs import nearest_hint
from search.errors import StudyError
from search.objectives import Bound, Objective, exact_value, is_exact
from search.problem import Problem, candidate_dict, candidate_resources, measured_costs
from search.sampling.drawing import Draft, DrawnTrial, draft

_TRIES = 200
"""Draws, until the space does not refuse one."""


def require_sound(
    problem: Problem, objectives: Sequence[Objective], bounds: Sequence[Bound]
) -> None:
    """Refuse a problem that fails on a candidate, or lacks a cost that the study file names.

    Raises:
        StudyError: the message names the objective, the bound, or what the problem raised.
    """
    try:
        drawn = _drawn(problem)
    except Exception as error:  # whatever a user's code raises
        if hasattr(error, "hint"):  # ours: it says what is wrong and how to mend it
            raise
        raise StudyError(
            f"the problem fails on a candidate drawn by chance: {type(error).__name__}: {error}",
            hint="check its suggest, cost, key and resources, or run with --debug to see where",
        ) from error
    if drawn is not None:  # else the search itself says that the space has nothing to offer
        _require_costs(drawn, measured_costs(problem), objectives, bounds)


def _drawn(problem: Problem) -> Draft | None:
    rng = np.random.default_rng(0)
    drafts = (draft(problem, DrawnTrial(rng)) for _ in range(_TRIES))
    drawn = next((found for found in drafts if found is not None), None)
    if drawn is not None:
        candidate_dict(drawn.candidate)
        resources = candidate_resources(problem, drawn.candidate)
        if not isinstance(resources, Resources):
            raise StudyError(
                f"the problem's resources() returned a {type(resources).__name__}",
                hint="let it return cluster.resources.Resources(workers=..., cpus=..., gpus=...)",
            )
    return drawn


def _require_costs(
    drawn: Draft, measured: Sequence[str], objectives: Sequence[Objective], bounds: Sequence[Bound]
) -> None:
    known = (*drawn.costs, *measured)
    named = [(f"bounds.{bound.name}", bound.name) for bound in bounds]
    for objective in objectives:
        if objective.exact:
            named.append((f"objective '{objective.metric}'", objective.metric))
        elif is_exact(objective.metric, known):
            raise StudyError(
                f"objective '{objective.metric}' is a cost, which no epoch measures",
                hint="add exact = true to it",
            )
    for key, name in named:
        if not is_exact(name, known):
            raise StudyError(f"{key}: the problem has no such cost", hint=nearest_hint(name, known))
        if not is_exact(name, measured):
            try:
                exact_value(name, drawn.costs)
            except StudyError as error:
                raise StudyError(f"{key}: {error}", hint=error.hint) from error
