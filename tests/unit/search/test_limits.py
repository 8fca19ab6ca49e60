"""What ends a search: whatever limit of its goal is reached first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage

from cluster.resources import Resources
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done, Verdict
from search.engine.front_growth import FrontGrowth
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.lease import Lease
from search.engine.limits import Limits
from search.engine.pareto import hypervolume
from search.engine.spending import Spending
from search.errors import StudyError
from search.execution.replay import replay
from search.execution.simulator import SimulationResult, simulate_plan
from search.running import limit_reached, require_spendable
from search.study.creation import create_study
from search.study.records import CandidateRecord, EpochResult, Hearing, Phase
from search.study.study import Study
from search.study_file.plan import goal
from search.study_file.reading import StudyFile
from tests.toy import TOY_OBJECTIVES, ToyProblem

HOUR = 3600.0
NAME = "toy"


def limits(**wanted: Any) -> Limits:
    return Limits(Goal(max_epochs=2, **wanted))


def hours(paid: float, *, gpu: float = 0.0) -> Spending:
    return Spending(worker_s=paid * HOUR, gpu_s=gpu * HOUR)


# Limits -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "spent", "told"),
    [
        ({"gpu_hours": 2}, {"gpu_s": 2 * HOUR}, "the budget of 2 GPU-hours is spent"),
        ({"worker_hours": 1}, {"worker_s": HOUR}, "the budget of 1 worker-hour is spent"),
        ({"hours": 1.5}, {"search_s": 1.5 * HOUR}, "the budget of 1.5 hours is spent"),
    ],
)
def test_a_budget_of_hours_is_reached_when_they_are_spent(
    wanted: dict[str, float], spent: dict[str, float], told: str
) -> None:
    asked = limits(**wanted)
    asked.spend(Spending(**{name: seconds - 1 for name, seconds in spent.items()}))
    assert asked.reached is None
    asked.spend(Spending(**spent))
    assert asked.reached == told


def test_a_budget_of_epochs_is_reached_when_they_are_spent() -> None:
    asked = limits(budget_epochs=2)
    asked.add_epoch((0.5,), Spending())
    assert asked.reached is None
    asked.add_epoch((0.5,), Spending())
    assert asked.reached == "the budget of 2 epochs is spent"


def test_whatever_comes_first_ends_it() -> None:
    asked = limits(budget_epochs=100, worker_hours=5, hours=1)
    asked.spend(Spending(search_s=HOUR, worker_s=HOUR))
    assert asked.reached == "the budget of 1 hour is spent"


@pytest.mark.parametrize("name", ["gpu_hours", "worker_hours", "hours", "min_gain_per_hour"])
def test_a_limit_is_above_nothing_and_enough_to_end_a_search(name: str) -> None:
    Goal(max_epochs=9, **{name: 0.5})  # type: ignore[arg-type]
    with pytest.raises(StudyError, match=f"{name} is 0"):
        Goal(max_epochs=9, candidates=3, **{name: 0.0})  # type: ignore[arg-type]


# The growth of the front --------------------------------------------------------------------------


def steps(
    count: int, *, until: int, paid_h: float = 1.0
) -> list[tuple[tuple[float, float], Spending]]:
    """A point an hour: ends of the front first, then one better than all before, `until` then."""
    points: list[tuple[float, float]] = [(0.0, 1.0), (1.0, 0.0)]
    points += [(1 - min(n, until) / count, 1 - min(n, until) / count) for n in range(2, count)]
    return [(point, hours(n * paid_h)) for n, point in enumerate(points, 1)]


def ended_at(asked: Limits, results: Sequence[tuple[Sequence[float], Spending]]) -> int | None:
    """After how many results a limit was reached."""
    for count, (point, spent) in enumerate(results, 1):
        asked.add_epoch(point, spent)
        if asked.reached is not None:
            return count
    return None


def test_a_front_that_stops_growing_ends_the_search_a_window_later() -> None:
    found = ended_at(limits(min_gain_per_hour=1e-3), steps(100, until=40))
    # The last quarter of all hours brings nothing more when 40 is three quarters of them.
    assert found in range(52, 56)


def test_a_front_that_grows_fast_enough_goes_on() -> None:
    assert ended_at(limits(min_gain_per_hour=1e-3), steps(100, until=100)) is None


def test_the_rate_is_a_part_of_the_hypervolume_per_hour() -> None:
    slow = limits(min_gain_per_hour=1e-3)
    assert ended_at(slow, steps(100, until=100, paid_h=100.0)) is not None
    assert slow.reached is not None
    assert "per worker-hour lately, less than 0.10%" in slow.reached
    assert slow.reached.startswith("the front grew by 0.")


def test_where_gpus_are_used_their_hours_count() -> None:
    asked = limits(min_gain_per_hour=1e-3)
    results = [
        (point, Spending(worker_s=spent.worker_s, gpu_s=100 * spent.worker_s))
        for point, spent in steps(100, until=100)
    ]
    assert ended_at(asked, results) is not None
    assert asked.reached is not None
    assert "per GPU-hour" in asked.reached


def test_a_young_front_is_not_judged() -> None:
    """Nothing ends within three full trainings' worth of epochs, of two each here."""
    asked = limits(min_gain_per_hour=1e-3)
    assert ended_at(asked, [((1.0, 1.0), hours(n)) for n in range(1, 20)]) == 6


