"""Candidates of an earlier study as candidates of a wider space: same keys, same results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.errors import StudyError
from search.objectives import Bound
from search.problem import Problem, measured_costs
from search.sampling.drawing import Draft, draft
from search.sampling.pinned import ParameterError, PinnedTrial
from search.study.records import CandidateRecord, Phase


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What can be taken over from one earlier study."""

    source: str
    """Its folder, as the study file names it."""
    candidates: tuple[tuple[CandidateRecord, Draft, Mapping[str, float]], ...]
    """Record there, the same candidate in the space here, and its costs, measured ones too."""
    left_out: Mapping[str, int]
    """Why -> how many."""

    def __str__(self) -> str:
        count = len(self.candidates)
        text = f"{self.source}: {count} candidate{'' if count == 1 else 's'} imported"
        reasons = ", ".join(f"{left} {why}" for why, left in self.left_out.items())
        return f"{text}, left out: {reasons}" if reasons else text


def imported_candidates(
    problem: Problem,
    records: Iterable[CandidateRecord],
    bounds: Sequence[Bound],
    *,
    fixed: Mapping[str, Any],
    source: str,
) -> Imported:
    """Find an earlier study's candidates again in the space of this one.

    Args:
        fixed: parameters that were not searched there, and their values.

    Raises:
        StudyError: a candidate would be another one here, or none is left.
    """
    found = []
    left_out: Counter[str] = Counter()
    for record in records:
        if not record.curve and record.phase is not Phase.FAILED:
            left_out["not trained"] += 1
            continue
        drafted = _again(problem, record, fixed, source)
        if drafted is None:
            left_out["outside this space"] += 1
            continue
        measured = {name: record.costs[name] for name in measured_costs(problem)}
        costs = {**drafted.costs, **measured}
        if any(bound.violation(costs) > 0 for bound in bounds):
            left_out["out of bounds"] += 1
            continue
        found.append((record, drafted, costs))
    imported = Imported(source=source, candidates=tuple(found), left_out=dict(left_out))
    if not found:
        raise StudyError(
            f"nothing of {source} can be imported" + (f" ({imported})" if left_out else ""),
            hint="widen space and bounds, or leave it out",
        )
    return imported


def _again(
    problem: Problem, record: CandidateRecord, fixed: Mapping[str, Any], source: str
) -> Draft | None:
    """Return the candidate as the space here has it; None where it does not have it."""
    given = {**fixed, **record.params}
    trial = PinnedTrial(np.random.default_rng(0), given, strict=True)
    name = f"trial {record.number} of {source}"
    try:
        drafted = draft(problem, trial)
    except ParameterError:
        return None
    if drafted is None:
        return None
    for parameter in trial.params:
        if parameter not in given:
            raise StudyError(
                f"the space asks for '{parameter}', which {name} was made without",
                hint='take it as knowledge only: use = "prior"',
            )
    if drafted.key == record.key:
        return drafted
    if not set(record.params) <= set(trial.params):
        return None  # a parameter that was searched there is fixed here, to another value
    raise StudyError(
        f"{name}, {record.key}, is rebuilt as {drafted.key}",
        hint="the space's code changed since: undo that, or take it as knowledge only: "
        'use = "prior"',
    )
