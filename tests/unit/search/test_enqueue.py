"""Enqueued candidates: checked when they are read, tried first, never twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

from search.engine.conductor import Conductor, Plan
from search.engine.goal import Goal
from search.engine.lease import Lease
from search.errors import StudyError
from search.execution.simulator import simulate
from search.objectives import Bound
from search.sampling.pinned import pinned_draft, shared_params
from search.sampling.proposer import Proposer
from search.study.creation import create_study
from search.study.study import Study
from search.warm_start import by_command, enqueue, require_candidates
from spaces import CandidateRefused
from tests.toy import TOY_OBJECTIVES, ToyProblem

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Branching(ToyProblem):
    """A space with a choice of which some parameters depend."""

    def suggest(self, trial: Any) -> dict[str, Any]:
        kind = trial.suggest_categorical("kind", ["plain", "wide", True])
        found = {**super().suggest(trial), "kind": str(kind)}
        if kind == "wide":
            found["heads"] = trial.suggest_int("heads", 2, 8, step=2)
        return found


def new_study() -> Study:
    return create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)


def drawn(given: dict[str, Any], *bounds: Bound, problem: Any = None) -> dict[str, Any]:
    return dict(pinned_draft(problem or Branching(), bounds, given, 0).params)


# Which parameters can be given ------------------------------------------------------------------


def test_what_is_given_is_kept_and_the_rest_is_drawn() -> None:
    found = drawn({"size": 7, "heads": 4})
    assert (found["size"], found["heads"], found["kind"]) == (7, 4, "wide")
    assert 1e-3 <= found["rate"] <= 1e-1


def test_the_same_seed_draws_the_same_and_another_draws_others() -> None:
    first, again, other = (
        pinned_draft(ToyProblem(), (), {"size": 7}, seed).params for seed in (0, 0, 1)
    )
    assert first == again != other


def test_whole_numbers_are_read_as_real_ones_where_the_space_has_those() -> None:
    class Real(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {"size": trial.suggest_float("size", 1.0, 9.0), "rate": 0.01}

    value = drawn({"size": 3}, problem=Real())["size"]
    assert value == 3.0
    assert isinstance(value, float)


@pytest.mark.parametrize(
    ("given", "message", "hint"),
    [
        ({"siz": 3}, "'siz' is no parameter that the space searches", "did you mean 'size'?"),
        ({"size": 3000}, "'size' is 3000, outside 1 to 1000", "widen the space"),
        ({"size": 2.5}, "'size' is 2.5, which is no whole number", "change the value"),
        ({"size": "3"}, "'size' is '3', which is no number", "change the value"),
        ({"size": True}, "'size' is True, which is no number", "change the value"),
        ({"heads": 3}, "'heads' is 3, between the steps of 2 from 2", "change the value"),
        ({"kind": "narrow"}, "'kind' is 'narrow', which is none of plain, wide, True", "change"),
        ({"kind": 1}, "'kind' is 1, which is none of plain, wide, True", "change"),
        ({"kind": "plain", "heads": 4}, "'heads' is no parameter that .* beside the others", ""),
    ],
)
def test_what_the_space_does_not_have_is_named(
    given: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(StudyError, match=message) as caught:
        drawn(given)
    assert hint in caught.value.hint


def test_a_bound_that_is_broken_is_named() -> None:
    with pytest.raises(StudyError, match=r"bounds\.parameters asks for at most 20, and it has 50"):
        drawn({"size": 50}, Bound("parameters", max=20))
    assert drawn({"rate": 0.01}, Bound("parameters", max=20))["size"] <= 20


def test_what_the_space_refuses_is_told_with_its_reason() -> None:
    class Refusing(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            if super().suggest(trial)["size"] < 500:
                raise CandidateRefused("too small to build", hint="take a larger one")
            return trial.params

    with pytest.raises(StudyError, match="the space refuses it: too small to build"):
        drawn({"size": 3}, problem=Refusing())
    assert drawn({"rate": 0.01}, problem=Refusing())["size"] >= 500


def test_of_another_studys_parameters_those_are_shared_that_this_space_has() -> None:
    params = {"size": 7, "rate": 5.0, "kind": "narrow", "depth": 3}
    assert shared_params(Branching(), (), params, 0) == {"size": 7}
    assert shared_params(ToyProblem(), [Bound("parameters", max=5)], params, 0) == {}


def test_a_check_names_the_entry_that_is_wrong() -> None:
    with pytest.raises(StudyError, match=r"^enqueue\[1\] \(size = 0\): 'size' is 0, outside 1"):
        require_candidates(ToyProblem(), (), [{"size": 3}, {"size": 0}], 0)


# What is tried ----------------------------------------------------------------------------------

GIVEN: tuple[dict[str, Any], ...] = ({"size": 900, "rate": 0.01}, {"size": 3}, {"rate": 0.05})


@pytest.mark.parametrize("sampler", ["front", "tpe", "nsga2", "random"])
def test_enqueued_candidates_are_tried_first_whoever_proposes(sampler: str) -> None:
    found = simulate(
        ToyProblem(),
        TOY_OBJECTIVES,
        max_epochs=3,
        candidates=5,
        sampler=sampler,
        startup=3,
        enqueued=GIVEN,
    )
    assert len(found.trials) == 5
    for trial, given in zip(found.trials, GIVEN, strict=False):
        assert {name: trial.params[name] for name in given} == given
    first = [trial.params["size"] for trial in found.trials[3:]]
    assert first != [900, 3, found.trials[2].params["size"]]


def test_a_population_counts_enqueued_candidates_as_its_own() -> None:
    """NSGA-II breeds from those that carry a generation."""
    found = simulate(
        ToyProblem(),
        TOY_OBJECTIVES,
        max_epochs=1,
        candidates=3,
        sampler="nsga2",
        startup=3,
        halving=None,
        enqueued=GIVEN,
    )
    generations = [
        [value for name, value in found.study.template(n).system_attrs.items() if "gener" in name]
        for n in range(3)
    ]
    assert generations == [[0], [0], [0]]


def test_an_enqueued_candidate_that_is_known_already_is_not_run_again() -> None:
    twice = ({"size": 5, "rate": 0.01}, {"rate": 0.01, "size": 5}, {"size": 6})
    found = simulate(ToyProblem(), TOY_OBJECTIVES, max_epochs=1, candidates=4, enqueued=twice)
    sizes = [trial.params["size"] for trial in found.trials]
    assert sizes[:2] == [5, 6]
    assert len({record.key for record in found.study.records.values()}) == 4


def test_what_runs_already_is_turned_down_as_a_duplicate() -> None:
    study = new_study()
    for enqueued in (GIVEN[:1], ({"size": 900, "rate": 0.01}, {"size": 3})):
        found = proposer(study, enqueued)()
        assert found is not None
    assert [record.params["size"] for record in study.records.values()] == [900, 3]


def proposer(study: Study, enqueued: Any) -> Proposer:
    return Proposer(
        ToyProblem(), study, sampler="random", startup=3, seed=0, max_epochs=1, enqueued=enqueued
    )


def test_a_resumed_study_goes_on_in_the_queue_where_it_stood() -> None:
    study = new_study()
    for _ in GIVEN:
        proposer(study, GIVEN)()
        study = Study(study.storage, "toy", TOY_OBJECTIVES)
    undisturbed = new_study()
    propose = proposer(undisturbed, GIVEN)
    for _ in GIVEN:
        propose()
    assert study.records == undisturbed.records
    assert proposer(study, GIVEN)() == proposer(undisturbed, GIVEN)()


def test_candidates_enqueued_later_come_before_whatever_else_is_new() -> None:
    study = new_study()
    for _ in range(4):
        proposer(study, ())()
    later = proposer(study, GIVEN)()
    assert later is not None
    assert study.records[later.number].params == GIVEN[0]


def test_a_lease_trains_what_was_enqueued(tmp_path: Path) -> None:
    plan = Plan(goal=Goal(candidates=2, max_epochs=3), sampler="random", enqueued=GIVEN[:1])
    lease = Conductor(ToyProblem(), new_study(), plan, checkpoints=tmp_path).next(lambda _: True)
    assert isinstance(lease, Lease)
    assert lease.params == GIVEN[0]


def test_what_was_enqueued_by_command_is_kept_once() -> None:
    study = new_study()
    assert enqueue(study, [{"size": 3}, {"size": 4}]) == [{"size": 3}, {"size": 4}]
    assert enqueue(study, [{"size": 4}, {"size": 5}]) == [{"size": 5}]
    again = Study(study.storage, "toy", TOY_OBJECTIVES)
    assert by_command(again) == [{"size": 3}, {"size": 4}, {"size": 5}]
