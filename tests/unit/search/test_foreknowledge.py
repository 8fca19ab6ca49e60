"""What earlier studies let expect, and how far the model of curves goes by it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.optimize import check_grad

from search.engine.pareto import dominates
from search.execution.replay import replay
from search.execution.simulator import simulate
from search.objectives import Objective
from search.sampling.curve_model import CurveModel, Results
from search.sampling.drawing import Draft, DrawnTrial, draft
from search.sampling.encoding import Encoder
from search.sampling.foreknowledge import Foreknowledge
from search.sampling.observed import encoded_draft
from search.sampling.prior import PriorResults
from search.study.study import SCALES_NOTE
from tests.toy import ToyProblem
from tests.unit.search.earlier_studies import Harder, results_of, searched_before

LOG = [Objective("accuracy", "max"), Objective("log10_parameters", "min", exact=True)]


@pytest.fixture(scope="module")
def prior() -> PriorResults:
    return results_of(searched_before())


def knowing(*priors: PriorResults, problem: ToyProblem | None = None) -> Foreknowledge:
    return Foreknowledge(problem or ToyProblem(), LOG, priors)


def drafts(
    count: int, problem: ToyProblem | None = None, near: Mapping[str, Any] | None = None
) -> list[Draft]:
    rng = np.random.default_rng(1)
    drawn = [draft(problem or ToyProblem(), DrawnTrial(rng, near)) for _ in range(count)]
    return [each for each in drawn if each is not None]


def ceilings(drawn: Sequence[Draft]) -> list[float]:
    """Return what the toys' accuracies tend to, by their own formula."""
    return [
        math.log(d.params["size"] + 1) / 8 - 0.1 * abs(math.log10(d.params["rate"] * 100))
        for d in drawn
    ]


# What is expected -------------------------------------------------------------------------------


def test_drafts_like_good_ones_are_expected_to_be_good(prior: PriorResults) -> None:
    drawn = drafts(60)
    expected = knowing(prior).of_drafts(drawn)
    assert expected.shape == (1, 60, 1)
    assert np.corrcoef(expected[0, :, 0], ceilings(drawn))[0, 1] > 0.95


def test_what_is_expected_is_spread_by_about_1_around_0(prior: PriorResults) -> None:
    expected = knowing(prior).of_drafts(drafts(200))[0, :, 0]
    assert 0.5 < np.std(expected) < 2.0
    assert -2.0 < np.median(expected) < 1.0


def test_ranks_are_by_expectation_and_exact_size(prior: PriorResults) -> None:
    drawn = drafts(40)
    ranks = knowing(prior).ranks(drawn)
    sizes = [each.costs["parameters"] for each in drawn]
    expected = -knowing(prior).of_drafts(drawn)[0, :, 0]
    points = list(zip(expected.tolist(), sizes, strict=True))
    for point, rank in zip(points, ranks, strict=True):
        assert (rank == 0) == (not any(dominates(other, point) for other in points))


def test_a_parameter_that_the_earlier_space_lacks_changes_no_expectation(
    prior: PriorResults,
) -> None:
    found = drafts(5, Harder(), {"size": 50, "rate": 0.01})
    assert len({each.params["dropout"] for each in found}) == 5
    expected = knowing(prior, problem=Harder()).of_drafts(found)[0, :, 0]
    assert np.ptp(expected) < 1e-9


