"""Whether a study that goes on had tried all there is: then nothing is proposed a second time."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from search.objectives import Bound
from search.problem import Problem
from search.sampling.approaching import approaching
from search.sampling.beginning import ENQUEUED_ATTRIBUTE
from search.sampling.drawing import Draft, DrawnTrial, draft
from search.sampling.pinned import exact_bounds, fingerprint
from search.sampling.samplers import derived_seed
from search.study.study import Study

_TURNED_DOWN = 400
"""Proposals in a row: as many as `search.sampling.proposer` tries before it finds nothing new."""
_DRAWS = 400
"""By chance, and as many near candidates that are known."""
_CHANGED = 0.5
"""How likely a parameter of theirs is changed."""


def is_exhausted(
    study: Study,
    problem: Problem,
    *,
    bounds: Sequence[Bound],
    enqueued: Sequence[Mapping[str, Any]],
    seed: int,
) -> bool:
    """Return whether the last proposals were all turned down, and there is still nothing new.

    What is drawn to see that is written down nowhere. So a space that was widened since, or another
    candidate that was enqueued, is noticed.
    """
    last = max(study.records, default=-1)
    if sum(number > last for number in study.rejections) < _TURNED_DOWN:
        return False
    trials = (*study.records, *study.rejections)
    taken = {study.template(number).system_attrs.get(ENQUEUED_ATTRIBUTE) for number in trials}
    if any(fingerprint(given) not in taken for given in enqueued):
        return False
    known = {record.key for record in study.records.values()}
    known |= {rejection.key for rejection in study.rejections.values()}
    origins = [record.params for record in study.records.values()]
    rng = np.random.default_rng(derived_seed(seed, "exhausted", len(trials)))
    bounds = exact_bounds(problem, bounds)
    drawn = (draft(problem, trial) for _ in range(_DRAWS) for trial in _trials(rng, origins))
    rare = approaching(problem, bounds, rng, by_chance=_DRAWS, near=_DRAWS)
    return not any(_is_new(each, bounds, known) for each in itertools.chain(drawn, rare))


def _trials(rng: np.random.Generator, origins: Sequence[Mapping[str, Any]]) -> list[DrawnTrial]:
    trials = [DrawnTrial(rng)]
    if origins:
        near = origins[int(rng.integers(len(origins)))]
        trials.append(DrawnTrial(rng, near, changed=_CHANGED))
    return trials


def _is_new(drafted: Draft | None, bounds: Sequence[Bound], known: Collection[str]) -> bool:
    return (
        drafted is not None
        and drafted.key not in known
        and all(bound.violation(drafted.costs) <= 0 for bound in bounds)
    )
