"""A study that ended goes on with more budget: who was stopped may be promoted after all."""

from __future__ import annotations

import dataclasses
import math
import tempfile
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.lease import candidate_name
from search.engine.reopening import reopenable
from search.execution.replay import replay
from search.study.checkpoints import CheckpointFolder
from search.study.creation import create_study
from search.study.records import CandidateRecord, Phase
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyProblem
from tests.unit.search.driving import Killed, MortalStorage, carry_out

optuna.logging.set_verbosity(optuna.logging.WARNING)

FULL_LENGTH = 9
HALVING = ParetoHalving(eta=3, min_results=1, finish_front=False)


def plan(candidates: int | None, *, budget_epochs: int | None = None, **options: Any) -> Plan:
    goal = Goal(candidates=candidates, max_epochs=FULL_LENGTH, budget_epochs=budget_epochs)
    return Plan(goal=goal, sampler=options.pop("sampler", "random"), halving=HALVING, **options)


def run(study: Study, asked: Plan, checkpoints: Path, problem: Any = None) -> None:
    problem = problem or ToyProblem()
    conductor = Conductor(problem, study, asked, checkpoints=checkpoints)
    assert isinstance(carry_out(conductor, problem, slots=1), Done)
    conductor.conclude()


def trials(study: Study) -> list[optuna.trial.FrozenTrial]:
    return study.storage.get_all_trials(study._study_id, deepcopy=False)


def reopened(study: Study) -> Study:
    return Study(study.storage, study.name, TOY_OBJECTIVES)


def promoted(before: dict[int, CandidateRecord], after: Study) -> list[int]:
    """Return who was stopped before and has come further since."""
    return [
        number
        for number, record in before.items()
        if record.phase is Phase.STOPPED and after.records[number].epochs > record.epochs
    ]


@pytest.fixture
def ended(tmp_path: Path) -> Study:
    """Six candidates, of which the rungs let two train on."""
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    run(study, plan(6), tmp_path)
    assert {record.phase for record in study.records.values()} == {Phase.STOPPED}
    return study


def test_stopped_candidates_are_promoted_when_more_come_in_below_them(
    ended: Study, tmp_path: Path
) -> None:
    before = dict(ended.records)
    run(ended, plan(24), tmp_path)
    assert len(ended.records) == 24
    assert promoted(before, ended)
    assert Phase.DONE in {record.phase for record in ended.records.values()}


@pytest.mark.parametrize("sampler", ["front", "random"])
def test_no_trial_is_left_running_and_none_is_told_twice(
    ended: Study, tmp_path: Path, sampler: str
) -> None:
    run(ended, plan(14, sampler=sampler, startup=4), tmp_path)
    assert all(trial.state.is_finished() for trial in trials(ended))
    assert len({record.key for record in ended.records.values()}) == 14
    assert reopened(ended).records == ended.records


def test_a_candidate_keeps_number_curve_and_folder_and_goes_on_from_its_checkpoint(
    ended: Study, tmp_path: Path
) -> None:
    before = dict(ended.records)
    run(ended, plan(24), tmp_path)
    for number in promoted(before, ended):
        record = ended.records[number]
        assert record.curve[: before[number].epochs] == before[number].curve
        assert record.attempt > before[number].attempt
        folder = CheckpointFolder(tmp_path / candidate_name(number, record.key))
        latest = folder.latest()
        assert latest is not None
        assert (latest.attempt, latest.epoch) == (record.attempt, record.epochs)
    assert len(list(tmp_path.iterdir())) == 24


def test_in_optuna_a_second_trial_continues_the_first(ended: Study, tmp_path: Path) -> None:
    before = dict(ended.records)
    told = {trial.number: trial.state for trial in trials(ended)}
    run(ended, plan(24), tmp_path)
    now = trials(ended)
    assert {number: now[number].state for number in told} == told
    continuing = {t.user_attrs["continues"]: t for t in now if "continues" in t.user_attrs}
    assert sorted(continuing) == sorted(promoted(before, ended))
    for number, trial in continuing.items():
        record = ended.records[number]
        done = record.phase is Phase.DONE
        assert trial.state is (TrialState.COMPLETE if done else TrialState.PRUNED)
        assert trial.params == now[number].params
        if done:
            assert trial.values == [record.metrics["accuracy"], record.costs["parameters"]]
    assert len(now) == 24 + len(continuing) + len(ended.rejections)


def test_a_study_that_is_not_extended_stays_as_it_is(ended: Study, tmp_path: Path) -> None:
    before, count = dict(ended.records), len(trials(ended))
    again = reopened(ended)
    run(again, plan(6), tmp_path)
    assert again.records == before
    assert len(trials(again)) == count


