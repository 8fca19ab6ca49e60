"""Costs that are measured: foreseen for what is drawn, measured once for what is proposed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from optuna.storages import InMemoryStorage

from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.errors import StudyError
from search.execution.simulator import SimulationResult, simulate, simulate_plan
from search.objectives import Bound, Objective
from search.problem import Problem, candidate_key, measure, measured_costs
from search.sampling.drawing import DrawnTrial, draft
from search.sampling.foresight import Foresight, PowerLaw
from search.sampling.proposer import Proposer
from search.sampling.samplers import SAMPLERS
from search.study.creation import create_study
from search.study.study import Study
from spaces import CandidateRefused
from tests.toy import TOY_OBJECTIVES, ToyProblem

OBJECTIVES = [*TOY_OBJECTIVES, Objective("latency_ms", "min", exact=True)]
EVERY_SAMPLER = pytest.mark.parametrize("sampler", sorted(SAMPLERS))


class Timed(ToyProblem):
    """The toy, with a latency that grows with size; it counts who was measured.

    Args:
        refused_above: larger ones cannot be measured.
        drift: each measurement is so much larger than the last, as on a machine that grows busy.
        remembered: latencies by size that were measured before, as a file would give them.
    """

    def __init__(
        self,
        *,
        refused_above: float = math.inf,
        drift: float = 0.0,
        remembered: dict[float, float] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.refused_above = refused_above
        self.drift = drift
        self.remembered = {} if remembered is None else remembered
        self.measured: list[float] = []

    def measured_costs(self) -> tuple[str, ...]:
        return ("latency_ms",)

    def measure(self, candidate: Mapping[str, float]) -> Mapping[str, float]:
        size = candidate["size"]
        if size > self.refused_above:
            raise CandidateRefused("it cannot be exported", hint="none")
        if size not in self.remembered:
            self.measured.append(size)
            self.remembered[size] = latency_ms(size) * (1.0 + self.drift * len(self.measured))
        return {"latency_ms": self.remembered[size]}


def latency_ms(size: float) -> float:
    return 0.02 * size**0.5 + 0.1


def new_study() -> Study:
    return create_study(InMemoryStorage(), "timed", OBJECTIVES)


def proposer(problem: Problem, study: Study, sampler: str = "front", **changes: Any) -> Proposer:
    options: dict[str, Any] = {"sampler": sampler, "startup": 4, "seed": 0, "max_epochs": 9}
    return Proposer(problem, study, **(options | changes))


def search(problem: Problem, sampler: str = "front", **options: Any) -> SimulationResult:
    asked: dict[str, Any] = {"max_epochs": 9, "candidates": 12, "startup": 4} | options
    return simulate(problem, OBJECTIVES, sampler=sampler, **asked)


# What is admitted --------------------------------------------------------------------------------


@EVERY_SAMPLER
def test_every_candidate_has_the_cost_that_was_measured(sampler: str) -> None:
    problem = Timed()
    trials = search(problem, sampler).trials
    assert len(trials) == 12
    for trial in trials:
        assert trial.costs["latency_ms"] == latency_ms(trial.params["size"])


def test_drafts_are_not_measured() -> None:
    """A proposal of the front sampler is one of hundreds of drafts."""
    problem = Timed()
    trials = search(problem).trials
    assert sorted(problem.measured) == sorted({trial.params["size"] for trial in trials})


def test_the_figure_of_the_moment_of_admission_stays() -> None:
    problem, study = Timed(), new_study()
    admitted = proposer(problem, study)()
    problem.remembered.clear()
    problem.drift = 1.0
    again = proposer(problem, study)
    again()
    record = study.records[admitted.number]
    assert record.costs["latency_ms"] == latency_ms(record.params["size"])


@EVERY_SAMPLER
def test_a_bound_holds_what_was_measured(sampler: str) -> None:
    problem = Timed()
    bound = Bound("latency_ms", max=0.3)
    study = search(problem, sampler, bounds=[bound], candidates=8).study
    assert len(study.records) == 8
    assert all(record.costs["latency_ms"] <= 0.3 for record in study.records.values())
    broken = [r for r in study.rejections.values() if r.constraints.get("latency_ms", 0) > 0]
    for rejection in broken:
        assert rejection.costs["latency_ms"] == latency_ms(rejection.params["size"])
        assert rejection.constraints["latency_ms"] == bound.violation(rejection.costs)


def test_what_was_measured_outside_of_a_bound_teaches_the_front_sampler_to_stay_inside() -> None:
    bounds = [Bound("latency_ms", max=0.3)]
    ours = search(Timed(), bounds=bounds, candidates=20).study
    by_chance = search(Timed(), "random", bounds=bounds, candidates=20).study
    assert len(ours.rejections) <= 0.3 * len(by_chance.rejections)


def test_the_front_sampler_does_not_come_back_to_what_was_measured_outside_of_a_bound() -> None:
    """Of twelve candidates, three keep the bound; each of the others is measured once at most."""
    bounds = [Bound("latency_ms", max=latency_ms(3))]
    problem = Timed(finite=12)
    study = search(problem, bounds=bounds, candidates=12).study
    assert sorted(record.params["size"] for record in study.records.values()) == [1, 2, 3]
    assert len(problem.measured) <= 12


def test_what_exact_costs_turn_down_is_not_measured() -> None:
    problem = Timed()
    bounds = [Bound("parameters", max=30), Bound("latency_ms", max=1.0)]
    study = search(problem, "random", bounds=bounds).study
    assert study.rejections
    assert max(problem.measured) <= 30
    for rejection in study.rejections.values():
        assert "latency_ms" not in rejection.constraints


def test_what_cannot_be_measured_is_turned_down_and_never_trained() -> None:
    study = search(Timed(refused_above=50), candidates=6).study
    assert len(study.records) == 6
    assert all(record.params["size"] <= 50 for record in study.records.values())
    refused = [r for r in study.rejections.values() if r.params["size"] > 50]
    assert refused
    assert all(rejection.constraints["space"] > 0 for rejection in refused)


def test_a_measurement_that_fails_is_told_with_its_cause() -> None:
    class Off(Timed):
        def measure(self, candidate: Mapping[str, float]) -> Mapping[str, float]:
            raise RuntimeError("the meter is off")

    with pytest.raises(StudyError, match=r"measure\(\) failed: RuntimeError: the meter is off"):
        search(Off(), candidates=6)


@EVERY_SAMPLER
def test_a_resumed_study_proposes_the_same_though_measuring_again_gives_something_else(
    sampler: str,
) -> None:
    """Interrupted after each proposal; what was measured is remembered, as in a file."""
    remembered: dict[float, float] = {}
    whole, pieces = new_study(), new_study()
    one_process = proposer(Timed(drift=0.05, remembered=remembered), whole, sampler)
    for _ in range(8):
        one_process()
    for _ in range(8):
        proposer(Timed(drift=0.5, remembered=remembered), pieces, sampler)()
    assert [r.costs for r in pieces.records.values()] == [r.costs for r in whole.records.values()]
    assert [r.params for r in pieces.records.values()] == [r.params for r in whole.records.values()]


@EVERY_SAMPLER
def test_halving_compares_by_measured_costs_too(sampler: str) -> None:
    count = 8 if sampler == "gp" else 16  # Optuna's takes most of a second a proposal
    plan = Plan(
        goal=Goal(candidates=count, max_epochs=9),
        sampler=sampler,
        startup=4,
        halving=ParetoHalving(),
    )
    result = simulate_plan(Timed(), OBJECTIVES, plan, workers=3)
    assert {trial.state for trial in result.trials} <= {"done", "stopped"}
    assert {trial.state for trial in result.front()} == {"done"}
    assert result.hypervolume_trace([0.0, 1000.0, 1.0])[-1][1] > 0
    done = next(t for t in result.study.storage.get_all_trials(0) if t.values)
    assert len(done.values) == 3


# What a problem may say --------------------------------------------------------------------------


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_a_measured_cost_is_a_positive_number(value: float) -> None:
    class Broken(Timed):
        def measure(self, candidate: Mapping[str, float]) -> Mapping[str, float]:
            return {"latency_ms": value}

    with pytest.raises(StudyError, match="'latency_ms' was measured as") as caught:
        measure(Broken(), {"size": 1})
    assert "above 0" in caught.value.hint


def test_a_measured_cost_that_is_missing_is_named() -> None:
    class Silent(Timed):
        def measure(self, candidate: Mapping[str, float]) -> Mapping[str, float]:
            return {}

    with pytest.raises(StudyError, match="'latency_ms' was measured as None"):
        measure(Silent(), {"size": 1})


def test_a_problem_needs_no_measured_costs() -> None:
    assert measured_costs(ToyProblem()) == ()
    assert measure(ToyProblem(), {"size": 1}) == {}


# What is foreseen --------------------------------------------------------------------------------


def test_nothing_is_foreseen_before_something_was_measured() -> None:
    study = new_study()
    foresight = Foresight(Timed(), study)
    assert not foresight.is_ready
    proposer(Timed(), study, "random")()
    assert foresight.is_ready


def test_a_problem_without_measured_costs_is_left_as_it_is() -> None:
    foresight = Foresight(ToyProblem(), new_study())
    candidate = {"size": 7, "rate": 0.01}
    assert foresight.is_ready
    assert foresight.cost(candidate) == {"parameters": 7.0}
    assert foresight.key(candidate) == candidate_key(ToyProblem(), candidate)


def test_a_draft_has_exact_costs_and_a_foreseen_latency() -> None:
    study = new_study()
    propose = proposer(Timed(), study, "random")
    for _ in range(30):
        propose()
    rng = np.random.default_rng(0)
    foresight = Foresight(Timed(), study)
    for _ in range(20):
        drafted = draft(foresight, DrawnTrial(rng))
        assert drafted is not None
        size = drafted.params["size"]
        assert drafted.costs["parameters"] == size
        assert drafted.costs["latency_ms"] == pytest.approx(latency_ms(size), rel=0.35)


def test_what_was_measured_once_is_foreseen_to_be_the_same_everywhere() -> None:
    law = PowerLaw([[1000.0, 50_000.0]], [0.25])
    assert law.value([1000.0, 50_000.0]) == pytest.approx(0.25)
    assert law.value([1e6, 1e8]) == pytest.approx(0.25)


def test_two_that_hardly_differ_do_not_make_a_steep_law() -> None:
    """The noise of measuring is no slope."""
    law = PowerLaw([[1000.0], [1001.0]], [0.25, 0.30])
    assert 0.2 < law.value([1e6]) < 0.4


def test_a_power_of_one_cost_is_found() -> None:
    rng = np.random.default_rng(0)
    parameters, macs = np.exp(rng.uniform(6, 14, (2, 40)))
    law = PowerLaw(np.stack([parameters, macs], axis=1).tolist(), (1e-3 * macs**0.6).tolist())
    assert law.value([1e4, 1e6]) == pytest.approx(1e-3 * 1e6**0.6, rel=0.05)
    assert law.value([1e5, 1e6]) == pytest.approx(1e-3 * 1e6**0.6, rel=0.05)


def test_a_cost_of_nothing_has_a_place_in_the_law() -> None:
    assert PowerLaw([[0.0], [100.0]], [1.0, 2.0]).value([0.0]) > 0
