"""The study: what is written when, what Optuna makes of it, and what reopening finds."""

from __future__ import annotations

import dataclasses
import math
import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from optuna.visualization._pareto_front import _get_pareto_front_info

from cluster.resources import Resources
from search.errors import StudyError
from search.objectives import Objective
from search.study.creation import create_study
from search.study.records import CandidateRecord, EpochResult, Failure, Phase
from search.study.stored import Proposal
from search.study.study import Study

F1 = Objective("mean_f1", "max")
SIZE = Objective("log10_parameters", "min", exact=True)
NAME = "ecg"

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


@pytest.fixture
def study(journal: Path) -> Study:
    return create_study(storage(journal), NAME, [F1, SIZE], {"seed": 7})


def storage(journal: Path) -> JournalStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return JournalStorage(JournalFileBackend(str(journal)))


def reopened(journal: Path) -> Study:
    return Study(storage(journal), NAME, [F1, SIZE])


def optuna_study(journal: Path) -> optuna.Study:
    return optuna.load_study(study_name=NAME, storage=storage(journal))


def optuna_trial(journal: Path, number: int) -> optuna.trial.FrozenTrial:
    return optuna_study(journal).trials[number]


def lines(journal: Path) -> int:
    return journal.read_bytes().count(b"\n")


def proposal(parameters: int = 1000, **changes: Any) -> Proposal:
    values: dict[str, Any] = {
        "params": {"width": parameters, "rate": 0.1 + 0.2},
        "distributions": {
            "width": IntDistribution(1, 100_000, log=True),
            "rate": FloatDistribution(0.0, 1.0),
        },
        "candidate": {"channels": [16, 24], "act": "silu"},
        "key": f"key-{parameters}",
        "costs": {"parameters": float(parameters), "macs": 1e6},
        "resources": Resources(workers=2, cpus=0.5),
        "constraints": {"parameters": -0.5, "duplicate": 0.0},
    }
    return Proposal(**(values | changes))


def epoch(number: int, mean_f1: float = 0.5) -> EpochResult:
    return EpochResult(number=number, metrics={"mean_f1": mean_f1, "loss": 0.25}, seconds=1.5)


def train(study: Study, *scores: float, parameters: int = 1000) -> int:
    """Add a candidate and these epochs; return its number."""
    number = study.add(proposal(parameters)).number
    study.begin_attempt(number)
    study.add_epochs(number, [epoch(n, score) for n, score in enumerate(scores, 1)])
    return number


# Writing ----------------------------------------------------------------------------------------


def test_a_new_candidate_is_one_line_in_the_journal(study: Study, journal: Path) -> None:
    before = lines(journal)
    study.add(proposal())
    assert lines(journal) == before + 1


def test_a_rejection_is_one_line_in_the_journal(study: Study, journal: Path) -> None:
    before = lines(journal)
    study.reject(proposal(constraints={"parameters": 0.5}))
    assert lines(journal) == before + 1


def test_an_epoch_is_one_line_in_the_journal(study: Study, journal: Path) -> None:
    number = train(study, 0.5)
    before = lines(journal)
    study.add_epochs(number, [epoch(2), epoch(3)])
    assert lines(journal) == before + 2


def test_a_candidate_is_queued_with_everything_that_is_known_of_it(study: Study) -> None:
    assert study.add(proposal()) == CandidateRecord(
        number=0,
        key="key-1000",
        params={"width": 1000, "rate": 0.1 + 0.2},
        candidate={"channels": [16, 24], "act": "silu"},
        costs={"parameters": 1000.0, "macs": 1e6},
        resources=Resources(workers=2, cpus=0.5),
        phase=Phase.QUEUED,
    )


def test_candidates_and_rejections_are_numbered_together(study: Study) -> None:
    assert study.add(proposal()).number == 0
    assert study.reject(proposal(constraints={"space": 1.0})).number == 1
    assert study.add(proposal(2000)).number == 2
    assert list(study.records) == [0, 2]
    assert list(study.rejections) == [1]


