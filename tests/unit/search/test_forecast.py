"""What a search would cost: simulated on a stand-in for learning, with foreseen seconds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest

from cluster.resources import Capacity, NodeCapacity, Resources
from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.objectives import Bound, Objective
from search.planning.epoch_seconds import Pace, SecondsModel
from search.planning.forecast import SEEDS, Forecast, StandIn, forecast
from search.planning.outline import Outline
from search.problem import Context, Problem, candidate_key
from tests.toy import TOY_OBJECTIVES, ToyProblem

NARROW, WIDE = Resources(), Resources(workers=2)
LINE = SecondsModel(fixed_s=1.0, factor=0.01, cost="parameters")


def pace(start_s: float = 0.0, model: SecondsModel = LINE) -> Pace:
    return Pace(models={NARROW: model}, others=model, start_s={NARROW: start_s})


def cluster(cpus: float, gpus: float = 0.0) -> Capacity:
    return Capacity((NodeCapacity(node_id="one", cpus=cpus, gpus=gpus),))


def planned(candidates: int | None = 12, **changes: object) -> Plan:
    goal = Goal(max_epochs=9, candidates=candidates, worker_hours=None if candidates else 0.5)
    return dataclasses.replace(Plan(goal=goal, halving=ParetoHalving(), seed=3), **changes)


def foreseen(
    plan: Plan,
    problem: Problem | None = None,
    *,
    capacity: Capacity | None = None,
    pace: Pace | None = None,
    objectives: list[Objective] = TOY_OBJECTIVES,
    slots: Mapping[Resources, int] | None = None,
) -> Forecast:
    problem = problem or ToyProblem()
    return forecast(
        problem,
        objectives,
        plan,
        outline=Outline.of(problem, plan.bounds, plan.seed),
        pace=pace or globals()["pace"](),
        capacity=capacity or cluster(2),
        slots=slots or {},
    )


class Accelerated(ToyProblem):
    def resources(self, candidate: Mapping[str, float]) -> Resources:
        return Resources(cpus=1, gpus=0.5)


class Timed(ToyProblem):
    """The toy, with a cost that nobody may measure here."""

    def measured_costs(self) -> tuple[str, ...]:
        return ("latency_ms",)

    def measure(self, candidate: Mapping[str, float]) -> Mapping[str, float]:
        raise AssertionError("measured")


def test_in_full_every_candidate_has_all_its_epochs_and_halving_spends_less() -> None:
    found = foreseen(planned())
    assert len(found.as_planned) == len(found.in_full) == SEEDS
    assert {each.epochs for each in found.in_full} == {12 * 9}
    assert all(12 <= each.epochs < 80 for each in found.as_planned)
    assert found.ratio("epochs").most < 0.8
    assert not found.capped


def test_the_same_plan_is_foreseen_alike_and_seeds_differ() -> None:
    found = foreseen(planned())
    assert found == foreseen(planned())
    assert len({each.worker_hours for each in found.as_planned}) > 1
    assert found != foreseen(planned(seed=4))


def test_hours_are_epochs_times_their_seconds_on_the_slots_there_are() -> None:
    even = pace(model=SecondsModel(fixed_s=36.0))
    one = foreseen(planned(8), pace=even, capacity=cluster(1)).in_full[0]
    four = foreseen(planned(8), pace=even, capacity=cluster(4)).in_full[0]
    assert one.worker_hours == four.worker_hours == pytest.approx(8 * 9 * 0.01)
    assert one.hours == pytest.approx(0.72)
    assert four.hours == pytest.approx(0.18)
    assert one.gpu_hours == 0.0


def test_gpus_are_counted_and_limit_how_many_run() -> None:
    even = pace(model=SecondsModel(fixed_s=36.0))
    found = foreseen(planned(8), Accelerated(), pace=even, capacity=cluster(16, gpus=1)).in_full[0]
    assert found.gpu_hours == pytest.approx(0.36)
    assert found.hours == pytest.approx(0.36)


def test_each_slot_starts_once() -> None:
    even, slow = (pace(start_s, SecondsModel(fixed_s=1.0)) for start_s in (0.0, 360.0))
    warm = foreseen(planned(6), pace=even, slots={NARROW: 2}).in_full[0]
    cold = foreseen(planned(6), pace=slow, slots={NARROW: 2}).in_full[0]
    assert cold.worker_hours - warm.worker_hours == pytest.approx(0.2)


def test_a_budget_ends_the_search_and_in_full_means_as_many_candidates() -> None:
    found = foreseen(planned(None), pace=pace(model=SecondsModel(fixed_s=20.0)))
    for halved, full in zip(found.as_planned, found.in_full, strict=True):
        assert halved.worker_hours == pytest.approx(0.5, abs=0.02)
        assert full.candidates == halved.candidates
        assert full.epochs == 9 * full.candidates


def test_a_search_of_very_many_is_foreseen_up_to_a_number_and_says_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.planning.forecast.MOST_CANDIDATES", 8)
    found = foreseen(planned(9))
    assert found.capped
    assert {each.candidates for each in found.as_planned} == {8}
    assert not foreseen(planned(8)).capped


def test_costs_that_would_be_measured_are_stood_in_for() -> None:
    objectives = [*TOY_OBJECTIVES, Objective("log10_latency_ms", "min", exact=True)]
    plan = planned(bounds=(Bound("latency_ms", None, 1e-9), Bound("parameters", None, 500)))
    found = foreseen(plan, Timed(), objectives=objectives)
    assert {each.candidates for each in found.as_planned} == {12}


def curve(direction: str, candidate: Mapping[str, float], seed: int = 0) -> list[float]:
    problem = ToyProblem()
    stand_in = StandIn(
        problem,
        [Objective("loss", direction)],  # type: ignore[arg-type]
        Outline.of(problem, [], 0),
        pace(),
        {},
        seed,
    )
    assert stand_in.key(candidate) == candidate_key(problem, candidate)
    epochs = list(stand_in.learn(candidate, Context(seed=0, max_epochs=27)))
    assert [epoch.number for epoch in epochs] == list(range(1, 28))
    assert {epoch.seconds for epoch in epochs} == {1.0 + 0.01 * candidate["size"]}
    return [epoch.metrics["loss"] for epoch in epochs]


def test_a_stand_in_curve_rises_where_more_is_better_and_falls_where_less_is() -> None:
    candidate = {"size": 30, "rate": 0.01}
    assert curve("max", candidate)[-1] > curve("max", candidate)[0] + 0.05
    assert curve("min", candidate)[-1] < curve("min", candidate)[0] - 0.05
    assert curve("max", candidate) == curve("max", candidate)
    assert curve("max", candidate) != curve("max", candidate, seed=1)


def test_larger_candidates_mostly_reach_more() -> None:
    small = [curve("max", {"size": 2, "rate": rate / 1000})[-1] for rate in range(1, 30)]
    large = [curve("max", {"size": 900, "rate": rate / 1000})[-1] for rate in range(1, 30)]
    assert sum(large) / 29 > sum(small) / 29 + 0.15
    assert max(small) - min(small) > 0.1
