"""The ledger of worker time: every second is in one column, and together they are everything."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage

from cluster.resources import Resources
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done, Verdict, Wait
from search.engine.failures import Cause, FailurePolicy
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.lease import Lease
from search.engine.spending import Meter, Spending
from search.engine.worker_time import Outcome, WorkerTime, worker_time
from search.execution.simulator import simulate_plan
from search.reports.time_ledger import ledger_of, time_ledger
from search.study.creation import create_study
from search.study.records import (
    CandidateRecord,
    Ending,
    EpochResult,
    Hearing,
    LeaseTime,
    Phase,
)
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyProblem

NAME = "toy"


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.tick_s = 0.0

    def __call__(self) -> float:
        self.now_s += self.tick_s
        return self.now_s


def lease(
    began_s: float,
    ended_s: float | None,
    ending: Ending | None = Ending.VERDICT,
    *,
    attempt: int = 1,
    workers: int = 1,
    gpus: float = 0.0,
    again_s: float = 0.0,
) -> LeaseTime:
    return LeaseTime(
        attempt=attempt,
        workers=workers,
        gpus=gpus,
        began_s=began_s,
        ended_s=ended_s,
        ending=ending,
        again_s=again_s,
    )


def record(
    phase: Phase, leases: Sequence[LeaseTime], attempts: Sequence[int] = (), *, number: int = 0
) -> CandidateRecord:
    """A candidate with an epoch of ten seconds for each of `attempts`, which says whose it was."""
    return CandidateRecord(
        number=number,
        key=f"key-{number}",
        params={},
        candidate={},
        costs={},
        resources=Resources(),
        phase=phase,
        curve=tuple(
            EpochResult(number=n, metrics={"accuracy": 0.5}, seconds=10.0)
            for n in range(1, len(attempts) + 1)
        ),
        hearings=tuple(Hearing(attempt=attempt) for attempt in attempts),
        leases=tuple(leases),
    )


def columns(found: WorkerTime) -> dict[str, float]:
    """The columns that are not empty."""
    return {outcome.value: seconds for outcome, seconds in found.worker_s.items() if seconds}


def ledger(*records: CandidateRecord, front: Sequence[int] = (), **spent: float) -> WorkerTime:
    return worker_time(records, front, Spending(**spent))


# One lease ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "front", "column"),
    [
        (Phase.DONE, [0], "front"),
        (Phase.STOPPED, [0], "front"),
        (Phase.DONE, [], "dominated"),
        (Phase.STOPPED, [], "stopped early"),
        (Phase.PAUSED, [], "stopped early"),
        (Phase.RUNNING, [], "stopped early"),
        (Phase.FAILED, [], "failed"),
    ],
)
def test_epochs_count_by_what_became_of_their_candidate_and_the_rest_is_overhead(
    phase: Phase, front: list[int], column: str
) -> None:
    found = ledger(record(phase, [lease(5, 32)], [1, 1]), front=front)
    assert columns(found) == {column: 20, "overhead": 7}


def test_what_a_failed_lease_took_besides_its_epochs_is_failed_too() -> None:
    found = ledger(record(Phase.FAILED, [lease(0, 27, Ending.FAILED)], [1]))
    assert columns(found) == {"failed": 27}


def test_what_a_lost_lease_gave_stands_and_the_rest_is_lost() -> None:
    leases = [lease(0, 25, Ending.LOST), lease(30, 43, attempt=2)]
    found = ledger(record(Phase.DONE, leases, [1, 1, 2]))
    assert columns(found) == {"dominated": 30, "lost": 5, "overhead": 3}


def test_epochs_that_were_trained_again_are_lost() -> None:
    leases = [lease(0, 20, Ending.LOST), lease(20, 45, attempt=2, again_s=10)]
    found = ledger(record(Phase.DONE, leases, [1, 1, 2]))
    assert columns(found) == {"dominated": 30, "lost": 10, "overhead": 5}


def test_an_open_lease_counts_up_to_when_its_driver_was_heard_of() -> None:
    found = ledger(record(Phase.RUNNING, [lease(5, None, None)], [1]), search_s=21.0)
    assert columns(found) == {"stopped early": 16}


def test_workers_and_gpus_are_multiplied() -> None:
    found = ledger(record(Phase.DONE, [lease(0, 12, workers=4, gpus=0.5)], [1]))
    assert columns(found) == {"dominated": 40, "overhead": 8}
    assert {o.value: s for o, s in found.gpu_s.items() if s} == {"dominated": 20, "overhead": 4}


def test_epochs_that_came_out_of_a_checkpoint_take_no_more_than_the_lease_has() -> None:
    leases = [lease(0, 30, Ending.LOST), lease(30, 42, attempt=2)]
    found = ledger(record(Phase.DONE, leases, [2, 2]))
    assert columns(found) == {"dominated": 12, "lost": 30}


def test_workers_that_were_not_free_yet_are_overhead() -> None:
    found = ledger(record(Phase.DONE, [lease(0, 10)], [1]), search_s=15, worker_s=15)
    assert columns(found) == {"dominated": 10, "overhead": 5}


def test_results_of_another_study_cost_nothing() -> None:
    assert columns(ledger(record(Phase.DONE, [], [0, 0]), front=[0])) == {}


# What is spent ------------------------------------------------------------------------------------


def test_a_meter_counts_what_is_leased_while_it_is() -> None:
    clock = Clock()
    meter = Meter(clock, Spending(search_s=1, worker_s=2, gpu_s=3))
    meter.begin("a", Resources(workers=2, gpus=2))
    clock.now_s += 10
    meter.begin("b", Resources())
    clock.now_s += 10
    meter.end("a")
    meter.end("unknown")
    clock.now_s += 10
    assert meter.now() == Spending(search_s=31, worker_s=2 + 40 + 20, gpu_s=3 + 80)


def test_a_meter_with_nothing_leased_counts_searching_alone() -> None:
    clock = Clock()
    meter = Meter(clock, Spending())
    meter.begin("a", Resources(gpus=0.1))
    meter.end("a")
    clock.now_s += 7.5
    assert meter.now() == Spending(search_s=7.5)


# Studies ------------------------------------------------------------------------------------------


def plan(candidates: int = 6, **options: Any) -> Plan:
    return Plan(goal=Goal(candidates=candidates, max_epochs=9), sampler="random", **options)


def test_of_a_simulated_search_every_second_is_learning() -> None:
    result = simulate_plan(
        ToyProblem(epoch_s=1e-3), TOY_OBJECTIVES, plan(12, halving=ParetoHalving()), workers=3
    )
    found = ledger_of(result.study)
    epochs = sum(trial.epochs for trial in result.trials)
    assert found.total_worker_s == pytest.approx(epochs * 1e-3)
    assert found.total_worker_s == pytest.approx(result.study.spent.worker_s)
    assert found.worker_s[Outcome.OVERHEAD] == pytest.approx(0, abs=1e-5)
    on_front = sum(trial.epochs for trial in result.front())
    assert found.worker_s[Outcome.FRONT] == pytest.approx(on_front * 1e-3)
    assert min(found.worker_s[Outcome.FRONT], found.worker_s[Outcome.STOPPED]) > 0


def test_what_the_driver_itself_takes_is_in_some_column_too(
    storage: InMemoryStorage, tmp_path: Path
) -> None:
    """Between two looks at the clock there is always some time."""
    search = Search(storage, plan(4), tmp_path)
    search.clock.tick_s = 0.01
    carry_out(search)
    found = ledger_of(search.study)
    assert found.total_worker_s == pytest.approx(search.study.spent.worker_s)
    assert found.worker_s[Outcome.OVERHEAD] > 4  # and a second to start each


def test_failing_candidates_are_failed_time() -> None:
    result = simulate_plan(ToyProblem(fail="nan", epoch_s=1e-3), TOY_OBJECTIVES, plan(20))
    failed = sum(trial.epochs + 1 for trial in result.trials if trial.state == "failed")
    assert failed > 0
    assert ledger_of(result.study).worker_s[Outcome.FAILED] == pytest.approx(failed * 1e-3)


class Search:
    """A search by hand, on a clock by hand."""

    def __init__(self, storage: InMemoryStorage, asked: Plan, checkpoints: Path) -> None:
        self.clock = Clock()
        self.study = Study(storage, NAME, TOY_OBJECTIVES)
        self.conductor = Conductor(
            ToyProblem(), self.study, asked, checkpoints=checkpoints, clock=self.clock
        )

    def lease(self) -> Lease:
        found = self.conductor.next(lambda resources: True)
        assert isinstance(found, Lease)
        return found

    def report(self, lease: Lease, epoch: int, *, after_s: float, seconds: float) -> Verdict:
        self.clock.now_s += after_s
        result = EpochResult(number=epoch, metrics={"accuracy": 0.1 * epoch}, seconds=seconds)
        return self.conductor.report(lease.number, lease.attempt, [result])


@pytest.fixture
def storage() -> InMemoryStorage:
    made = InMemoryStorage()
    create_study(made, NAME, TOY_OBJECTIVES)
    return made


def test_a_lost_worker_costs_what_its_lease_took_and_what_is_trained_again(
    storage: InMemoryStorage, tmp_path: Path
) -> None:
    search = Search(storage, plan(1), tmp_path)
    first = search.lease()
    for epoch in (1, 2):
        search.report(first, epoch, after_s=3, seconds=2)
    search.clock.now_s += 1
    search.conductor.failed(0, first.attempt, Cause.LOST_WORKER, "gone")
    search.clock.now_s += 0.5
    search.conductor.released(0, first.attempt)
    second = search.lease()
    assert search.report(second, 2, after_s=5, seconds=2) is Verdict.CONTINUE
    for epoch in range(3, 10):
        search.report(second, epoch, after_s=2, seconds=2)
    search.conductor.released(0, second.attempt)
    search.conductor.close()
    # 2 epochs in 6 s, then 1 s until the loss and 0.5 s until the worker is gone; 3 s of start and
    # 2 s for an epoch that is known, then 7 epochs.
    assert columns(ledger_of(search.study)) == pytest.approx(
        {"front": 4 + 14, "lost": (6 - 4) + 1 + 2, "overhead": 0.5 + 3}
    )
    assert Study(storage, NAME, TOY_OBJECTIVES).records == search.study.records


def test_a_killed_driver_costs_what_is_known_of_its_leases(
    storage: InMemoryStorage, tmp_path: Path
) -> None:
    killed = Search(storage, plan(2), tmp_path)
    first, second = killed.lease(), killed.lease()
    killed.report(first, 1, after_s=10, seconds=8)
    killed.report(second, 1, after_s=5, seconds=12)
    killed.clock.now_s += 30  # of which nobody hears
    taken_up = Search(storage, plan(2), tmp_path)
    assert taken_up.study.spent == Spending(search_s=15, worker_s=30)
    leases = [record.leases[-1] for record in taken_up.study.records.values()]
    assert [(each.ended_s, each.ending) for each in leases] == [(15, Ending.LOST)] * 2
    assert ledger_of(taken_up.study).worker_s[Outcome.LOST] == pytest.approx(7 + 3)
    assert ledger_of(taken_up.study).total_worker_s == 30


def test_while_nothing_is_heard_of_workers_spending_is_noted_every_minute(
    storage: InMemoryStorage, tmp_path: Path
) -> None:
    search = Search(storage, plan(2), tmp_path)
    search.lease()
    for _ in range(130):
        search.clock.now_s += 1
        assert isinstance(search.conductor.next(lambda resources: False), Wait)
    known = Study(storage, NAME, TOY_OBJECTIVES).spent
    assert known == Spending(search_s=120, worker_s=120)


def test_time_between_two_runs_is_not_counted(storage: InMemoryStorage, tmp_path: Path) -> None:
    for run in (1, 2):
        search = Search(storage, plan(1), tmp_path)
        search.lease()
        search.clock.now_s += 4
        search.conductor.close()
        assert Study(storage, NAME, TOY_OBJECTIVES).spent.search_s == 4 * run


class Killed(BaseException):
    """The driver dies here."""


class MortalStorage(InMemoryStorage):
    """Kills its driver instead of the n-th change of a trial from now."""

    writes_left = math.inf

    def set_trial_user_attr(self, *args: Any) -> None:
        self.writes_left -= 1
        if self.writes_left < 0:
            raise Killed
        super().set_trial_user_attr(*args)


@settings(max_examples=25, deadline=None)
@given(kills=st.lists(st.integers(0, 60), max_size=4))
def test_however_often_a_driver_is_killed_the_columns_sum_to_what_is_spent(
    kills: list[int],
) -> None:
    storage = MortalStorage()
    create_study(storage, NAME, TOY_OBJECTIVES)
    patient = FailurePolicy(max_losses=1000)
    asked = plan(5, halving=ParetoHalving(), failure_policy=patient)
    with tempfile.TemporaryDirectory() as folder:
        for writes in [*kills, math.inf]:
            storage.writes_left = writes
            try:
                search = Search(storage, asked, Path(folder))
                carry_out(search)
            except Killed:
                storage.writes_left = math.inf
    found = ledger_of(search.study)
    assert all(record.phase.is_final for record in search.study.records.values())
    assert all(seconds >= 0 for seconds in found.worker_s.values())
    assert found.total_worker_s == pytest.approx(search.study.spent.worker_s)
    assert Study(storage, NAME, TOY_OBJECTIVES).records == search.study.records
    if not kills:
        assert found.worker_s[Outcome.LOST] == 0


def carry_out(search: Search) -> None:
    """Train two at a time; every lease takes a second to start, every epoch two."""
    running: list[Lease] = []
    while True:
        decision = search.conductor.next(lambda resources: len(running) < 2)
        if isinstance(decision, Done):
            search.conductor.conclude()
            search.conductor.close()
            return
        if isinstance(decision, Lease):
            running.append(decision)
            search.clock.now_s += 1
            continue
        held = running.pop(0)
        epoch = search.study.records[held.number].epochs + 1
        if search.report(held, epoch, after_s=2, seconds=2) is Verdict.CONTINUE:
            running.append(held)
        else:
            search.conductor.released(held.number, held.attempt)


# For people ---------------------------------------------------------------------------------------


def test_the_ledger_is_told_in_a_line(storage: InMemoryStorage, tmp_path: Path) -> None:
    search = Search(storage, plan(1), tmp_path)
    held = search.lease()
    for epoch in range(1, 10):
        search.report(held, epoch, after_s=400, seconds=380)
    assert time_ledger(search.study) == (
        "worker time 1.00 h: 95% front, 0% dominated, 0% stopped early, 0% failed, 0% lost, "
        "5% starting, waiting"
    )


def test_a_study_without_times_has_no_ledger(storage: InMemoryStorage) -> None:
    assert time_ledger(Study(storage, NAME, TOY_OBJECTIVES)) == ""