def test_every_lease_is_a_new_attempt(study: Study) -> None:
    number = study.add(proposal()).number
    assert study.begin_attempt(number) == 1
    study.pause(number)
    assert study.begin_attempt(number) == 2
    record = study.records[number]
    assert (record.phase, record.attempt) == (Phase.RUNNING, 2)


def test_epochs_that_are_known_stay_as_they_are(study: Study, journal: Path) -> None:
    number = train(study, 0.1, 0.2)
    before = lines(journal)
    study.add_epochs(number, [epoch(1, 0.9), epoch(2, 0.9), epoch(3, 0.3)])
    assert [e.metrics["mean_f1"] for e in study.records[number].curve] == [0.1, 0.2, 0.3]
    assert lines(journal) == before + 1


def test_an_epoch_that_skips_others_is_refused(study: Study) -> None:
    number = train(study, 0.1)
    with pytest.raises(StudyError, match="candidate 0 reports epoch 3 after 1") as caught:
        study.add_epochs(number, [epoch(3)])
    assert caught.value.hint == "let Problem.learn yield every epoch once, counted from 1"


def test_results_with_a_gap_are_refused_together(study: Study, journal: Path) -> None:
    number = train(study, 0.1)
    with pytest.raises(StudyError):
        study.add_epochs(number, [epoch(2), epoch(4)])
    assert study.records[number].epochs == 1
    assert study.records == reopened(journal).records


def test_readings_of_the_test_part_are_kept_in_order(study: Study, journal: Path) -> None:
    study.log_test_reading({"by": "retrain", "trial": 3})
    study.log_test_reading({"by": "evaluate", "trial": 3})
    assert [reading["by"] for reading in reopened(journal).test_readings] == [
        "retrain",
        "evaluate",
    ]


# What Optuna sees -------------------------------------------------------------------------------


