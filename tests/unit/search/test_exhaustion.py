"""A study that has tried all there is goes on only where there is something new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.execution.replay import replay
from search.objectives import Bound
from search.study.creation import create_study
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyProblem
from tests.unit.search.driving import carry_out

optuna.logging.set_verbosity(optuna.logging.WARNING)

EXHAUSTED = Done("the space has no new candidate within the bounds to offer")


def searched(
    storage: InMemoryStorage,
    problem: ToyProblem,
    folder: Path,
    *,
    sampler: str = "front",
    bounds: Sequence[Bound] = (),
    enqueued: Sequence[Mapping[str, Any]] = (),
) -> tuple[Study, Done | None]:
    """Search on until the end, with a driver that knows nothing but the storage."""
    plan = Plan(
        goal=Goal(candidates=20, max_epochs=3),
        sampler=sampler,
        halving=ParetoHalving(),
        bounds=tuple(bounds),
        enqueued=tuple(enqueued),
    )
    study = create_study(storage, "toy", TOY_OBJECTIVES)
    conductor = Conductor(problem, study, plan, checkpoints=folder)
    done = carry_out(conductor, problem)
    conductor.conclude()
    return study, done


@pytest.mark.parametrize("sampler", ["front", "tpe", "random"])
def test_what_was_tried_in_vain_is_not_tried_again(tmp_path: Path, sampler: str) -> None:
    storage, problem = InMemoryStorage(), ToyProblem(finite=5)
    first, done = searched(storage, problem, tmp_path, sampler=sampler)
    assert done == EXHAUSTED
    assert len(first.records) == 5
    assert len(first.rejections) >= 400
    again, done = searched(storage, problem, tmp_path, sampler=sampler)
    assert done == EXHAUSTED
    assert again.records == first.records
    assert again.rejections == first.rejections
    assert replay(again, problem).difference is None


def test_bounds_that_nothing_keeps_are_tried_once(tmp_path: Path) -> None:
    storage, bounds = InMemoryStorage(), [Bound("parameters", max=0.5)]
    for _ in range(2):
        study, done = searched(storage, ToyProblem(), tmp_path, bounds=bounds)
        assert done == EXHAUSTED
        assert len(study.rejections) == 400
    assert replay(study, ToyProblem()).difference is None


def test_a_space_that_was_widened_goes_on(tmp_path: Path) -> None:
    storage = InMemoryStorage()
    searched(storage, ToyProblem(finite=5), tmp_path)
    study, _ = searched(storage, ToyProblem(finite=7), tmp_path)
    assert {record.candidate["size"] for record in study.records.values()} == set(range(1, 8))


def test_what_is_enqueued_later_is_tried(tmp_path: Path) -> None:
    class Rare(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {"size": trial.suggest_int("size", 1, 10**9), "rate": 0.01}

    one = 123_456_789
    storage, bounds = InMemoryStorage(), [Bound("parameters", min=one, max=one)]
    study, done = searched(storage, Rare(), tmp_path, bounds=bounds)
    assert (len(study.records), done) == (0, EXHAUSTED)
    study, _ = searched(storage, Rare(), tmp_path, bounds=bounds, enqueued=[{"size": one}])
    assert [record.params for record in study.records.values()] == [{"size": one}]
