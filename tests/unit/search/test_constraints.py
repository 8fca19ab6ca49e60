"""What a proposal breaks is a constraint of its Optuna trial, seen by Optuna's models and tools."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from search.objectives import Bound
from search.sampling.projection import Projection
from search.sampling.proposer import Proposer
from search.study.creation import create_study
from search.study.records import EpochResult
from search.study.study import Study
from spaces import CandidateRefused
from tests.toy import TOY_OBJECTIVES, ToyProblem

optuna.logging.set_verbosity(optuna.logging.WARNING)

SMALL = Bound("parameters", max=60)


def proposer(study: Study, problem: Any = None, **options: Any) -> Proposer:
    known: dict[str, Any] = {"sampler": "tpe", "startup": 4, "seed": 0, "max_epochs": 1}
    return Proposer(problem or ToyProblem(), study, **(known | {"bounds": [SMALL]} | options))


def fill(study: Study, count: int, problem: Any = None, **options: Any) -> None:
    """Propose and train so many candidates: the larger, the more accurate."""
    propose = proposer(study, problem, **options)
    for _ in range(count):
        admitted = propose()
        assert admitted is not None
        study.begin_attempt(admitted.number)
        size = study.records[admitted.number].costs["parameters"]
        result = EpochResult(number=1, metrics={"accuracy": size / 1000}, seconds=1.0)
        study.add_epochs(admitted.number, [result])
        study.complete(admitted.number)


@pytest.fixture(scope="module")
def study() -> Study:
    """Twelve candidates of at most 60 parameters, in a space of 1 to 1000."""
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    fill(study, 12)
    assert len(study.rejections) > 3
    return study


def test_an_optuna_study_shows_what_each_trial_keeps_and_breaks(study: Study) -> None:
    loaded = optuna.load_study(study_name="toy", storage=study.storage)
    for trial in loaded.trials:
        assert trial.constraints["parameters"] == SMALL.violation(trial.user_attrs["costs"])
        broken = any(value > 0 for value in trial.constraints.values())
        assert broken == (trial.state is TrialState.PRUNED) == (trial.number in study.rejections)


def test_constraints_survive_the_journal(tmp_path: Path) -> None:
    def journal() -> JournalStorage:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))

    written = create_study(journal(), "toy", TOY_OBJECTIVES)
    fill(written, 5)
    loaded = optuna.load_study(study_name="toy", storage=journal())
    shown = {trial.number: trial.constraints for trial in loaded.trials}
    assert shown == {n: written.template(n).constraints for n in range(len(shown))}
    again = Study(journal(), "toy", TOY_OBJECTIVES)
    assert again.rejections == written.rejections


def test_best_trials_of_optuna_are_feasible_ones(study: Study) -> None:
    best = optuna.load_study(study_name="toy", storage=study.storage).best_trials
    assert best
    assert all(trial.user_attrs["costs"]["parameters"] <= 60 for trial in best)


def test_a_sampler_is_shown_the_constraints_of_every_trial(study: Study) -> None:
    shown = Projection(study).show(1, TPESampler(seed=0)).get_trials(deepcopy=False)
    broken = [trial for trial in shown if any(value > 0 for value in trial.constraints.values())]
    outside = [r for r in study.rejections.values() if not r.is_duplicate]
    assert len(broken) == len(outside)
    assert {t.params["size"] for t in broken} == {r.params["size"] for r in outside}
    assert all(t.constraints for t in shown if t.state is TrialState.COMPLETE)


class Walled(ToyProblem):
    """Nothing with a rate above 0.01, half of the space, can be built."""

    def suggest(self, trial: Any) -> dict[str, float]:
        candidate = super().suggest(trial)
        if candidate["rate"] > 0.01:
            raise CandidateRefused("too fast", hint="go slower")
        return candidate


@pytest.mark.parametrize("bound", ["the space", "a bound"])
def test_tpe_turns_away_from_where_it_was_turned_down(bound: str) -> None:
    """Of what it suggests late, far less lies in the forbidden part than of random suggestions."""
    problem: ToyProblem = Walled() if bound == "the space" else ToyProblem()
    bounds = [] if bound == "the space" else [SMALL]

    def turned_down_late(sampler: str) -> int:
        searched = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
        fill(searched, 15, problem, bounds=bounds, sampler=sampler)
        known = len(searched.rejections)
        fill(searched, 15, problem, bounds=bounds, sampler=sampler)
        return len(searched.rejections) - known

    assert turned_down_late("tpe") <= turned_down_late("random") / 2


def test_a_sampler_ranks_what_was_stopped_early_before_what_was_turned_down() -> None:
    """Both are shown as pruned; only the constraints tell TPE which of them could be built."""
    stopped = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    propose = proposer(stopped, sampler="random")
    for _ in range(12):
        admitted = propose()
        assert admitted is not None
        stopped.stop(admitted.number)

    def too_large(hide: bool) -> int:
        sizes = []
        for seed in range(20):
            shown = Projection(stopped).show(9, TPESampler(seed=seed, n_startup_trials=4))
            if hide:
                shown = _without_constraints(shown, seed)
            sizes.append(ToyProblem().suggest(shown.ask())["size"])
        return sum(size > 60 for size in sizes)

    assert too_large(hide=False) < too_large(hide=True)


def _without_constraints(shown: optuna.Study, seed: int) -> optuna.Study:
    bare = optuna.create_study(
        directions=shown.directions, sampler=TPESampler(seed=seed, n_startup_trials=4)
    )
    for trial in shown.get_trials(deepcopy=False):
        if trial.state is TrialState.COMPLETE:
            values: Mapping[str, Any] = {"values": trial.values}
        else:
            values = {}
        bare.add_trial(
            optuna.trial.create_trial(
                state=trial.state,
                params=trial.params,
                distributions=trial.distributions,
                **values,
            )
        )
    return bare