def test_directions_and_metric_names_are_the_objectives(study: Study, journal: Path) -> None:
    told = optuna_study(journal)
    assert [direction.name for direction in told.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert told.metric_names == ["mean_f1", "log10_parameters"]


def test_a_candidate_is_running_until_its_verdict(study: Study, journal: Path) -> None:
    number = study.add(proposal()).number
    assert optuna_trial(journal, number).state is TrialState.RUNNING
    study.begin_attempt(number)
    study.add_epochs(number, [epoch(1)])
    study.pause(number)
    assert optuna_trial(journal, number).state is TrialState.RUNNING


def test_a_full_length_candidate_is_complete_with_values_in_the_users_direction(
    study: Study, journal: Path
) -> None:
    number = train(study, 0.5, 0.75)
    study.complete(number)
    trial = optuna_trial(journal, number)
    assert (trial.state, trial.values) == (TrialState.COMPLETE, [0.75, 3.0])
    assert trial.params == {"width": 1000, "rate": 0.1 + 0.2}


def test_a_stopped_candidate_is_pruned(study: Study, journal: Path) -> None:
    number = train(study, 0.5)
    study.pause(number)
    study.stop(number)
    trial = optuna_trial(journal, number)
    assert (trial.state, trial.values) == (TrialState.PRUNED, None)
    assert study.records[number].phase is Phase.STOPPED


def test_a_failed_candidate_is_fail_with_its_cause(study: Study, journal: Path) -> None:
    number = train(study, 0.5)
    study.fail(number, Failure(cause="out of memory", message="asked for 3 GiB"))
    assert optuna_trial(journal, number).state is TrialState.FAIL
    assert study.records[number].phase is Phase.FAILED
    assert reopened(journal).records[number].failure == Failure(
        cause="out of memory", message="asked for 3 GiB"
    )


def test_a_rejection_is_pruned_with_its_constraints(study: Study, journal: Path) -> None:
    study.reject(proposal(constraints={"parameters": 0.5, "duplicate": 0.0}))
    trial = optuna_trial(journal, 0)
    assert trial.state is TrialState.PRUNED
    assert trial.constraints == {"parameters": 0.5, "duplicate": 0.0}


def test_only_a_rejection_for_nothing_but_its_key_is_a_duplicate(study: Study) -> None:
    twice = study.reject(proposal(constraints={"parameters": -1.0, "duplicate": 1.0}))
    large = study.reject(proposal(constraints={"parameters": 0.5, "duplicate": 1.0}))
    assert twice.is_duplicate
    assert not large.is_duplicate


def test_optuna_finds_the_front(study: Study, journal: Path) -> None:
    for parameters, score in ((100, 0.5), (1000, 0.4), (10_000, 0.7)):
        study.complete(train(study, score, parameters=parameters))
    study.reject(proposal(1, constraints={"parameters": 0.5}))
    best = optuna_study(journal).best_trials
    assert sorted(trial.params["width"] for trial in best) == [100, 10_000]


def test_optunas_tools_can_read_a_study_with_candidates_of_every_phase(
    study: Study, journal: Path
) -> None:
    for parameters in (100, 300, 1000, 3000):
        study.complete(train(study, math.log10(parameters) / 5, parameters=parameters))
    study.stop(train(study, 0.1, parameters=5000))
    study.fail(train(study, 0.1, parameters=6000), Failure(cause="bug", message="KeyError"))
    study.reject(proposal(9, constraints={"parameters": 0.5}))
    train(study, 0.3, parameters=7000)
    told = optuna_study(journal)

    states = ["COMPLETE"] * 4 + ["PRUNED", "FAIL", "PRUNED", "RUNNING"]
    assert list(told.trials_dataframe()["state"]) == states
    shown = _get_pareto_front_info(told)  # what optuna.visualization draws
    assert shown.target_names == ["mean_f1", "log10_parameters"]
    assert len(shown.best_trials_with_values) == 4


# Reopening --------------------------------------------------------------------------------------


def test_reopening_knows_that_learning_ended_of_its_own_accord(study: Study, journal: Path) -> None:
    number = train(study, 0.5)
    study.add_epochs(number, [dataclasses.replace(epoch(2), final=True)])
    assert reopened(journal).records[number].ended


def test_reopening_knows_which_epochs_model_is_kept(study: Study, journal: Path) -> None:
    number = train(study, 0.75, 0.5)
    study.add_epochs(number, [dataclasses.replace(epoch(3, 0.25), kept=1)])
    assert reopened(journal).records[number] == study.records[number]
    assert reopened(journal).records[number].metrics["mean_f1"] == 0.75
    study.complete(number)
    assert optuna_trial(journal, number).values == [0.75, 3.0]


def test_reopening_finds_equal_records(study: Study, journal: Path) -> None:
    study.complete(train(study, 0.1, 0.2, 0.30000000000000004, parameters=10))
    study.stop(train(study, 0.1, parameters=20))
    study.fail(train(study, parameters=30), Failure(cause="bug", message="KeyError: 'x'"))
    paused = train(study, 0.4, parameters=40)
    study.pause(paused)
    lost = train(study, 0.4, 0.5, parameters=50)
    study.note_setback(lost, Failure(cause="lost worker", message="gone", attempt=1))
    study.note_setback(lost, Failure(cause="out of memory", message="full", attempt=2))
    train(study, 0.4, parameters=60)
    study.add(proposal(70))
    study.reject(proposal(80, constraints={"parameters": 0.25}))

    again = reopened(journal)
    assert again.records == study.records
    assert again.rejections == study.rejections
    assert {record.phase for record in again.records.values()} == set(Phase)
    assert [s.cause for s in again.records[lost].setbacks] == ["lost worker", "out of memory"]
    assert (again.records[lost].batch_parts, again.records[paused].batch_parts) == (2, 1)


def test_more_than_nine_epochs_come_back_in_order(study: Study, journal: Path) -> None:
    number = train(study, *[n / 20 for n in range(12)])
    numbers = [e.number for e in reopened(journal).records[number].curve]
    assert numbers == list(range(1, 13))


def test_settings_are_those_the_study_was_begun_with(study: Study, journal: Path) -> None:
    again = create_study(storage(journal), NAME, [F1, SIZE], {"seed": 8})
    assert again.settings == {"seed": 7}


def test_a_study_that_was_only_begun_to_be_created_gets_its_settings_and_names(
    journal: Path,
) -> None:
    optuna.create_study(
        storage=storage(journal), study_name=NAME, directions=["maximize", "minimize"]
    )
    assert create_study(storage(journal), NAME, [F1, SIZE], {"seed": 7}).settings == {"seed": 7}
    assert optuna_study(journal).metric_names == ["mean_f1", "log10_parameters"]


def test_a_study_that_is_not_there_is_refused(journal: Path, study: Study) -> None:
    with pytest.raises(StudyError, match="no study named 'eeg'"):
        Study(storage(journal), "eeg", [F1, SIZE])


def test_a_metric_that_is_not_a_number_survives_beside_the_objectives(
    study: Study, journal: Path
) -> None:
    number = study.add(proposal()).number
    metrics = {"mean_f1": 0.5, "f1_of_an_absent_class": math.nan}
    study.add_epochs(number, [EpochResult(number=1, metrics=metrics, seconds=1.0)])
    study.complete(number)
    assert math.isnan(reopened(journal).records[number].metrics["f1_of_an_absent_class"])


# Settling after a kill --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.DONE, TrialState.COMPLETE),
        (Phase.STOPPED, TrialState.PRUNED),
    ],
)
def test_a_verdict_that_was_not_told_any_more_is_told(
    study: Study, journal: Path, phase: Phase, state: TrialState
) -> None:
    number = train(study, 0.5)
    study._set_phase(number, phase)  # killed between this write and the next
    again = reopened(journal)
    again.settle()
    assert optuna_trial(journal, number).state is state


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.FAILED])
def test_a_failure_that_was_only_begun_to_be_written_is_finished(
    study: Study, journal: Path, phase: Phase
) -> None:
    number = train(study, 0.5)
    study._set(number, "failure", {"cause": "bug", "message": "KeyError"})
    study._set_phase(number, phase)
    again = reopened(journal)
    again.settle()
    assert again.records[number].phase is Phase.FAILED
    assert optuna_trial(journal, number).state is TrialState.FAIL


