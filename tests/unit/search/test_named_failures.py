"""A problem of one's own that fails on some candidates only: told in two lines, and mended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage

from cluster.resources import Resources
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.errors import StudyError
from search.named_failures import with_named_failures
from search.problem import Problem
from search.sampling.drawing import DrawnTrial, draft
from search.study.creation import create_study
from search.study.study import Study
from spaces import CandidateRefused
from tests.toy import TOY_OBJECTIVES, ToyProblem
from tests.unit.search.driving import carry_out

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Fragile(ToyProblem):
    """A toy one of whose methods fails on candidates above a size, until it is mended."""

    def __init__(self, method: str, *, above: int = 50, error: type[Exception] = ZeroDivisionError):
        super().__init__()
        self.method = method
        self.above = above
        self.error = error

    def suggest(self, trial: Any) -> dict[str, float]:
        size = trial.suggest_int("size", 1, 1000, log=True)
        self._fail("suggest", size)
        return {"size": size, "rate": trial.suggest_float("rate", 1e-3, 1e-1, log=True)}

    def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
        self._fail("cost", candidate["size"])
        return super().cost(candidate)

    def key(self, candidate: Mapping[str, float]) -> str:
        self._fail("key", candidate["size"])
        return f"{candidate['size']}-{candidate['rate']}"

    def resources(self, candidate: Mapping[str, float]) -> Resources:
        self._fail("resources", candidate["size"])
        return super().resources(candidate)

    def _fail(self, method: str, size: float) -> None:
        if method == self.method and size > self.above:
            raise self.error("too large")


def searched(study: Study, problem: ToyProblem, sampler: str, folder: Path) -> Done | None:
    plan = Plan(
        goal=Goal(candidates=16, max_epochs=3), sampler=sampler, startup=5, halving=ParetoHalving()
    )
    conductor = Conductor(problem, study, plan, checkpoints=folder)
    done = carry_out(conductor, problem, slots=1)
    conductor.conclude()
    return done


def new_study() -> Study:
    return create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)


@pytest.mark.parametrize("sampler", ["front", "tpe", "random"])
@pytest.mark.parametrize("method", ["suggest", "cost", "key", "resources"])
def test_a_search_names_what_failed_and_goes_on_once_it_is_mended(
    method: str, sampler: str, tmp_path: Path
) -> None:
    undisturbed = new_study()
    searched(undisturbed, Fragile("none"), sampler, tmp_path / "undisturbed")
    sizes = [record.candidate["size"] for record in undisturbed.records.values()]
    problem = Fragile(method, above=sorted(sizes)[-3])
    study = new_study()
    told = (
        rf"problem Fragile: {method}\(\) failed on a candidate.*size.*: ZeroDivisionError: too la"
    )
    with pytest.raises(StudyError, match=told) as caught:
        searched(study, problem, sampler, tmp_path / "study")
    assert "the same command goes on" in caught.value.hint
    assert len(study.records) < len(sizes)
    problem.method = "none"
    reopened = Study(study.storage, "toy", TOY_OBJECTIVES)
    assert searched(reopened, problem, sampler, tmp_path / "study") == Done()
    for number, record in undisturbed.records.items():
        assert reopened.records[number].params == record.params
        assert reopened.records[number].curve == record.curve


def test_the_parameters_so_far_are_named() -> None:
    with pytest.raises(StudyError, match=r"suggest\(\) failed on a candidate with size = \d+: "):
        draft(Fragile("suggest", above=0), DrawnTrial(np.random.default_rng(0)))
    with pytest.raises(StudyError, match=r"cost\(\) .* with size = \d+, rate = 0\.\d+: "):
        draft(Fragile("cost", above=0), DrawnTrial(np.random.default_rng(0)))


def test_a_candidate_that_was_built_before_is_named_itself() -> None:
    named = with_named_failures(Fragile("cost"))
    with pytest.raises(StudyError, match=r"cost\(\) failed on a candidate \{'size': 51\}"):
        named.cost({"size": 51})
    with pytest.raises(StudyError) as caught:
        named.cost({"size": 51, "name": "x" * 10_000})
    assert len(str(caught.value)) < 500


def test_costs_that_are_no_numbers_are_named() -> None:
    class Wordy(ToyProblem):
        def cost(self, candidate: object) -> dict[str, Any]:
            return {"parameters": None}

    with pytest.raises(StudyError, match=r"problem Wordy: cost\(\) failed .*: TypeError: "):
        draft(Wordy(), DrawnTrial(np.random.default_rng(0)))


def test_only_suggest_refuses_candidates() -> None:
    class Refused(CandidateRefused):
        def __init__(self, message: str) -> None:
            super().__init__(message, hint="another")

    def drawn(method: str) -> object:
        problem = Fragile(method, above=0, error=Refused)
        return draft(problem, DrawnTrial(np.random.default_rng(0)))

    assert drawn("suggest") is None
    with pytest.raises(StudyError, match=r"cost\(\) failed on .*Refused: too large") as caught:
        drawn("cost")
    assert "let suggest() raise spaces.CandidateRefused" in caught.value.hint


def test_an_error_with_a_hint_stays_as_it_is() -> None:
    class HintedError(StudyError):
        def __init__(self, message: str) -> None:
            super().__init__(message, hint="mend that")

    with pytest.raises(HintedError, match=r"^too large$"):
        draft(Fragile("cost", above=0, error=HintedError), DrawnTrial(np.random.default_rng(0)))


def test_whatever_else_a_problem_has_is_still_there() -> None:
    named = with_named_failures(ToyProblem(finite=3))
    assert isinstance(named, Problem)
    assert named.finite == 3  # type: ignore[attr-defined]
    assert not hasattr(named, "shapes")