def test_a_parameter_that_is_fixed_here_counts_for_nothing(prior: PriorResults) -> None:
    class OneRate(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {"size": trial.suggest_int("size", 1, 1000, log=True), "rate": 0.01}

    drawn = drafts(20, OneRate())
    found = knowing(prior, problem=OneRate()).of_drafts(drawn)[0, :, 0]
    assert np.corrcoef(found, ceilings_at(0.01, drawn))[0, 1] > 0.9


def ceilings_at(rate: float, drawn: Sequence[Draft]) -> list[float]:
    return ceilings([Draft(**{**vars(d), "params": {**d.params, "rate": rate}}) for d in drawn])


@pytest.mark.parametrize("rates", [["slow", "fast"], [0.0, 0.01], [[1, 2], [3, 4]], [True, None]])
def test_values_that_have_no_place_in_an_earlier_range_are_expected_of_something(
    prior: PriorResults, rates: list[Any]
) -> None:
    class Chosen(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, Any]:
            rate = trial.suggest_categorical("rate", rates)
            return {"size": trial.suggest_int("size", 1, 1000, log=True), "rate": rate}

    expected = knowing(prior, problem=Chosen()).of_drafts(drafts(40, Chosen()))
    assert np.isfinite(expected).all()
    assert np.std(expected) > 0.5


def test_without_earlier_studies_nothing_is_expected() -> None:
    assert knowing().of_drafts(drafts(3)).shape == (1, 3, 0)


# How far it holds -------------------------------------------------------------------------------


def model_of(drawn: Sequence[Draft], values: Sequence[float], known: Foreknowledge) -> CurveModel:
    encoded = [encoded_draft(LOG, each) for each in drawn]
    encoder = Encoder(encoded)
    (foreknown,) = known.of(encoded)
    results = Results(
        encoder=encoder,
        rows=encoder.rows(encoded),
        candidate=np.arange(len(drawn)),
        epochs=np.full(len(drawn), 9.0),
        values=np.array(values),
        foreknown=foreknown,
    )
    return CurveModel(results, 9, {})


def foretold(model: CurveModel, known: Foreknowledge, others: Sequence[Draft]) -> list[float]:
    encoded = [encoded_draft(LOG, each) for each in others]
    rows = model._results.encoder.rows(encoded)
    (mean,), _ = model.predict(rows, [9.0], foreknown=known.of(encoded)[0])
    return list(mean)


def test_the_gradient_is_that_of_the_loss_with_earlier_studies_too(prior: PriorResults) -> None:
    drawn = drafts(12)
    model = model_of(drawn, ceilings(drawn), knowing(prior, prior))
    assert [name for name in model.scales if name.startswith("earlier")] == [
        "earlier study 0",
        "earlier study 1",
    ]
    at = model._scales + 0.1 * np.random.default_rng(0).standard_normal(len(model._scales))
    off = check_grad(lambda s: model._loss(s)[0], lambda s: model._loss(s)[1], at)
    assert off < 1e-4 * np.linalg.norm(model._loss(at)[1])


def test_three_results_and_an_earlier_study_tell_what_three_alone_do_not(
    prior: PriorResults,
) -> None:
    drawn, others = drafts(63)[:3], drafts(63)[3:]
    halves = [0.5 * value for value in ceilings(drawn)]
    truth = ceilings(others)
    known, unknown = knowing(prior), knowing()
    informed = foretold(model_of(drawn, halves, known), known, others)
    alone = foretold(model_of(drawn, halves, unknown), unknown, others)
    wrong_with, wrong_alone = (1.0 - np.corrcoef(f, truth)[0, 1] for f in (informed, alone))
    assert wrong_with < 0.5 * wrong_alone


def test_results_that_contradict_an_earlier_study_end_its_say(prior: PriorResults) -> None:
    drawn, others = drafts(90)[:30], drafts(90)[30:]
    contrary = [-value for value in ceilings(drawn)]
    known = knowing(prior)
    model = model_of(drawn, contrary, known)
    model.refit()
    found = foretold(model, known, others)
    assert np.corrcoef(found, [-value for value in ceilings(others)])[0, 1] > 0.9


def test_a_search_with_an_earlier_study_finds_more_in_few_epochs(prior: PriorResults) -> None:
    def volume(priors: Sequence[PriorResults]) -> float:
        found = [
            simulate(
                Harder(),
                LOG,
                max_epochs=9,
                budget_epochs=40,
                startup=3,
                seed=seed,
                priors=priors,
            ).hypervolume_trace((0.0, 3.1))[-1][1]
            for seed in range(4)
        ]
        return float(np.mean(found))

    assert volume([prior]) > 1.02 * volume([])


def test_a_search_depends_on_the_earlier_study_beyond_its_first_candidates(
    prior: PriorResults,
) -> None:
    """Enqueueing the same first candidates does not make the same search."""
    found = simulate(Harder(), LOG, max_epochs=9, candidates=6, startup=3, priors=[prior])
    first = [dict(trial.params) for trial in found.trials[:3]]
    again = simulate(Harder(), LOG, max_epochs=9, candidates=6, startup=3, enqueued=first)
    assert [trial.params for trial in again.trials[:3]] == first
    assert [t.params for t in again.trials[3:]] != [t.params for t in found.trials[3:]]


def test_scales_of_earlier_studies_are_kept_with_the_others(prior: PriorResults) -> None:
    found = simulate(Harder(), LOG, max_epochs=9, candidates=8, startup=3, priors=[prior])
    assert "earlier study 0" in str(found.study.note(SCALES_NOTE))


def test_a_search_with_an_earlier_study_comes_out_the_same_from_its_log(
    prior: PriorResults,
) -> None:
    found = simulate(Harder(), LOG, max_epochs=9, candidates=10, startup=3, priors=[prior])
    again = replay(found.study, Harder())
    assert again.difference is None
    assert again.suggestions >= 10
