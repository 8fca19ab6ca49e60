"""What the engine itself costs with many candidates: time and memory of a large simulation."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator
from typing import Any

import optuna
from alone import alone
from search_problems import make_problem
from search_synthetic import Candidate, SyntheticEpoch, SyntheticProblem
from table import Row, cpu_name

from search import Objective, ParetoHalving, simulate

PROBLEM = "balanced"
MANY, FEW = 10_000, 1_000
"""Candidates."""
WORKERS = 1_000


def scale_rows(objectives: tuple[Objective, ...], sampler: str) -> list[Row]:
    """Return what each of many candidates costs, with what each of few costs as the peer."""
    many = alone(cost, MANY, objectives, sampler)
    few = alone(cost, FEW, objectives, sampler)
    pairs = zip(("engine", "memory"), ("ms/candidate", "kB/candidate"), many, few, strict=True)
    return [
        Row(
            name=f"{name}, {MANY:,} candidates by {sampler}",
            device=cpu_name(1),
            ours=ours,
            peer=peer,
            unit=unit,
        )
        for name, unit, ours, peer in pairs
    ]


def cost(candidates: int, objectives: tuple[Objective, ...], sampler: str) -> tuple[float, float]:
    """Return ms of one core and kB that each candidate costs, learning left out."""
    problem = _Timed(make_problem(PROBLEM))
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began_s = time.process_time()
    result = simulate(
        problem,
        objectives,
        max_epochs=make_problem(PROBLEM).max_epochs,
        workers=WORKERS,
        candidates=candidates,
        sampler=sampler,
        halving=ParetoHalving(),
    )
    spent_s = time.process_time() - began_s - problem.learned_s
    used_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert len(result.trials) == candidates
    return 1000.0 * spent_s / candidates, used_kb / candidates


class _Timed:
    """A problem that adds up how long its learning takes."""

    def __init__(self, problem: SyntheticProblem) -> None:
        self._problem = problem
        self.learned_s = 0.0

    def suggest(self, trial: Any) -> Candidate:
        return self._problem.suggest(trial)

    def cost(self, candidate: Candidate) -> dict[str, float]:
        return self._problem.cost(candidate)

    def key(self, candidate: Candidate) -> str:
        return self._problem.key(candidate)

    def learn(self, candidate: Candidate, context: Any) -> Iterator[SyntheticEpoch]:
        epochs = self._problem.learn(candidate, context)
        while True:
            began_s = time.process_time()
            epoch = next(epochs, None)
            self.learned_s += time.process_time() - began_s
            if epoch is None:
                return
            yield epoch
