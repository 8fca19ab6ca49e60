"""Costs that have to be measured, as far as drawing candidates goes: foreseen.

Measuring takes seconds, and a sampler draws hundreds of candidates for one that it proposes. So a
draft's measured costs are foreseen from its exact ones and from what was measured so far; only what
is proposed is measured, and has the figure for good.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from search.problem import Context, Epoch, Problem, candidate_key, measured_costs
from search.study.records import CandidateRecord, Rejection
from search.study.study import Study

FloatArray = npt.NDArray[np.float64]

_RESULTS = 300
"""Of the latest measured candidates, so many are fitted to."""
_RIDGE = 1.0
"""How strongly powers are held at 0: so much as a result that is e times as large as the mean."""


class Foresight:
    """A problem to draw from, whose measured costs are foreseen from a study's candidates.

    A problem without measured costs is left as it is.
    """

    def __init__(self, problem: Problem, study: Study) -> None:
        self._problem = problem
        self._study = study
        self._names = measured_costs(problem)
        self._fitted_to = -1
        self._fits: dict[str, PowerLaw] = {}

    @property
    def is_ready(self) -> bool:
        """Whether there is something measured to go by, or nothing that has to be."""
        self._fit()
        return len(self._fits) == len(self._names)

    def suggest(self, trial: Any) -> Any:
        return self._problem.suggest(trial)

    def key(self, candidate: Any) -> str:
        return candidate_key(self._problem, candidate)

    def cost(self, candidate: Any) -> Mapping[str, float]:
        """Return exact costs, and measured ones as they are foreseen; call it when ready."""
        costs = self._problem.cost(candidate)
        if not self._names:
            return costs
        self._fit()
        exact = [float(costs[name]) for name in sorted(costs)]
        return {**costs, **{name: self._fits[name].value(exact) for name in self._names}}

    def learn(self, candidate: Any, context: Context) -> Iterator[Epoch]:
        return self._problem.learn(candidate, context)

    def _fit(self) -> None:
        known = len(self._study.records) + len(self._study.rejections)
        if not self._names or known == self._fitted_to:
            return
        self._fitted_to = known
        told: list[CandidateRecord | Rejection] = [
            *self._study.records.values(),
            *self._study.rejections.values(),
        ]
        told.sort(key=lambda each: each.number)
        for name in self._names:
            costs = [each.costs for each in told if name in each.costs][-_RESULTS:]
            if costs:
                self._fits[name] = PowerLaw(
                    [[c[exact] for exact in sorted(c) if exact not in self._names] for c in costs],
                    [c[name] for c in costs],
                )


class PowerLaw:
    """A positive quantity as a product of powers of others, fitted by ridge regression.

    So a latency that has been seen once is foreseen to be the same everywhere, and grows with
    parameters and MACs as soon as it was seen to.
    """

    def __init__(self, inputs: Sequence[Sequence[float]], values: Sequence[float]) -> None:
        """Fit to `values`, all above 0, at `inputs` [value, input], none below 0."""
        rows, logs = _logarithms(np.array(inputs, dtype=np.float64)), np.log(values)
        self._center = rows.mean(axis=0)
        self._level = float(logs.mean())
        centered = rows - self._center
        gram = centered.T @ centered + _RIDGE * np.eye(rows.shape[1])
        self._powers = np.linalg.solve(gram, centered.T @ (logs - self._level))

    def value(self, inputs: Sequence[float]) -> float:
        """Return what is foreseen there."""
        row = _logarithms(np.array(inputs, dtype=np.float64))
        return float(np.exp(self._level + (row - self._center) @ self._powers))


def _logarithms(inputs: FloatArray) -> FloatArray:
    return np.asarray(np.log1p(np.maximum(inputs, 0.0)))
