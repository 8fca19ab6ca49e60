"""A search is carried out again from its log: the same comes out, whatever happened on the way."""

from __future__ import annotations

import math
import random
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage

from cluster.resources import Resources
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done
from search.engine.failures import FailurePolicy
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.plan_log import plan_from_dict, plan_to_dict
from search.errors import StudyError
from search.execution.replay import Replay, replay
from search.objectives import Bound
from search.study.creation import create_study
from search.study.order import Leased, Promoted, Reopened, Session, Suggested, Told, events
from search.study.stored import PLACE
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyProblem, searched
from tests.unit.search.driving import Killed, MortalStorage, carry_out

optuna.logging.set_verbosity(optuna.logging.WARNING)

NAME = "toy"
PATIENT = FailurePolicy(max_bugs_in_a_row=1000, max_losses=1000)


def plan(candidates: int = 14, *, sampler: str = "front", **options: Any) -> Plan:
    goal = Goal(candidates=candidates, max_epochs=9)
    settings = {"halving": ParetoHalving(), "startup": 4, "failure_policy": PATIENT}
    return Plan(goal=goal, sampler=sampler, **(settings | options))


def require_same(found: Replay) -> None:
    assert found.difference is None, found.difference
    assert found.suggestions
    assert found.decisions


# The order --------------------------------------------------------------------------------------


def test_everything_has_its_place_in_one_order() -> None:
    log = events(searched(ToyProblem(fail="large+nan"), plan(), workers=3))
    assert [event.place for event in log] == list(range(1, len(log) + 1))
    assert isinstance(log[0], Session)


def test_a_candidate_is_suggested_leased_and_told_of_in_that_order() -> None:
    study = searched(ToyProblem(), plan(3, sampler="random", halving=None), workers=3)
    for number in study.records:
        kinds = [type(event) for event in events(study) if getattr(event, "number", -1) == number]
        assert kinds == [Suggested, Leased, *[Told] * 9]


def test_the_order_goes_on_after_an_interruption(tmp_path: Path) -> None:
    study = create_study(InMemoryStorage(), NAME, TOY_OBJECTIVES)
    for steps in (7, math.inf):
        study = Study(study.storage, NAME, TOY_OBJECTIVES)
        conductor = Conductor(ToyProblem(), study, plan(), checkpoints=tmp_path)
        carry_out(conductor, ToyProblem(), steps=steps)
    log = events(study)
    assert [event.place for event in log] == list(range(1, len(log) + 1))
    assert sum(isinstance(event, Session) for event in log) == 2


def test_a_plan_is_logged_so_that_it_can_be_followed_again() -> None:
    asked = plan(
        bounds=(Bound("parameters", max=500),), halving=ParetoHalving(eta=4, finish_front=False)
    )
    assert plan_from_dict(plan_to_dict(asked)) == asked
    assert plan_from_dict(plan_to_dict(plan(halving=None))) == plan(halving=None)


# The same comes out -----------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("sampler", ["front", "tpe", "nsga2", "random"])
def test_a_parallel_search_comes_out_the_same(sampler: str, workers: int) -> None:
    problem = ToyProblem(fail="nan")
    study = searched(problem, plan(sampler=sampler), workers=workers)
    found = replay(study, problem)
    require_same(found)
    assert found.suggestions == len(study.records) + len(study.rejections)


def test_turned_down_suggestions_are_compared_too() -> None:
    asked = plan(6, sampler="tpe", bounds=(Bound("parameters", max=30),))
    study = searched(ToyProblem(), asked, workers=2)
    assert study.rejections
    require_same(replay(study, ToyProblem()))


def test_an_exhausted_space_comes_out_the_same() -> None:
    problem = ToyProblem(finite=5)
    study = searched(problem, plan(20), workers=2)
    assert len(study.records) == 5
    require_same(replay(study, problem))


def test_a_space_with_nothing_within_bounds_comes_out_the_same() -> None:
    """The last that happened is a suggestion that was turned down."""
    asked = plan(sampler="random", bounds=(Bound("parameters", max=0.5),))
    study = searched(ToyProblem(), asked)
    assert not study.records
    assert study.rejections
    assert replay(study, ToyProblem()) == Replay(suggestions=400, decisions=0, difference=None)


