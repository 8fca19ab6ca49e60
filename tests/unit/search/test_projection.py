"""What a sampler is shown: everything at one comparable length, nothing that misleads it."""

from __future__ import annotations

from collections.abc import Sequence

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState

from cluster.resources import Resources
from search.objectives import Objective
from search.sampling.projection import Projection, comparable_epoch
from search.study.creation import create_study
from search.study.records import CandidateRecord, EpochResult, Failure, Phase
from search.study.stored import Proposal
from search.study.study import Study

optuna.logging.set_verbosity(optuna.logging.WARNING)

OBJECTIVES = [Objective("mean_f1", "max"), Objective("parameters", "min", exact=True)]
RUNGS = (1, 3, 9)


@pytest.fixture
def study() -> Study:
    return create_study(InMemoryStorage(), "ecg", OBJECTIVES)


def proposal(size: int, constraints: dict[str, float]) -> Proposal:
    return Proposal(
        params={"size": size},
        distributions={"size": IntDistribution(1, 999)},
        candidate={"size": size},
        key=f"key-{size}",
        costs={"parameters": float(size)},
        resources=Resources(),
        constraints=constraints,
        system_attrs={"nsga2:generation": 2},
    )


def add(
    study: Study,
    scores: Sequence[float] = (),
    phase: Phase = Phase.RUNNING,
    *,
    ends: bool = False,
) -> int:
    """Add a candidate with these scores, epoch after epoch; learning `ends` with the last."""
    number = study.add(proposal(100 + len(study.records), {"duplicate": 0.0})).number
    if phase is Phase.QUEUED:
        return number
    study.begin_attempt(number)
    study.add_epochs(
        number,
        [
            EpochResult(
                number=n,
                metrics={"mean_f1": score},
                seconds=1.0,
                final=ends and n == len(scores),
            )
            for n, score in enumerate(scores, 1)
        ],
    )
    match phase:
        case Phase.PAUSED:
            study.pause(number)
        case Phase.STOPPED:
            study.stop(number)
        case Phase.DONE:
            study.complete(number)
        case Phase.FAILED:
            study.fail(number, Failure(cause="bug", message="KeyError"))
    return number


def shown(study: Study, epoch: int) -> list[optuna.trial.FrozenTrial]:
    return Projection(study).show(epoch, RandomSampler(seed=0)).trials


def record(epochs: int, phase: Phase = Phase.RUNNING) -> CandidateRecord:
    curve = tuple(EpochResult(number=n + 1, metrics={}, seconds=1.0) for n in range(epochs))
    return CandidateRecord(
        number=0,
        key="",
        params={},
        candidate={},
        costs={},
        resources=Resources(),
        phase=phase,
        curve=curve,
    )


# The comparable epoch ---------------------------------------------------------------------------


def test_with_nothing_told_the_first_rung_is_compared() -> None:
    assert comparable_epoch([], RUNGS, 27, enough=2) == 1


def test_the_highest_rung_that_enough_have_reached_is_compared() -> None:
    records = [record(27), record(9), record(9), record(4), record(1)]
    assert comparable_epoch(records, RUNGS, 27, enough=1) == 27
    assert comparable_epoch(records, RUNGS, 27, enough=2) == 9
    assert comparable_epoch(records, RUNGS, 27, enough=4) == 3
    assert comparable_epoch(records, RUNGS, 27, enough=9) == 1


def test_candidates_that_failed_do_not_make_a_rung_comparable() -> None:
    records = [record(9), record(9, Phase.FAILED)]
    assert comparable_epoch(records, RUNGS, 27, enough=2) == 1


def test_without_rungs_full_length_is_compared() -> None:
    assert comparable_epoch([record(5)], (), 27, enough=1) == 27


# What is shown ----------------------------------------------------------------------------------


def test_every_candidate_is_shown_as_it_stood_at_the_epoch(study: Study) -> None:
    add(study, [0.1, 0.2, 0.3], Phase.PAUSED)
    add(study, [0.4] * 8 + [0.9], Phase.DONE)
    assert [trial.values for trial in shown(study, 3)] == [[-0.3, 100.0], [-0.4, 101.0]]
    assert {trial.state for trial in shown(study, 3)} == {TrialState.COMPLETE}