def test_what_is_too_slow_stays_so_whatever_still_comes_in() -> None:
    asked = limits(min_gain_per_hour=1e-3)
    assert ended_at(asked, steps(100, until=40)) is not None
    asked.add_epoch((-10.0, -10.0), hours(101))
    assert asked.reached is not None


def test_results_of_another_study_are_no_growth() -> None:
    results = steps(60, until=60)
    known = CandidateRecord(
        number=0,
        key="earlier",
        params={},
        candidate={},
        costs={},
        resources=Resources(),
        phase=Phase.DONE,
        imported="studies/earlier trial 0",
    )
    asked = limits(min_gain_per_hour=1e-3)
    asked.recall([(known, [point for point, _ in results])])
    assert ended_at(asked, results) == 6


def test_what_a_study_has_heard_is_taken_in_in_the_order_in_which_it_came() -> None:
    results = steps(100, until=40)
    first, second = (
        CandidateRecord(
            number=number,
            key=f"key-{number}",
            params={},
            candidate={},
            costs={},
            resources=Resources(),
            phase=Phase.DONE,
            hearings=tuple(Hearing(attempt=1, spent=spent) for _, spent in results[number::2]),
        )
        for number in (0, 1)
    )
    live, recalled = limits(min_gain_per_hour=1e-3), limits(min_gain_per_hour=1e-3)
    for point, spent in results:
        live.add_epoch(point, spent)
    recalled.recall(
        [
            (second, [point for point, _ in results[1::2]]),
            (first, [point for point, _ in results[0::2]]),
        ]
    )
    assert recalled.reached == live.reached
    assert live.reached is not None


POINTS = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20)


@given(points=POINTS, since=st.integers(0, 20))
def test_growth_is_the_part_of_the_hypervolume_that_came_later(
    points: list[tuple[int, int]], since: int
) -> None:
    growth = FrontGrowth()
    for epoch, point in enumerate(points, 1):
        growth.add(point, epoch=epoch)
    worst = [max(point[axis] for point in points) for axis in (0, 1)]
    now = hypervolume(points, worst)
    then = hypervolume(points[:since], worst) if since else 0.0
    assert growth.since(since) == pytest.approx((now - then) / now if now else 0.0)


# Searches -----------------------------------------------------------------------------------------


def simulated(workers: int = 2, **wanted: Any) -> SimulationResult:
    """A search by chance, two at a time."""
    asked = Plan(goal=Goal(max_epochs=9, **wanted), sampler="random", halving=ParetoHalving())
    return simulate_plan(Slow(), TOY_OBJECTIVES, asked, workers=workers)


class Slow(ToyProblem):
    """Every epoch takes a tenth of an hour, virtually."""

    def learn(self, candidate: Any, context: Any) -> Any:
        for epoch in super().learn(candidate, context):
            yield dataclasses.replace(epoch, seconds=360.0)


@pytest.mark.parametrize(
    ("wanted", "epochs"), [({"worker_hours": 3}, 30), ({"hours": 2}, 40), ({"hours": 2.05}, 42)]
)
def test_a_simulated_search_ends_at_its_budget_of_hours(
    wanted: dict[str, Any], epochs: int
) -> None:
    result = simulated(**wanted)
    # Of two that run side by side the second may be in the middle of its epoch.
    assert len(result.epoch_order) in (epochs, epochs + 1)
    assert {trial.state for trial in result.trials} <= {"done", "stopped"}