def test_a_search_halted_by_bugs_comes_out_the_same() -> None:
    problem = ToyProblem(fail="bug")
    study = searched(problem, plan(failure_policy=FailurePolicy()), workers=2)
    assert len(study.records) == 4
    require_same(replay(study, problem))


@pytest.mark.parametrize("sampler", ["front", "random"])
def test_promotions_that_wait_for_room_have_their_own_place(sampler: str) -> None:
    """A wide candidate is promoted when one slot is free and starts when two are."""
    problem = ToyProblem(wide_above=30, workers=2)
    study = searched(problem, plan(20, sampler=sampler, seed=2), workers=3)
    assert any(isinstance(event, Promoted) for event in events(study))
    require_same(replay(study, problem))


@settings(max_examples=10, deadline=None)
@given(
    kills=st.lists(st.integers(0, 90), max_size=4),
    sampler=st.sampled_from(["front", "tpe"]),
    slots=st.integers(1, 3),
    bounds=st.sampled_from([(), (Bound("parameters", max=60),)]),
    seed=st.integers(0, 100),
)
def test_a_search_killed_at_any_write_comes_out_the_same(
    kills: list[int],
    sampler: str,
    slots: int,
    bounds: tuple[Bound, ...],
    seed: int,
) -> None:
    chance = random.Random(seed)
    asked = plan(7, sampler=sampler, bounds=bounds, startup=3)
    storage, problem = MortalStorage(), ToyProblem(fail="large")
    create_study(storage, NAME, TOY_OBJECTIVES)
    with tempfile.TemporaryDirectory() as folder:
        for writes in [*kills, math.inf]:
            storage.writes_left = writes
            try:
                study = Study(storage, NAME, TOY_OBJECTIVES)
                conductor = Conductor(problem, study, asked, checkpoints=Path(folder))
                assert (
                    carry_out(
                        conductor, problem, slots=slots, loses_worker=lambda: chance.random() < 0.1
                    )
                    == Done()
                )
                conductor.conclude()
            except Killed:
                storage.writes_left = math.inf
                stands = Study(storage, NAME, TOY_OBJECTIVES)
                if stands.sessions:
                    assert replay(stands, problem).difference is None
    require_same(replay(Study(storage, NAME, TOY_OBJECTIVES), problem))


def test_another_sampler_and_more_candidates_from_now_on_come_out_the_same(tmp_path: Path) -> None:
    storage = InMemoryStorage()
    create_study(storage, NAME, TOY_OBJECTIVES)
    for asked in (plan(6, sampler="tpe"), plan(12, sampler="front"), plan(15, sampler="nsga2")):
        study = Study(storage, NAME, TOY_OBJECTIVES)
        conductor = Conductor(ToyProblem(), study, asked, checkpoints=tmp_path)
        assert carry_out(conductor, ToyProblem()) == Done()
        conductor.conclude()
    assert len(study.records) == 15
    require_same(replay(study, ToyProblem()))


def test_who_was_taken_up_again_and_got_no_slot_comes_out_the_same(tmp_path: Path) -> None:
    storage = InMemoryStorage()
    create_study(storage, NAME, TOY_OBJECTIVES)
    stopping, finishing = (
        plan(6, sampler="random", halving=ParetoHalving(min_results=1, finish_front=finished))
        for finished in (False, True)
    )
    for asked, slots in ((stopping, 2), (finishing, 0), (finishing, 2)):
        study = Study(storage, NAME, TOY_OBJECTIVES)
        conductor = Conductor(ToyProblem(), study, asked, checkpoints=tmp_path)
        if slots:
            assert carry_out(conductor, ToyProblem(), slots=slots) == Done()
        else:
            conductor.next(lambda resources: False)
        conductor.conclude()
    reopened = [event.number for event in events(study) if isinstance(event, Reopened)]
    assert len(reopened) > len(set(reopened)), "taken up twice, and once in vain"
    require_same(replay(study, ToyProblem()))


