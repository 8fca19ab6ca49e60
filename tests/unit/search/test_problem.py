"""The seam between search and learning: problems by import path, candidates by their key."""

from __future__ import annotations

import dataclasses
from typing import Any

import optuna
import pytest

from cluster.resources import Resources
from search.errors import StudyError
from search.problem import (
    Problem,
    ProblemSpec,
    ReplayTrial,
    candidate_dict,
    candidate_key,
    candidate_resources,
    rebuild_candidate,
)
from tests.toy import ToyProblem


class Keyed(ToyProblem):
    """Candidates of one size are one candidate."""

    def key(self, candidate: Any) -> str:
        return f"size-{candidate['size']}"


class Bare:
    """The least that can be searched."""

    def suggest(self, trial: Any) -> dict[str, Any]:
        return {
            "act": trial.suggest_categorical("act", ["relu", "silu"]),
            "depth": trial.suggest_int("depth", 1, 4, step=1),
            "rate": trial.suggest_float("rate", 1e-4, 1e-1, log=True),
        }

    def cost(self, candidate: Any) -> dict[str, float]:
        return {}

    def learn(self, candidate: Any, context: Any) -> Any:
        yield from ()


@dataclasses.dataclass(frozen=True)
class Network:
    width: int
    kernels: tuple[int, ...] = (3, 5)


# Building ---------------------------------------------------------------------------------------


def test_a_problem_is_built_from_its_import_path_and_arguments() -> None:
    problem = ProblemSpec(path="tests.toy:ToyProblem", arguments={"wide_above": 50}).build()
    assert problem.resources({"size": 51}).workers == 2  # type: ignore[attr-defined]


def test_a_spec_comes_back_from_its_dictionary() -> None:
    spec = ProblemSpec(path="tests.toy:ToyProblem", arguments={"wide_above": 50})
    assert ProblemSpec.from_dict(spec.to_dict()) == spec


def test_specs_are_identified_by_path_and_arguments_in_any_order() -> None:
    first = ProblemSpec(path="a:B", arguments={"x": 1, "y": 2})
    assert first.identity() == ProblemSpec(path="a:B", arguments={"y": 2, "x": 1}).identity()
    assert first.identity() != ProblemSpec(path="a:B", arguments={"x": 1}).identity()


@pytest.mark.parametrize("path", ["nowhere:Toy", "tests.toy:Nothing", "tests.toy", "", ":Toy"])
def test_a_path_that_names_nothing_is_refused(path: str) -> None:
    with pytest.raises(StudyError, match=f"problem '{path}' cannot be imported") as caught:
        ProblemSpec(path=path).build()
    assert "module:Class" in caught.value.hint


def test_what_does_not_follow_the_protocol_is_refused() -> None:
    with pytest.raises(StudyError, match="'fractions:Fraction' does not follow the Problem"):
        ProblemSpec(path="fractions:Fraction").build()


def test_key_and_resources_are_optional() -> None:
    assert isinstance(Bare(), Problem)
    assert candidate_resources(Bare(), {}) == Resources()
    assert len(candidate_key(Bare(), {"depth": 2})) == 20


# Candidates -------------------------------------------------------------------------------------


def test_a_candidate_is_a_mapping_a_dataclass_or_has_to_dict() -> None:
    spec = ProblemSpec(path="a:B")
    assert candidate_dict({"width": 8}) == {"width": 8}
    assert candidate_dict(Network(8)) == {"width": 8, "kernels": [3, 5]}
    assert candidate_dict(spec) == spec.to_dict()


def test_anything_else_cannot_be_written_down() -> None:
    with pytest.raises(StudyError, match="a candidate of type int cannot be written down"):
        candidate_dict(8)


def test_the_key_is_the_content_whatever_its_order() -> None:
    assert candidate_key(Bare(), {"a": 1, "b": 2}) == candidate_key(Bare(), {"b": 2, "a": 1})
    assert candidate_key(Bare(), {"a": 1, "b": 2}) != candidate_key(Bare(), {"a": 1, "b": 3})


def test_a_problem_may_say_itself_what_is_the_same_candidate() -> None:
    assert candidate_key(Keyed(), {"size": 3, "rate": 0.1}) == "size-3"


def test_a_problem_may_say_itself_what_a_trial_occupies() -> None:
    assert candidate_resources(ToyProblem(wide_above=2), {"size": 3}) == Resources(workers=2)


# Rebuilding -------------------------------------------------------------------------------------


def test_a_worker_rebuilds_the_candidate_that_the_sampler_suggested() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = optuna.create_study().ask()
    candidate = Bare().suggest(trial)
    key = candidate_key(Bare(), candidate)
    assert rebuild_candidate(Bare(), trial.params, key) == candidate


def test_a_replay_answers_from_known_parameters() -> None:
    replay = ReplayTrial({"rate": 0.5, "depth": 3, "act": "silu"})
    assert Bare().suggest(replay) == {"act": "silu", "depth": 3, "rate": 0.5}


def test_a_space_that_asks_for_more_than_it_did_is_refused() -> None:
    params = {"act": "silu", "depth": 3}
    with pytest.raises(StudyError, match="now asks for 'rate', which a candidate was made without"):
        rebuild_candidate(Bare(), params, "k")


def test_a_candidate_that_is_another_one_now_is_refused() -> None:
    params = {"act": "silu", "depth": 3, "rate": 0.1}
    with pytest.raises(StudyError, match=r"candidate 0000 is rebuilt as [0-9a-f]{20}") as caught:
        rebuild_candidate(Bare(), params, "0000")
    assert "start a new study" in caught.value.hint