def test_a_study_can_be_extended_again_and_again(tmp_path: Path) -> None:
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    for candidates in (6, 12, 24, 48):
        study = reopened(study)
        run(study, plan(candidates), tmp_path)
        assert len(study.records) == candidates
        assert all(record.phase.is_final for record in study.records.values())
        assert all(trial.state.is_finished() for trial in trials(study))
    undisturbed = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    run(undisturbed, plan(48), tmp_path / "undisturbed")
    expected = {record.key: record for record in undisturbed.records.values()}
    assert set(expected) == {record.key for record in study.records.values()}
    for record in study.records.values():
        both = min(record.epochs, expected[record.key].epochs)
        assert record.curve[:both] == expected[record.key].curve[:both]


def test_without_its_checkpoint_a_candidate_stays_stopped(ended: Study, tmp_path: Path) -> None:
    before = dict(ended.records)
    run(ended, plan(24), tmp_path / "elsewhere")
    assert not promoted(before, ended)
    assert len(ended.records) == 24


def test_a_candidate_that_the_code_builds_otherwise_now_stays_stopped(
    ended: Study, tmp_path: Path
) -> None:
    class Changed(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {**super().suggest(trial), "added": 1.0}

    assert len(list(reopenable(ended, ToyProblem(), lambda _: True))) == 6
    assert not list(reopenable(ended, Changed(), lambda _: True))


def test_more_epochs_let_those_go_on_whom_the_budget_stopped(tmp_path: Path) -> None:
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    run(study, plan(6, budget_epochs=7), tmp_path)
    spent = sum(record.epochs for record in study.records.values())
    assert 7 <= spent <= 8
    run(study, plan(6, budget_epochs=60), tmp_path)
    undisturbed = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    run(undisturbed, plan(6), tmp_path / "undisturbed")
    assert {record.key: record.curve for record in study.records.values()} == {
        record.key: record.curve for record in undisturbed.records.values()
    }


def test_who_never_started_is_started_when_the_study_goes_on(tmp_path: Path) -> None:
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    conductor = Conductor(ToyProblem(), study, plan(2), checkpoints=tmp_path)
    conductor.next(lambda resources: False)  # proposed, and no room for it
    conductor.conclude()
    assert [(r.phase, r.attempt) for r in study.records.values()] == [(Phase.STOPPED, 0)]
    run(study, plan(2), tmp_path)
    assert [record.epochs for record in study.records.values()] == [1, 1]
    assert all(trial.state.is_finished() for trial in trials(study))


@pytest.mark.parametrize("writes", range(9))
def test_an_extension_killed_while_stopped_ones_are_taken_up_replays(
    tmp_path: Path, writes: int
) -> None:
    """With no more to start, all members of the front are taken up and promoted at once."""
    halving = ParetoHalving(eta=3, min_results=1, finish_front=True)
    short, long = (
        dataclasses.replace(plan(8, budget_epochs=budget), halving=halving) for budget in (12, None)
    )
    storage = MortalStorage()
    study = create_study(storage, "toy", TOY_OBJECTIVES)
    run(study, short, tmp_path)
    storage.writes_left = writes
    with pytest.raises(Killed):
        run(reopened(study), long, tmp_path)
    storage.writes_left = math.inf
    study = reopened(study)
    run(study, long, tmp_path)
    assert replay(study, ToyProblem()).difference is None


@settings(max_examples=10, deadline=None)
@given(kills=st.lists(st.integers(0, 90), max_size=4), candidates=st.integers(7, 16))
def test_an_extension_killed_at_any_write_is_finished_by_who_takes_it_up(
    kills: list[int], candidates: int
) -> None:
    storage = MortalStorage()
    with tempfile.TemporaryDirectory() as folder:
        study = create_study(storage, "toy", TOY_OBJECTIVES)
        run(study, plan(6), Path(folder))
        for writes in [*kills, math.inf]:
            storage.writes_left = writes
            study = reopened(study)
            try:
                run(study, plan(candidates), Path(folder))
            except Killed:
                storage.writes_left = math.inf
    assert len(study.records) == candidates
    assert len({record.key for record in study.records.values()}) == candidates
    assert all(record.phase.is_final for record in study.records.values())
    assert all(trial.state.is_finished() for trial in trials(study))
    for record in study.records.values():
        assert [epoch.number for epoch in record.curve] == list(range(1, record.epochs + 1))
    assert reopened(study).records == study.records
