"""The simulator: a whole search in virtual time, without Ray, files or waiting."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from typing import Any

import optuna
import pytest

from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.pareto import hypervolume
from search.errors import StudyError
from search.execution.simulator import simulate
from search.objectives import Bound, Objective
from search.problem import Context
from search.study.fronts import front_records
from search.study.records import Phase
from search.study.study import Study
from tests.toy import ToyEpoch, ToyProblem, searched

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Clocked(ToyProblem):
    """Says that an epoch takes size cubed hours, and notes in which order epochs are learned."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.order: list[tuple[float, int]] = []

    def learn(self, candidate: Any, context: Context) -> Iterator[ToyEpoch]:
        for epoch in super().learn(candidate, context):
            self.order.append((candidate["size"], epoch.number))
            yield ToyEpoch(epoch.number, epoch.metrics, 3600.0 * candidate["size"] ** 3)


def plan(candidates: int = 12, epochs: int = 9, **options: Any) -> Plan:
    return Plan(goal=Goal(candidates=candidates, max_epochs=epochs), **options)


def epochs_trained(study: Study) -> int:
    return sum(record.epochs for record in study.records.values())


def test_days_of_training_pass_in_seconds() -> None:
    begun = time.perf_counter()
    study = searched(Clocked(), plan(sampler="random"), workers=4)
    assert sum(record.seconds for record in study.records.values()) > 24 * 3600
    assert time.perf_counter() - begun < 5


def test_the_same_seed_gives_the_same_study() -> None:
    first, again = (searched(ToyProblem(), plan(seed=3)) for _ in range(2))
    assert first.records == again.records
    other = searched(ToyProblem(), plan(seed=4))
    assert other.records != first.records


def test_one_worker_takes_one_candidate_after_the_other() -> None:
    problem = Clocked(finite=3)
    searched(problem, plan(candidates=3, epochs=2, sampler="random"))
    runs = [list(group) for _, group in itertools.groupby(problem.order, lambda entry: entry[0])]
    assert [len(run) for run in runs] == [2, 2, 2]


def test_side_by_side_shorter_epochs_are_heard_first() -> None:
    problem = Clocked(finite=2)
    searched(problem, plan(candidates=2, epochs=3, sampler="random"), workers=2)
    # Size 1 ends its epochs at 1, 2, 3 hours; size 2 at 8, 16, 24. An epoch is learned when the
    # one before it was heard of.
    assert problem.order[2:] == [(1, 2), (1, 3), (2, 2), (2, 3)]


def test_halving_spends_less_and_still_finds_a_front() -> None:
    full = searched(ToyProblem(), plan(30, 27, sampler="random"), workers=4)
    halved = searched(
        ToyProblem(), plan(30, 27, sampler="random", halving=ParetoHalving()), workers=4
    )
    assert epochs_trained(full) == 30 * 27
    assert epochs_trained(halved) < 0.7 * epochs_trained(full)
    assert {record.key for record in full.records.values()} == {
        record.key for record in halved.records.values()
    }
    assert all(record.phase is Phase.DONE for record in front_records(halved))


def test_bounds_are_kept() -> None:
    bounded = plan(sampler="random", bounds=(Bound("parameters", max=30),))
    study = searched(ToyProblem(), bounded)
    assert len(study.records) == 12
    assert max(record.costs["parameters"] for record in study.records.values()) <= 30


def test_a_wide_candidate_has_the_workers_to_itself() -> None:
    workers: dict[float, int] = {}
    occupied: list[int] = []

    class Watched(ToyProblem):
        def learn(self, candidate: Any, context: Context) -> Iterator[ToyEpoch]:
            workers[candidate["size"]] = self.resources(candidate).workers
            occupied.append(sum(workers.values()))
            try:
                yield from super().learn(candidate, context)
            finally:
                del workers[candidate["size"]]

    problem = Watched(wide_above=30)
    study = searched(problem, plan(sampler="random", epochs=3), workers=2)
    assert {record.resources.workers for record in study.records.values()} == {1, 2}
    assert max(occupied) == 2
    assert all(record.phase is Phase.DONE for record in study.records.values())


def test_a_problem_that_ends_early_fails_its_candidate() -> None:
    class Brief(ToyProblem):
        def learn(self, candidate: Any, context: Context) -> Iterator[ToyEpoch]:
            yield from itertools.islice(super().learn(candidate, context), 2)

    study = searched(Brief(), plan(candidates=1, sampler="random"))
    failure = study.records[0].failure
    assert failure is not None
    assert failure.message == "StudyError: candidate 0 stopped learning before epoch 9"


# By budget, for benchmarks -----------------------------------------------------------------------

LOG = [Objective("accuracy", "max"), Objective("log10_parameters", "min", exact=True)]


@pytest.mark.parametrize("workers", [1, 7])
def test_a_budget_of_epochs_is_spent_and_not_overdrawn(workers: int) -> None:
    result = simulate(
        ToyProblem(), LOG, max_epochs=9, budget_epochs=50, workers=workers, sampler="random"
    )
    spent = sum(trial.epochs for trial in result.trials)
    assert 50 <= spent < 50 + workers
    assert len(result.epoch_order) == spent
    assert {trial.state for trial in result.trials} <= {"done", "stopped"}


def test_epochs_that_are_trained_again_after_memory_ran_out_are_not_told_twice() -> None:
    result = simulate(
        ToyProblem(fail="memory"), LOG, max_epochs=3, candidates=2, halving=None, sampler="random"
    )
    assert all(record.batch_parts == 2 for record in result.study.records.values())
    assert sorted(result.epoch_order) == [(n, e) for n in (0, 1) for e in (1, 2, 3)]
    spent = [spent for spent, _ in result.hypervolume_trace((0.0, 3.0))]
    assert spent == [1, 2, 3, 4, 5, 6]


def test_a_search_needs_something_that_ends_it() -> None:
    with pytest.raises(StudyError, match="nothing would end the search"):
        simulate(ToyProblem(), LOG, max_epochs=9)


def test_a_trace_tells_the_volume_of_all_results_so_far() -> None:
    result = simulate(ToyProblem(), LOG, max_epochs=9, budget_epochs=40, workers=3)
    trace = result.hypervolume_trace((0.0, 3.0))
    assert [spent for spent, _ in trace] == list(range(1, len(trace) + 1))
    assert [volume for _, volume in trace] == sorted(volume for _, volume in trace)
    points = [
        (-epoch.metrics["accuracy"], math.log10(trial.costs["parameters"]))
        for trial in result.trials
        for epoch in trial.curve
    ]
    assert trace[-1][1] == pytest.approx(hypervolume(points, (0.0, 3.0)))


def test_trials_have_their_times() -> None:
    result = simulate(Clocked(finite=2), LOG, max_epochs=2, candidates=2, halving=None)
    first, second = result.trials
    assert (first.started_s, second.started_s) == (0.0, first.finished_s)
    assert first.finished_s == 2 * 3600.0 * first.params["size"] ** 3


def test_the_front_is_of_trials() -> None:
    result = simulate(ToyProblem(), LOG, max_epochs=9, budget_epochs=60)
    front = result.front()
    assert front == sorted(front, key=lambda trial: trial.costs["parameters"])
    assert {trial.number for trial in front} <= {trial.number for trial in result.trials}
