"""Proposals: turned down before dispatch, never the same twice, the same again with a seed."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from cluster.resources import Resources
from search.objectives import Bound
from search.sampling.proposer import Proposer
from search.sampling.samplers import derived_seed
from search.study.creation import create_study
from search.study.records import EpochResult, Failure, Phase
from search.study.study import Study
from spaces import CandidateRefused
from tests.toy import TOY_OBJECTIVES, ToyProblem

optuna.logging.set_verbosity(optuna.logging.WARNING)

NAME = "toy"
SAMPLERS = pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])


def new_study(storage: BaseStorage | None = None) -> Study:
    return create_study(storage or InMemoryStorage(), NAME, TOY_OBJECTIVES)


def proposer(study: Study, problem: Any = None, **changes: Any) -> Proposer:
    options: dict[str, Any] = {"sampler": "random", "startup": 4, "seed": 0, "max_epochs": 1}
    return Proposer(problem or ToyProblem(), study, **(options | changes))


def train(study: Study, number: int) -> None:
    """One epoch to full length, with an accuracy that depends on the parameters alone."""
    params = study.records[number].params
    accuracy = 1.0 - abs(params.get("rate", 0.01) - 0.01)
    study.begin_attempt(number)
    study.add_epochs(number, [EpochResult(number=1, metrics={"accuracy": accuracy}, seconds=1.0)])
    study.complete(number)


def trials(study: Study) -> list[optuna.trial.FrozenTrial]:
    return study.storage.get_all_trials(study._study_id, deepcopy=False)


# What is admitted -------------------------------------------------------------------------------


def test_an_admitted_candidate_is_in_the_study_with_its_costs_and_resources() -> None:
    study = new_study()
    admitted = proposer(study, ToyProblem(wide_above=0, workers=3))()
    assert admitted is not None
    record = study.records[admitted.number]
    assert record.phase is Phase.QUEUED
    assert record.candidate == record.params
    assert record.costs == {"parameters": float(record.params["size"])}
    assert record.resources == admitted.resources == Resources(workers=3)


@SAMPLERS
def test_a_proposal_stores_one_record_and_nothing_else(sampler: str) -> None:
    study = new_study()
    propose = proposer(study, sampler=sampler, startup=2)
    for count in range(1, 6):
        admitted = propose()
        assert admitted is not None
        assert len(study.records) == count
        assert len(trials(study)) == count + len(study.rejections)
        train(study, admitted.number)


@SAMPLERS
def test_a_proposal_is_one_line_in_the_journal(sampler: str, tmp_path: Path) -> None:
    journal = tmp_path / "journal.log"
    study = new_study(_journal(journal))
    propose = proposer(study, sampler=sampler)
    for _ in range(3):
        before = journal.read_bytes().count(b"\n")
        propose()
        assert journal.read_bytes().count(b"\n") == before + 1


# What is turned down ----------------------------------------------------------------------------


@SAMPLERS
def test_nothing_outside_the_bounds_is_admitted(sampler: str) -> None:
    study = new_study()
    propose = proposer(study, sampler=sampler, bounds=[Bound("parameters", min=20, max=50)])
    for _ in range(6):
        admitted = propose()
        assert admitted is not None
        assert 20 <= study.records[admitted.number].costs["parameters"] <= 50
        train(study, admitted.number)
    for rejection in study.rejections.values():
        outside = not 20 <= rejection.params["size"] <= 50
        assert (rejection.constraints["parameters"] > 0) == outside
        assert outside or rejection.is_duplicate


def test_a_rejection_is_pruned_and_says_how_far_outside_it_lies() -> None:
    study = new_study()
    propose = proposer(study, bounds=[Bound("parameters", max=2)])
    while not study.rejections:
        propose()
    for number, rejection in study.rejections.items():
        size = rejection.params["size"]
        assert rejection.constraints == {"parameters": (size - 2) / 2, "duplicate": 0.0}
        assert trials(study)[number].state is TrialState.PRUNED


@SAMPLERS
def test_no_candidate_is_run_twice(sampler: str) -> None:
    study = new_study()
    propose = proposer(study, ToyProblem(finite=6), sampler=sampler, startup=2)
    for _ in range(6):
        admitted = propose()
        assert admitted is not None
        train(study, admitted.number)
    sizes = sorted(record.params["size"] for record in study.records.values())
    assert sizes == [1, 2, 3, 4, 5, 6]
    assert all(rejection.is_duplicate for rejection in study.rejections.values())


def test_a_candidate_that_failed_is_not_run_again() -> None:
    study = new_study()
    propose = proposer(study, ToyProblem(finite=2))
    first = propose()
    assert first is not None
    study.fail(first.number, Failure(cause="bug", message="KeyError"))
    second = propose()
    assert second is not None
    assert propose() is None


def test_candidates_known_before_the_study_was_reopened_are_not_run_again() -> None:
    study = new_study()
    for _ in range(3):
        proposer(study, ToyProblem(finite=3))()
    again = Study(study.storage, NAME, TOY_OBJECTIVES)
    assert proposer(again, ToyProblem(finite=3))() is None


@SAMPLERS
def test_a_small_space_that_is_used_up_has_nothing_to_offer(sampler: str) -> None:
    study = new_study()
    propose = proposer(study, ToyProblem(finite=2), sampler=sampler, startup=1)
    for _ in range(2):
        admitted = propose()
        assert admitted is not None
        train(study, admitted.number)
    assert propose() is None
    assert len(study.records) == 2


def test_bounds_that_nothing_keeps_leave_nothing_to_offer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("search.sampling.proposer._LIMIT", 60)  # of 400 that take seconds
    assert proposer(new_study(), bounds=[Bound("parameters", min=1001)])() is None


class Refusing(ToyProblem):
    """A space that turns down small sizes itself, as the compound-scaling rule does."""

    def suggest(self, trial: Any) -> dict[str, float]:
        candidate = super().suggest(trial)
        if candidate["size"] < 500:
            raise CandidateRefused("too small", hint="larger")
        return candidate


@SAMPLERS
def test_what_the_space_refuses_is_turned_down_with_what_was_suggested(sampler: str) -> None:
    study = new_study()
    propose = proposer(study, Refusing(), sampler=sampler)
    for _ in range(3):
        admitted = propose()
        assert admitted is not None
        assert study.records[admitted.number].params["size"] >= 500
        train(study, admitted.number)
    assert study.rejections
    for rejection in study.rejections.values():
        assert rejection.constraints == {"space": 1.0}
        assert rejection.params["size"] < 500


# The same again ---------------------------------------------------------------------------------


def _journal(path: Path) -> JournalStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return JournalStorage(JournalFileBackend(str(path)))


@SAMPLERS
def test_the_same_seed_and_results_give_the_same_suggestions_also_after_reopening(
    sampler: str, tmp_path: Path
) -> None:
    options: dict[str, Any] = {
        "sampler": sampler,
        "startup": 3,
        "bounds": [Bound("parameters", max=500)],
    }
    undisturbed = new_study()
    propose = proposer(undisturbed, **options)
    for _ in range(10):
        admitted = propose()
        assert admitted is not None
        train(undisturbed, admitted.number)

    new_study(_journal(tmp_path / "journal.log"))
    for _ in range(10):
        study = Study(_journal(tmp_path / "journal.log"), NAME, TOY_OBJECTIVES)
        admitted = proposer(study, **options)()
        assert admitted is not None
        train(study, admitted.number)

    assert study.records == undisturbed.records
    assert study.rejections == undisturbed.rejections


@SAMPLERS
def test_another_seed_gives_other_suggestions(sampler: str) -> None:
    found = []
    for seed in (0, 1):
        study = new_study()
        propose = proposer(study, sampler=sampler, seed=seed)
        for _ in range(3):
            propose()
        found.append([record.params for record in study.records.values()])
    assert found[0] != found[1]


@SAMPLERS
def test_candidates_asked_for_at_once_differ(sampler: str) -> None:
    study = new_study()
    propose = proposer(study, sampler=sampler, startup=1)
    first = propose()
    assert first is not None
    train(study, first.number)
    for _ in range(4):  # none of them has a result yet
        assert propose() is not None
    assert len({record.params["rate"] for record in study.records.values()}) == 5


def test_the_seed_of_a_suggestion_is_derived_alike_on_every_machine() -> None:
    assert derived_seed(0, "suggest", 0) == 1816872862
    assert derived_seed(1, "suggest", 0) != derived_seed(0, "suggest", 0)
    assert 0 <= derived_seed(7, "train", "key") < 2**31


def test_a_kill_in_a_row_of_refusals_changes_no_suggestion() -> None:
    """Which of them the sampler makes, and which are random, is known from the storage."""

    def searched(restart: bool) -> Study:
        study = new_study()
        options: dict[str, Any] = {
            "sampler": "tpe",
            "startup": 2,
            "bounds": [Bound("parameters", min=400, max=415)],
        }
        propose = proposer(study, **options)
        for _ in range(4):
            if restart:
                reject, left = study.reject, iter(range(25))

                def dies(proposal: Any, reject: Any = reject, left: Any = left) -> Any:
                    found = reject(proposal)
                    if next(left, None) is None:
                        raise KeyboardInterrupt
                    return found

                study.reject = dies  # type: ignore[method-assign]
                try:
                    admitted = propose()
                except KeyboardInterrupt:
                    study = Study(study.storage, NAME, TOY_OBJECTIVES)
                    propose = proposer(study, **options)
                    admitted = propose()
                else:
                    study.reject = reject  # type: ignore[method-assign]
            else:
                admitted = propose()
            assert admitted is not None
            train(study, admitted.number)
        return study

    undisturbed, killed = searched(restart=False), searched(restart=True)
    assert len(undisturbed.rejections) > 30
    assert killed.rejections == undisturbed.rejections
    assert killed.records == undisturbed.records