def test_trials_of_others_in_between_change_nothing(tmp_path: Path) -> None:
    study = create_study(InMemoryStorage(), NAME, TOY_OBJECTIVES)
    for candidates in (3, 6):
        study = Study(study.storage, NAME, TOY_OBJECTIVES)
        asked = plan(candidates, sampler="tpe", startup=2)
        conductor = Conductor(ToyProblem(), study, asked, checkpoints=tmp_path)
        assert carry_out(conductor, ToyProblem()) == Done()
        optuna.load_study(study_name=NAME, storage=study.storage).ask()
    require_same(replay(study, ToyProblem()))


# What a stopwatch said is taken from the record ---------------------------------------------------


class Timed(ToyProblem):
    """Its latency is never twice the same."""

    def measured_costs(self) -> tuple[str, ...]:
        return ("latency_ms",)

    def measure(self, candidate: Mapping[str, float]) -> dict[str, float]:
        return {"latency_ms": 0.01 * candidate["size"] * random.uniform(0.5, 2.0)}


def test_measured_costs_are_taken_from_the_record() -> None:
    asked = plan(bounds=(Bound("latency_ms", max=5.0),))
    study = searched(Timed(), asked, workers=2)
    assert study.rejections
    require_same(replay(study, Timed()))


# Something else comes out -----------------------------------------------------------------------


def tampered(study: Study, number: int, key: str, value: Any) -> Study:
    """The study with one attribute of a trial written over."""
    trials = study.storage.get_all_trials(study._study_id, deepcopy=False)
    trials[number].user_attrs[key] = value
    return Study(study.storage, NAME, TOY_OBJECTIVES)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    study = create_study(InMemoryStorage(), NAME, TOY_OBJECTIVES)
    conductor = Conductor(ToyProblem(), study, plan(), checkpoints=tmp_path)
    carry_out(conductor, ToyProblem())
    conductor.conclude()
    return study


def test_a_result_that_was_changed_leads_to_another_verdict_or_suggestion(study: Study) -> None:
    best = max(study.records.values(), key=lambda r: r.metrics["accuracy"])
    first = study.trials[best.number].user_attrs["epoch:1"]
    changed = {**first, "metrics": {"accuracy": -1.0}}
    found = replay(tampered(study, best.number, "epoch:1", changed), ToyProblem())
    assert found.difference is not None
    assert found.difference.place >= first[PLACE]
    assert found.difference.recorded != found.difference.replayed


def test_another_verdict_is_the_difference(study: Study) -> None:
    first = study.trials[0].user_attrs["epoch:1"]
    assert first["verdict"] == "pause"
    found = replay(tampered(study, 0, "epoch:1", {**first, "verdict": "stop"}), ToyProblem())
    assert found.difference is not None
    assert found.difference.place == first[PLACE]
    assert found.difference.recorded == "candidate 0 reports epoch 1, and is to stop"
    assert found.difference.replayed == "and is to pause"


def test_another_seed_suggests_something_else(study: Study) -> None:
    session = study.note("session:1")
    study.set_note("session:1", {**session, "plan": {**session["plan"], "seed": 5}})
    found = replay(study, ToyProblem())
    assert found.difference is not None
    assert found.difference.place == 2
    assert found.difference.recorded.startswith('candidate 0 is suggested: {"size": ')
    assert (found.suggestions, found.decisions) == (0, 0)


def test_what_the_sampler_fitted_is_compared_at_the_end(study: Study) -> None:
    scales = study.note("scales")
    study.set_note("scales", {**scales, "results": 1})
    found = replay(study, ToyProblem())
    assert found.difference is not None
    assert "scales" in found.difference.recorded


def test_a_study_without_a_log_is_refused() -> None:
    empty = create_study(InMemoryStorage(), NAME, TOY_OBJECTIVES)
    with pytest.raises(StudyError, match="has no log of the order of its events"):
        replay(empty, ToyProblem())


def test_resources_are_no_part_of_a_decision(study: Study) -> None:
    """A study may have gone on with other workers a trial than it began with."""

    class Wide(ToyProblem):
        def resources(self, candidate: Mapping[str, float]) -> Resources:
            return Resources(workers=4)

    require_same(replay(study, Wide()))
