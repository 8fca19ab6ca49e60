"""What every sampler on offer must do, driven as a search drives it."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.pareto import hypervolume
from search.execution.replay import replay
from search.execution.simulator import simulate_plan
from search.objectives import Bound, Objective, objective_vector
from search.problem import Context
from search.sampling.proposer import Proposer
from search.sampling.samplers import SAMPLERS
from search.study.creation import create_study
from search.study.fronts import front_records
from search.study.records import EpochResult, Failure, Phase
from search.study.study import Study
from search.study_file.tables import SamplerTable
from tests.toy import TOY_OBJECTIVES, ToyEpoch, ToyProblem, searched

optuna.logging.set_verbosity(optuna.logging.WARNING)

pytestmark = pytest.mark.parametrize("sampler", sorted(SAMPLERS))


class Conditional(ToyProblem):
    """A space with a parameter that only one branch has, and one of each kind."""

    def suggest(self, trial: Any) -> dict[str, Any]:
        candidate: dict[str, Any] = {
            "fusion": trial.suggest_categorical("fusion", ["none", "head", "stem"]),
            "size": trial.suggest_int("size", 8, 800, log=True),
            "depth": trial.suggest_int("depth", 2, 10, step=2),
            "rate": trial.suggest_float("rate", 1e-3, 1e-1, log=True),
        }
        if candidate["fusion"] != "none":
            candidate["heads"] = trial.suggest_int("heads", 1, 4)
        return candidate


Tell = Callable[[Study, int], None]


def succeed(study: Study, number: int) -> None:
    params = study.records[number].params
    accuracy = 1.0 - abs(params["rate"] - 0.01) + 0.001 * params["size"]
    study.begin_attempt(number)
    study.add_epochs(number, [EpochResult(number=1, metrics={"accuracy": accuracy}, seconds=1.0)])
    study.complete(number)


def fail(study: Study, number: int) -> None:
    study.fail(number, Failure(cause="bug", message="KeyError"))


def leave(study: Study, number: int) -> None:
    """Say nothing: it goes on running."""


def begun(sampler: str, count: int) -> int:
    """Return how many of so many proposals are random: Optuna's GP takes seconds for each other."""
    return max(4, count - 2) if sampler == "gp" else 4


def search(sampler: str, count: int, tell: Tell = succeed, **changes: Any) -> Study:
    """Propose so many candidates, one after the other."""
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    startup = begun(sampler, count)
    options: dict[str, Any] = {"sampler": sampler, "startup": startup, "seed": 0, "max_epochs": 1}
    propose = Proposer(Conditional(), study, **(options | changes))
    for _ in range(count):
        admitted = propose()
        assert admitted is not None
        tell(study, admitted.number)
    return study


def test_suggestions_lie_in_the_space(sampler: str) -> None:
    for record in search(sampler, 15).records.values():
        params = record.params
        assert params["fusion"] in ("none", "head", "stem")
        assert 8 <= params["size"] <= 800
        assert params["depth"] in (2, 4, 6, 8, 10)
        assert 1e-3 <= params["rate"] <= 1e-1
        assert ("heads" in params) == (params["fusion"] != "none")


def test_a_seed_determines_the_study(sampler: str) -> None:
    assert search(sampler, 10).records == search(sampler, 10).records
    assert search(sampler, 10).records != search(sampler, 10, seed=1).records


@pytest.mark.parametrize("tell", [fail, leave])
def test_it_goes_on_suggesting_when_nothing_has_a_result(sampler: str, tell: Tell) -> None:
    assert len(search(sampler, 8, tell, startup=2).records) == 8


def test_suggestions_after_the_first_ones_depend_on_what_was_told(sampler: str) -> None:
    """Random alone does not listen."""

    def worse_the_larger(study: Study, number: int) -> None:
        study.begin_attempt(number)
        accuracy = -study.records[number].costs["parameters"]
        epoch = EpochResult(number=1, metrics={"accuracy": accuracy}, seconds=1.0)
        study.add_epochs(number, [epoch])
        study.complete(number)

    told_one = [record.params for record in search(sampler, 14).records.values()]
    other = search(sampler, 14, worse_the_larger).records.values()
    told_other = [record.params for record in other]
    assert told_one[:4] == told_other[:4]
    assert (told_one == told_other) == (sampler == "random")


def test_bounds_are_learned_not_only_enforced(sampler: str) -> None:
    """In a space that is nine tenths too large TPE is turned down less often than chance."""
    bounds = [Bound("parameters", max=13)]
    count = 5 if sampler == "gp" else 20  # Optuna's takes seconds a proposal with constraints
    study = search(sampler, count, bounds=bounds)
    assert all(record.costs["parameters"] <= 13 for record in study.records.values())
    if sampler == "tpe":
        by_chance = search("random", 20, bounds=bounds)
        assert len(study.rejections) < 0.7 * len(by_chance.rejections)


def test_a_small_space_is_searched_to_its_last_candidate(sampler: str) -> None:
    startup = 7 if sampler == "gp" else 3
    plan = Plan(goal=Goal(candidates=100, max_epochs=3), sampler=sampler, startup=startup)
    study = searched(ToyProblem(finite=8), plan, workers=2)
    assert sorted(record.params["size"] for record in study.records.values()) == list(range(1, 9))


