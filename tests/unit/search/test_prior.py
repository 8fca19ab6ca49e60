"""What earlier studies found: in units that compare, kept in the study, tried first."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage

from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.errors import StudyError
from search.execution.simulator import SimulationResult, simulate
from search.objectives import Bound, Objective
from search.sampling.prior import PriorResults, note_prior, noted_priors
from search.study.creation import create_study
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyProblem, searched
from tests.unit.search.earlier_studies import Harder, results_of, searched_before

optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def earlier() -> Study:
    return searched_before()


@pytest.fixture(scope="module")
def prior(earlier: Study) -> PriorResults:
    return results_of(earlier)


def begun(priors: list[PriorResults], **options: Any) -> SimulationResult:
    settings: dict[str, Any] = {"max_epochs": 9, "candidates": 8, "startup": 5, "sampler": "tpe"}
    problem = options.pop("problem", None) or Harder()
    return simulate(problem, TOY_OBJECTIVES, priors=priors, **(settings | options))


# What is taken over -----------------------------------------------------------------------------


def test_every_measured_candidate_is_taken_over_with_its_curve(
    earlier: Study, prior: PriorResults
) -> None:
    measured = [record for record in earlier.records.values() if record.curve]
    assert [candidate.number for candidate in prior.candidates] == [r.number for r in measured]
    for candidate, record in zip(prior.candidates, measured, strict=True):
        assert candidate.params == record.params
        assert candidate.costs == record.costs
        assert candidate.curve == tuple((-e.metrics["accuracy"],) for e in record.curve)


def test_a_study_with_a_single_result_does_no_harm() -> None:
    plan = Plan(goal=Goal(candidates=1, max_epochs=2), sampler="random")
    prior = PriorResults.of(
        searched(ToyProblem(), plan), TOY_OBJECTIVES, source="one", max_epochs=2
    )
    found = begun([prior], sampler="front", candidates=12)
    assert found.trials[0].params["size"] == prior.candidates[0].params["size"]
    assert len(found.trials) == 12


def test_its_front_is_the_earlier_studys(earlier: Study, prior: PriorResults) -> None:
    from search.study.fronts import front_records

    numbers = {record.number for record in front_records(earlier)}
    assert {candidate.number for candidate in prior.front(TOY_OBJECTIVES)} == numbers


def test_results_go_through_json_and_the_storage(prior: PriorResults) -> None:
    assert PriorResults.from_dict(json.loads(json.dumps(prior.to_dict()))) == prior
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    assert noted_priors(study) == []
    note_prior(study, prior)
    note_prior(study, PriorResults.from_dict({**prior.to_dict(), "source": "studies/second"}))
    again = noted_priors(Study(study.storage, "toy", TOY_OBJECTIVES))
    assert [each.source for each in again] == ["studies/toy", "studies/second"]
    assert again[0] == prior


def test_an_objective_that_was_not_measured_is_named(earlier: Study) -> None:
    objectives = [Objective("acuracy", "max"), TOY_OBJECTIVES[1]]
    with pytest.raises(StudyError, match="studies/toy did not measure 'acuracy'") as caught:
        PriorResults.of(earlier, objectives, source="studies/toy", max_epochs=9)
    assert "accuracy" in caught.value.hint
    objectives = [TOY_OBJECTIVES[0], Objective("macs", "min", exact=True)]
    with pytest.raises(StudyError, match="studies/toy: cost 'macs' is missing"):
        PriorResults.of(earlier, objectives, source="studies/toy", max_epochs=9)


def test_a_study_without_results_is_refused() -> None:
    empty = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    with pytest.raises(StudyError, match="studies/toy has no results yet"):
        PriorResults.of(empty, TOY_OBJECTIVES, source="studies/toy", max_epochs=9)


# What a study begins with -------------------------------------------------------------------------


def test_a_study_begins_with_the_earlier_front_in_its_own_space(prior: PriorResults) -> None:
    members = [candidate.params for candidate in prior.front(TOY_OBJECTIVES)]
    for trial in begun([prior]).trials[:5]:
        shared = {name: trial.params[name] for name in ("size", "rate")}
        assert shared in members
        assert 0.0 <= trial.params["dropout"] <= 0.5


def test_it_begins_with_the_most_accurate_and_spreads_over_sizes(prior: PriorResults) -> None:
    sizes = [trial.params["size"] for trial in begun([prior]).trials[:3]]
    front = sorted(candidate.params["size"] for candidate in prior.front(TOY_OBJECTIVES))
    assert sizes[0] > front[len(front) // 2]
    assert sizes[1] == front[0]
    assert sizes[0] > sizes[2] > sizes[1]


@pytest.mark.parametrize("sampler", ["front", "tpe", "nsga2"])
def test_where_the_earlier_front_ends_the_sampler_takes_over(
    prior: PriorResults, sampler: str
) -> None:
    found = begun([prior], sampler=sampler)
    members = [candidate.params["size"] for candidate in prior.front(TOY_OBJECTIVES)]
    assert [trial.params["size"] in members for trial in found.trials[:5]] == [True] * 5
    assert len({record.key for record in found.study.records.values()}) == 8
    assert not all(trial.params["size"] in members for trial in found.trials[5:])


def test_bounds_hold_for_what_earlier_studies_suggest(prior: PriorResults) -> None:
    found = begun([prior], candidates=5, bounds=[Bound("parameters", max=60)])
    assert all(trial.costs["parameters"] <= 60 for trial in found.trials)
    assert not found.study.rejections


def test_two_earlier_studies_suggest_together(prior: PriorResults) -> None:
    plan = Plan(goal=Goal(candidates=20, max_epochs=4), sampler="random", seed=5)
    other = PriorResults.of(
        searched(Harder(), plan), TOY_OBJECTIVES, source="studies/harder", max_epochs=4
    )
    found = begun([prior, other], candidates=12, startup=12)
    sources = {
        found.study.template(trial.number).system_attrs.get("ecgsearch:prior", "").split()[0]
        for trial in found.trials[:6]
    }
    assert sources == {"studies/toy", "studies/harder"}


def test_the_same_seed_begins_alike_and_results_of_others_are_none_of_this_study(
    prior: PriorResults,
) -> None:
    first, again, other = (begun([prior], seed=seed) for seed in (0, 0, 1))
    assert first.study.records == again.study.records
    assert first.study.records != other.study.records
    assert len(first.study.records) == 8
    assert all(trial.curve[0].metrics["accuracy"] < 0.45 for trial in first.trials)


def test_a_study_that_is_taken_up_again_begins_alike(prior: PriorResults) -> None:
    from search.sampling.proposer import Proposer

    def proposer(study: Study) -> Proposer:
        return Proposer(
            Harder(), study, sampler="random", startup=5, seed=0, max_epochs=9, priors=[prior]
        )

    undisturbed = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    propose = proposer(undisturbed)
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    for _ in range(6):
        propose()
        study = Study(study.storage, "toy", TOY_OBJECTIVES)
        proposer(study)()
    assert study.records == undisturbed.records


def test_an_earlier_space_that_shares_nothing_leaves_the_beginning_to_the_sampler(
    prior: PriorResults,
) -> None:
    class Another(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {"size": trial.suggest_int("width", 1, 50), "rate": 0.01}

    found = begun([prior], problem=Another())
    assert len(found.trials) == 8


def test_good_settings_carry_over(prior: PriorResults) -> None:
    """The toys learn best at a rate of 0.01, on both datasets."""

    def distance(priors: list[PriorResults]) -> float:
        begins = [begun(priors, candidates=5, seed=seed).trials for seed in range(4)]
        rates = [trial.params["rate"] for trials in begins for trial in trials]
        return float(np.median([abs(math.log10(rate * 100)) for rate in rates]))

    assert distance([prior]) < 0.5 * distance([])