def test_a_simulated_search_ends_when_its_front_has_stopped_growing() -> None:
    patient, impatient = simulated(min_gain_per_hour=0.01), simulated(min_gain_per_hour=0.1)
    assert 27 <= len(impatient.epoch_order) < len(patient.epoch_order)


@pytest.mark.parametrize("wanted", [{"worker_hours": 3}, {"hours": 2}, {"min_gain_per_hour": 0.1}])
def test_a_search_that_ended_at_a_limit_can_be_replayed(wanted: dict[str, Any]) -> None:
    assert replay(simulated(**wanted).study, Slow()).difference is None


def test_a_study_that_ended_at_a_budget_goes_on_when_it_is_raised(tmp_path: Path) -> None:
    storage = InMemoryStorage()
    create_study(storage, NAME, TOY_OBJECTIVES)

    def search(worker_hours: float) -> tuple[Study, Done]:
        now_s = 0.0
        study = Study(storage, NAME, TOY_OBJECTIVES)
        asked = Plan(goal=Goal(max_epochs=9, worker_hours=worker_hours), sampler="random")
        conductor = Conductor(ToyProblem(), study, asked, checkpoints=tmp_path, clock=lambda: now_s)
        while isinstance(lease := conductor.next(lambda _: True), Lease):
            verdict = Verdict.CONTINUE
            while verdict is Verdict.CONTINUE:
                now_s += 360.0
                epoch = study.records[lease.number].epochs + 1
                result = EpochResult(number=epoch, metrics={"accuracy": 0.5}, seconds=360.0)
                verdict = conductor.report(lease.number, lease.attempt, [result])
            conductor.released(lease.number, lease.attempt)
        assert isinstance(lease, Done)
        conductor.conclude()
        conductor.close()
        return study, lease

    def epochs(study: Study) -> int:
        return sum(record.epochs for record in study.records.values())

    study, done = search(2)
    assert (epochs(study), done.limit) == (20, "the budget of 2 worker-hours is spent")
    study, done = search(2)
    assert (epochs(study), done.limit) == (20, "the budget of 2 worker-hours is spent")
    study, done = search(3)
    assert (epochs(study), done.limit) == (30, "the budget of 3 worker-hours is spent")


# Study files --------------------------------------------------------------------------------------


def study_file(**budget: Any) -> StudyFile:
    problem = {"path": "tests.toy:ToyProblem"}
    objectives = [{"metric": "accuracy", "direction": "max"}]
    return StudyFile.from_dict(
        {"name": "s", "problem": problem, "objectives": objectives, "budget": budget}
    )


def test_a_budget_becomes_a_goal() -> None:
    asked: dict[str, Any] = {
        "worker_hours": 3.0,
        "gpu_hours": 2.0,
        "hours": 1.0,
        "min_gain_per_hour": 0.01,
    }
    found = goal(study_file(total_epochs=500, epochs=27, **asked))
    assert found == Goal(max_epochs=27, budget_epochs=500, **asked)
    assert goal(study_file(candidates=5, hours=1.0)).candidates == 5


def test_gpu_hours_are_refused_where_a_problem_takes_no_gpu() -> None:
    class OnGPUs:
        def shapes(self) -> tuple[Resources, ...]:
            return (Resources(), Resources(gpus=1))

    class OnCPUs:
        def shapes(self) -> tuple[Resources, ...]:
            return (Resources(),)

    class OfUnknownShapes:
        def resources(self, candidate: Any) -> Resources:
            return Resources(gpus=1)

    asked: list[Any] = [OnGPUs(), OfUnknownShapes()]
    for problem in asked:
        require_spendable(study_file(gpu_hours=1.0), problem)
    refused: list[Any] = [OnCPUs(), object()]
    for problem in refused:
        require_spendable(study_file(worker_hours=1.0), problem)
        with pytest.raises(StudyError, match="gpu_hours would never be spent") as caught:
            require_spendable(study_file(gpu_hours=1.0), problem)
        assert "worker_hours" in caught.value.hint


def test_the_end_tells_how_many_were_tried_though_the_budget_was_lowered_since() -> None:
    study = simulate_plan(
        ToyProblem(), TOY_OBJECTIVES, Plan(goal=Goal(max_epochs=2, candidates=5))
    ).study
    assert limit_reached(Done(), study) == "5 candidates were tried"
    spent = Done(limit="the budget of 2 epochs is spent")
    assert limit_reached(spent, study) == "the budget of 2 epochs is spent"
    assert limit_reached(Done(reason="too many failures"), study) is None