def test_a_space_of_one_candidate_has_it_once(sampler: str) -> None:
    plan = Plan(goal=Goal(candidates=5, max_epochs=3), sampler=sampler, startup=2)
    study = searched(ToyProblem(finite=1), plan, workers=2)
    assert [record.params for record in study.records.values()] == [{"size": 1}]


def test_results_that_are_all_alike_do_not_stop_it(sampler: str) -> None:
    def alike(study: Study, number: int) -> None:
        study.begin_attempt(number)
        study.add_epochs(number, [EpochResult(number=1, metrics={"accuracy": 0.5}, seconds=1.0)])
        study.complete(number)

    study = search(sampler, 7, alike)
    assert len({record.key for record in study.records.values()}) == 7


def test_candidates_that_run_side_by_side_differ(sampler: str) -> None:
    """However many have no result yet."""

    def tell_the_first(study: Study, number: int) -> None:
        if number < 4:
            succeed(study, number)

    study = search(sampler, 8, tell_the_first)
    assert len({record.key for record in study.records.values()}) == 8


class ThreeGoals(ToyProblem):
    """Parameters and operations are known, accuracy is learned."""

    def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
        size = float(candidate["size"])
        return {"parameters": size, "macs": size * (1.0 + 100.0 * candidate["rate"])}


def test_three_objectives_are_searched(sampler: str) -> None:
    objectives = [*TOY_OBJECTIVES, Objective("macs", "min", exact=True)]
    plan = Plan(
        goal=Goal(candidates=9, max_epochs=3),
        sampler=sampler,
        startup=begun(sampler, 9),
        halving=ParetoHalving(),
    )
    study = simulate_plan(ThreeGoals(), objectives, plan, workers=2).study
    assert len(study.records) == 9
    assert {len(trial.values) for trial in study.trials if trial.values} == {3}


def test_what_diverged_is_no_result_to_it(sampler: str) -> None:
    """Half of the candidates report an accuracy that is no number; it goes on in the space."""

    class Diverging(ToyProblem):
        def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
            for epoch in super().learn(candidate, context):
                value = epoch.metrics["accuracy"] if candidate["size"] % 2 else math.nan
                yield dataclasses.replace(epoch, metrics={"accuracy": value})

    goal = Goal(candidates=10, max_epochs=2)
    plan = Plan(goal=goal, sampler=sampler, startup=begun(sampler, 10))
    study = searched(Diverging(), plan, workers=2)
    assert len(study.records) == 10
    for record in study.records.values():
        assert (record.phase is Phase.FAILED) == (record.params["size"] % 2 == 0)
        assert 1e-3 <= record.params["rate"] <= 1e-1
    values = [value for trial in study.trials for value in trial.values or ()]
    assert all(math.isfinite(value) for value in values)


def test_whoever_takes_the_study_up_hears_the_same_next_suggestion(
    sampler: str, tmp_path: Path
) -> None:
    """All that a sampler knows is in the storage: here it forgets everything after each one."""

    def journal() -> JournalStorage:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))

    create_study(journal(), "toy", TOY_OBJECTIVES)
    for _ in range(8):
        study = Study(journal(), "toy", TOY_OBJECTIVES)
        propose = Proposer(
            Conditional(), study, sampler=sampler, startup=begun(sampler, 8), seed=0, max_epochs=1
        )
        admitted = propose()
        assert admitted is not None
        succeed(study, admitted.number)
    assert study.records == search(sampler, 8).records


def test_a_parallel_search_can_be_replayed(sampler: str) -> None:
    plan = Plan(
        goal=Goal(candidates=8, max_epochs=3),
        sampler=sampler,
        startup=begun(sampler, 8),
        halving=ParetoHalving(),
    )
    found = replay(searched(ToyProblem(), plan, workers=3), ToyProblem())
    assert found.difference is None, found.difference
    assert found.suggestions >= 8


def test_a_search_with_halving_finds_a_front(sampler: str) -> None:
    plan = Plan(
        goal=Goal(candidates=40, max_epochs=9),
        sampler=sampler,
        startup=35 if sampler == "gp" else 10,
        halving=ParetoHalving(),
        seed=1,
    )
    study = searched(ToyProblem(), plan, workers=4)
    front = [
        objective_vector(_LOG, record.metrics, record.costs) for record in front_records(study)
    ]
    # The best there is: size n at rate 0.01 has an accuracy of log(n + 1) / 8 (and the toy's 0.02).
    best = [objective_vector(_LOG, *_best(size)) for size in range(1, 1001)]
    reference = (0.0, 3.0)
    assert hypervolume(front, reference) > 0.75 * hypervolume(best, reference)


_LOG = [Objective("accuracy", "max"), Objective("log10_parameters", "min", exact=True)]


def _best(size: int) -> tuple[dict[str, float], dict[str, float]]:
    return {"accuracy": math.log(size + 1) / 8}, {"parameters": float(size)}


def test_a_study_file_can_name_it(sampler: str) -> None:
    assert SamplerTable.model_validate({"name": sampler}).name == sampler