def test_one_that_is_still_running_is_shown_complete_once_it_passed_the_epoch(
    study: Study,
) -> None:
    add(study, [0.1, 0.2])
    assert [trial.state for trial in shown(study, 1)] == [TrialState.COMPLETE]
    assert [trial.state for trial in shown(study, 3)] == [TrialState.RUNNING]


def test_one_whose_learning_ended_is_shown_at_its_last_epoch_from_there_on(study: Study) -> None:
    number = add(study, [0.1, 0.3], ends=True)
    study.complete(number)
    assert [trial.values for trial in shown(study, 1)] == [[-0.1, 100.0]]
    assert [trial.values for trial in shown(study, 9)] == [[-0.3, 100.0]]
    assert comparable_epoch(study.records.values(), RUNGS, 27, enough=1) == 27


@pytest.mark.parametrize("phase", [Phase.PAUSED, Phase.STOPPED])
def test_one_that_did_not_get_so_far_is_shown_pruned(study: Study, phase: Phase) -> None:
    add(study, [0.1], phase)
    assert [trial.state for trial in shown(study, 3)] == [TrialState.PRUNED]


@pytest.mark.parametrize("phase", [Phase.QUEUED, Phase.RUNNING])
def test_one_that_is_on_its_way_is_shown_running(study: Study, phase: Phase) -> None:
    add(study, [], phase)
    assert [trial.state for trial in shown(study, 1)] == [TrialState.RUNNING]


def test_one_that_failed_is_shown_failed_however_far_it_came(study: Study) -> None:
    add(study, [0.9] * 9, Phase.FAILED)
    assert [trial.state for trial in shown(study, 1)] == [TrialState.FAIL]


def test_a_rejection_is_shown_infeasible(study: Study) -> None:
    study.reject(proposal(7, {"parameters": 0.5, "duplicate": 0.0}))
    (trial,) = shown(study, 1)
    assert trial.state is TrialState.PRUNED
    assert trial.constraints == {"parameters": 0.5, "duplicate": 0.0}


def test_what_trained_is_shown_feasible(study: Study) -> None:
    add(study, [0.1], Phase.PAUSED)
    add(study, [0.1, 0.1, 0.1], Phase.PAUSED)
    for trial in shown(study, 3):
        assert all(value <= 0 for value in trial.constraints.values())
        assert trial.constraints


def test_duplicates_are_left_out(study: Study) -> None:
    add(study, [0.1])
    study.reject(proposal(100, {"parameters": -0.5, "duplicate": 1.0}))
    add(study, [0.2])
    assert [trial.params["size"] for trial in shown(study, 1)] == [100, 101]


def test_the_order_is_that_of_the_proposals(study: Study) -> None:
    add(study, [0.1])
    study.reject(proposal(7, {"parameters": 0.5}))
    add(study, [0.1])
    assert [trial.params["size"] for trial in shown(study, 1)] == [100, 7, 101]


def test_everything_is_minimised_and_knows_its_parameters_and_sampler_attributes(
    study: Study,
) -> None:
    add(study, [0.1])
    projected = Projection(study).show(1, RandomSampler(seed=0))
    assert [direction.name for direction in projected.directions] == ["MINIMIZE", "MINIMIZE"]
    (trial,) = projected.trials
    assert trial.params == {"size": 100}
    assert trial.distributions == {"size": IntDistribution(1, 999)}
    assert trial.system_attrs["nsga2:generation"] == 2


def test_asking_the_projection_writes_nothing_to_the_study(study: Study) -> None:
    add(study, [0.1])
    projected = Projection(study).show(1, RandomSampler(seed=0))
    projected.ask().suggest_int("size", 1, 999)
    assert len(projected.trials) == 2
    assert len(study.storage.get_all_trials(study._study_id)) == 1


def test_a_reopened_study_is_shown_alike(study: Study) -> None:
    add(study, [0.1, 0.2, 0.3], Phase.PAUSED)
    add(study, [0.4], Phase.STOPPED)
    add(study, [], Phase.FAILED)
    study.reject(proposal(7, {"parameters": 0.5}))
    again = Study(study.storage, "ecg", OBJECTIVES)

    def facts(of: Study) -> list[tuple[object, ...]]:
        return [(t.state, t.values, t.params, t.system_attrs) for t in shown(of, 3)]

    assert facts(again) == facts(study)
