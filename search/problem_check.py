"""Tries a problem out on candidates drawn by chance, before anything is written.

Objectives and bounds cannot change once a study has begun, so a cost misspelt there must not get
that far, nor a bound that no candidate keeps; and what costs a problem of one's own has is known
from a candidate only. Its mistakes show here, too, instead of in the middle of a search.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cluster.resources import Resources
from ecgmodels.configs import nearest_hint
from search.errors import StudyError
from search.named_failures import with_named_failures
from search.objectives import Bound, Objective, bound_violations, exact_value, is_exact
from search.problem import Problem, candidate_dict, candidate_resources, measured_costs
from search.sampling.approaching import approaching
from search.sampling.drawing import Draft, DrawnTrial, draft
from search.sampling.pinned import exact_bounds, pinned_draft
from spaces import CandidateRefused

_TRIES = 200
"""Draws, until the space does not refuse one."""
_DRAWS = 1000
"""By chance, until a candidate keeps the bounds; then as many like the one nearest to that."""
_SHAPED = 300
"""Draws, to see what trials take."""
_PATIENCE_S = 20.0
"""Of drawing where a problem takes its time: a search draws less, and finds out for itself."""


def require_sound(
    problem: Problem, objectives: Sequence[Objective], bounds: Sequence[Bound]
) -> None:
    """Refuse a problem that fails on a candidate, or lacks a cost that the study file names.

    Raises:
        StudyError: the message names the objective, the bound, or what the problem raised.
    """
    rng = np.random.default_rng(0)
    drafts = (draft(problem, DrawnTrial(rng)) for _ in range(_TRIES))
    drawn = next((found for found in drafts if found is not None), None)
    if drawn is not None:  # else `require_reachable` says so, unless something is enqueued
        candidate_dict(drawn.candidate)
        candidate_resources(with_named_failures(problem), drawn.candidate)
        _require_costs(drawn, measured_costs(problem), objectives, bounds)


def require_reachable(problem: Problem, bounds: Sequence[Bound]) -> None:
    """Refuse a space in which no candidate can be found that keeps the bounds.

    None of 1,000 drawn by chance does, nor any of as many that go on from the one nearest to that,
    so that rare candidates are found: a search would turn all its proposals down.

    Drawing so many may take 20 s; of a problem that is slower nothing is refused.

    Raises:
        StudyError: the message names the bound and what the nearest candidates have.
    """
    bounds = exact_bounds(problem, bounds)
    rng = np.random.default_rng(0)
    found: list[Draft] = []
    until_s = time.monotonic() + _PATIENCE_S
    for drawn in approaching(problem, bounds, rng, by_chance=_DRAWS, near=_DRAWS):
        if time.monotonic() > until_s:
            return
        if drawn is not None:
            if max(bound_violations(bounds, drawn.costs), default=0.0) <= 0.0:
                return
            found.append(drawn)
    raise _out_of_reach(bounds, found) if found else _all_refused(problem)


def drawn_shapes(
    problem: Problem, bounds: Sequence[Bound], given: Sequence[Mapping[str, Any]], seed: int
) -> list[Resources]:
    """Return what trials of candidates within bounds take: of enqueued ones, and of some drawn."""
    if not hasattr(problem, "resources"):
        return [Resources()]
    exact, rng = exact_bounds(problem, bounds), np.random.default_rng(0)
    drafts = [pinned_draft(problem, bounds, params, seed) for params in given]
    until_s = time.monotonic() + _PATIENCE_S
    in_time = itertools.takewhile(lambda _: time.monotonic() < until_s, range(_SHAPED))
    drawn = (draft(problem, DrawnTrial(rng)) for _ in in_time)
    drafts += [
        each
        for each in drawn
        if each is not None and max(bound_violations(exact, each.costs), default=0.0) <= 0
    ]
    problem = with_named_failures(problem)
    return list(dict.fromkeys(candidate_resources(problem, each.candidate) for each in drafts))


def _out_of_reach(bounds: Sequence[Bound], found: Sequence[Draft]) -> StudyError:
    hint = "widen the bounds or the space, or enqueue a candidate that keeps them"
    for bound in bounds:
        if all(bound.violation(each.costs) > 0 for each in found):
            return StudyError(
                f"bounds.{bound.name}: none of {len(found):,} candidates drawn keeps it; "
                f"{_nearest(bound, found)}",
                hint=hint,
            )
    names = ", ".join(f"bounds.{bound.name}" for bound in bounds)
    return StudyError(
        f"none of {len(found):,} candidates drawn keeps all of {names} at once", hint=hint
    )


def _nearest(bound: Bound, found: Sequence[Draft]) -> str:
    """Tell what the candidates nearest to a bound have, all of which lie outside."""
    values = [exact_value(bound.name, each.costs) for each in found]
    below = [value for value in values if bound.min is not None and value < bound.min]
    above = [value for value in values if bound.max is not None and value > bound.max]
    if not above:
        return f"min is {bound.min:,.10g}, the largest has {max(below):,.10g}"
    if not below:
        return f"max is {bound.max:,.10g}, the smallest has {min(above):,.10g}"
    return (
        f"from {bound.min:,.10g} to {bound.max:,.10g} is asked for, the nearest have "
        f"{max(below):,.10g} and {min(above):,.10g}"
    )


def _all_refused(problem: Problem) -> StudyError:
    rng = np.random.default_rng(0)
    try:
        problem.suggest(DrawnTrial(rng))
    except CandidateRefused as error:
        reason = f": {error}"
    else:
        reason = ""
    return StudyError(
        f"the space refuses all of {2 * _DRAWS:,} candidates drawn{reason}",
        hint="widen its ranges, or let suggest() refuse less",
    )


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
