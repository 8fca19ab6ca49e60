"""What every sampler on offer must do, driven as a search drives it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.pareto import hypervolume
from search.objectives import Bound, Objective, objective_vector
from search.sampling.proposer import Proposer
from search.sampling.samplers import SAMPLERS
from search.study.fronts import front_records
from search.study.records import EpochResult, Failure
from search.study.study import Study, create_study
from search.study_file.tables import SamplerTable
from tests.toy import TOY_OBJECTIVES, ToyProblem, searched

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


def search(sampler: str, count: int, tell: Tell = succeed, **changes: Any) -> Study:
    """Propose so many candidates, one after the other."""
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    options: dict[str, Any] = {"sampler": sampler, "startup": 4, "seed": 0, "max_epochs": 1}
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
    count = 6 if sampler == "gp" else 20  # Optuna's takes seconds a proposal with constraints
    study = search(sampler, count, bounds=bounds)
    assert all(record.costs["parameters"] <= 13 for record in study.records.values())
    if sampler == "tpe":
        by_chance = search("random", 20, bounds=bounds)
        assert len(study.rejections) < 0.7 * len(by_chance.rejections)


def test_a_small_space_is_searched_to_its_last_candidate(sampler: str) -> None:
    plan = Plan(goal=Goal(candidates=100, max_epochs=3), sampler=sampler, startup=3)
    study = searched(ToyProblem(finite=8), plan, workers=2)
    assert sorted(record.params["size"] for record in study.records.values()) == list(range(1, 9))


def test_a_search_with_halving_finds_a_front(sampler: str) -> None:
    plan = Plan(
        goal=Goal(candidates=40, max_epochs=9),
        sampler=sampler,
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
