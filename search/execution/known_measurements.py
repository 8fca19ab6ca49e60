"""What was measured once, for whoever cannot measure it again: a stopwatch never says the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from search.problem import Problem, candidate_key, measured_costs
from search.study.records import CandidateRecord, Rejection
from search.study.study import Study
from spaces import CandidateRefused


class _KnownMeasurements:
    """A problem whose measured costs are given, by the candidates' keys."""

    def __init__(self, problem: Problem, costs: Mapping[str, Mapping[str, float]]) -> None:
        self._problem = problem
        self._costs = costs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def measure(self, candidate: Any) -> dict[str, float]:
        costs = self._costs.get(candidate_key(self._problem, candidate), {})
        names = measured_costs(self._problem)
        if not all(name in costs for name in names):
            raise CandidateRefused("it was not measured", hint="it was turned down then, too")
        return {name: costs[name] for name in names}


def with_known_measurements(recorded: Study, problem: Problem) -> Problem:
    """Return the problem with the measured costs that a study has on record."""
    if not measured_costs(problem):
        return problem
    told: list[CandidateRecord | Rejection] = [
        *recorded.records.values(),
        *recorded.rejections.values(),
    ]
    known = _KnownMeasurements(problem, {each.key: each.costs for each in told})
    return cast(Problem, known)
