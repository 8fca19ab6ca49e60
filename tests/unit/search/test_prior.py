"""What earlier studies found: in units that compare, kept in the study, tried first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import InMemoryStorage

from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.pareto import dominates
from search.errors import StudyError
from search.execution.simulator import SimulationResult, simulate
from search.objectives import Bound, Objective
from search.problem import Context
from search.sampling.drawing import Draft, DrawnTrial, draft
from search.sampling.prior import (
    PriorResults,
    expected_results,
    note_prior,
    noted_priors,
    prior_ranks,
)
from search.study.creation import create_study
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyEpoch, ToyProblem, searched

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Harder(ToyProblem):
    """The same candidates on another dataset: half as accurate, and another space around them."""

    def suggest(self, trial: Any) -> dict[str, float]:
        found = super().suggest(trial)
        return {**found, "dropout": trial.suggest_float("dropout", 0.0, 0.5)}

    def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
        for epoch in super().learn(candidate, context):
            accuracy = 0.5 * epoch.metrics["accuracy"]
            yield ToyEpoch(epoch.number, {"accuracy": accuracy}, epoch.seconds)


@pytest.fixture(scope="module")
def earlier() -> Study:
    plan = Plan(
        goal=Goal(candidates=30, max_epochs=9), sampler="random", halving=ParetoHalving(eta=3)
    )
    return searched(ToyProblem(), plan)


@pytest.fixture(scope="module")
def prior(earlier: Study) -> PriorResults:
    return PriorResults.of(earlier, TOY_OBJECTIVES, source="studies/toy", max_epochs=9)


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


def test_results_count_in_the_deviations_of_their_own_study(prior: PriorResults) -> None:
    last = np.array([prior.curve(candidate)[-1, 0] for candidate in prior.candidates])
    assert last.mean() == pytest.approx(0.0, abs=1e-12)
    assert last.std() == pytest.approx(1.0)
    best = min(prior.candidates, key=lambda candidate: candidate.curve[-1])
    assert prior.curve(best)[-1, 0] == last.min() < -0.5
    assert len(prior.curve(best)) == len(best.curve)


def test_a_single_result_has_no_deviation_and_does_no_harm() -> None:
    plan = Plan(goal=Goal(candidates=1, max_epochs=2), sampler="random")
    prior = PriorResults.of(
        searched(ToyProblem(), plan), TOY_OBJECTIVES, source="one", max_epochs=2
    )
    assert prior.curve(prior.candidates[0])[-1, 0] == 0.0
    assert begun([prior]).trials[0].params["size"] == prior.candidates[0].params["size"]


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


# What is expected -------------------------------------------------------------------------------


def drafts(count: int) -> list[Draft]:
    rng = np.random.default_rng(1)
    found = [draft(ToyProblem(), DrawnTrial(rng)) for _ in range(count)]
    return [each for each in found if each is not None]


def ceiling(drafted: Draft) -> float:
    """What the toy's accuracy tends to, by its own formula."""
    size, rate = drafted.params["size"], drafted.params["rate"]
    return math.log(size + 1) / 8 - 0.1 * abs(math.log10(rate * 100))


def test_drafts_like_good_ones_are_expected_to_be_good(prior: PriorResults) -> None:
    drawn = drafts(60)
    expected = expected_results([prior], TOY_OBJECTIVES, drawn)[:, 0]
    found = np.corrcoef(expected, [-ceiling(each) for each in drawn])[0, 1]
    assert found > 0.8


def test_far_from_all_results_the_mean_is_expected(prior: PriorResults) -> None:
    far = Draft(
        params={"size": 10**9, "rate": 0.01},
        distributions=drafts(1)[0].distributions,
        candidate={},
        key="far",
        costs={"parameters": 1e9},
    )
    assert expected_results([prior], TOY_OBJECTIVES, [far])[0, 0] == pytest.approx(0.0, abs=0.05)


def test_ranks_are_by_expectation_and_exact_size(prior: PriorResults) -> None:
    drawn = drafts(40)
    ranks = prior_ranks([prior], TOY_OBJECTIVES, drawn)
    sizes = [each.costs["parameters"] for each in drawn]
    expected = expected_results([prior], TOY_OBJECTIVES, drawn)[:, 0].tolist()
    points = list(zip(expected, sizes, strict=True))
    for point, rank in zip(points, ranks, strict=True):
        assert (rank == 0) == (not any(dominates(other, point) for other in points))


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


def test_a_parameter_that_the_earlier_space_lacks_changes_no_expectation(
    prior: PriorResults,
) -> None:
    rng = np.random.default_rng(0)
    params = {"size": 50, "rate": 0.01}
    drawn = [draft(Harder(), DrawnTrial(rng, params)) for _ in range(5)]
    found = [each for each in drawn if each is not None]
    assert len({each.params["dropout"] for each in found}) == 5
    expected = expected_results([prior], TOY_OBJECTIVES, found)[:, 0]
    assert np.ptp(expected) == 0.0