def test_settling_what_is_settled_changes_nothing(study: Study, journal: Path) -> None:
    study.complete(train(study, 0.5, parameters=10))
    study.pause(train(study, 0.5, parameters=20))
    again = reopened(journal)
    before = journal.read_bytes()
    again.settle()
    again.settle()
    assert journal.read_bytes() == before


def test_settling_a_study_that_was_not_reopened_changes_nothing(
    study: Study, journal: Path
) -> None:
    study.complete(train(study, 0.5, parameters=10))
    study.fail(train(study, 0.5, parameters=20), Failure(cause="bug", message="KeyError"))
    before = journal.read_bytes()
    study.settle()
    assert journal.read_bytes() == before


def test_a_candidate_without_verdict_is_left_running(study: Study, journal: Path) -> None:
    number = train(study, 0.5)
    reopened(journal).settle()
    assert optuna_trial(journal, number).state is TrialState.RUNNING


def test_trials_of_strangers_are_told_fail(study: Study, journal: Path) -> None:
    asked = optuna_study(journal).ask({"width": IntDistribution(1, 100_000, log=True)})
    again = reopened(journal)
    assert again.strangers == [asked.number]
    assert asked.number not in again.records
    again.settle()
    assert again.strangers == []
    assert optuna_trial(journal, asked.number).state is TrialState.FAIL
    assert reopened(journal).strangers == []


def test_finished_trials_of_strangers_stay_as_they_are(study: Study, journal: Path) -> None:
    told = optuna_study(journal)
    told.tell(told.ask(), [0.9, 1.0])
    again = reopened(journal)
    again.settle()
    assert optuna_trial(journal, 0).values == [0.9, 1.0]
    assert again.records == {}
