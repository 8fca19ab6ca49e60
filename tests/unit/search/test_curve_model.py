"""The model of learning curves: its numbers, and that it learns what it is there to learn."""

from __future__ import annotations

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from scipy.optimize import check_grad

from search.sampling.curve_model import CurveModel, Results, squashed, unsquashed
from search.sampling.encoding import Encoded, Encoder

MAX_EPOCHS = 27
UNIT = FloatDistribution(0.0, 1.0)


def candidates(count: int, seed: int = 0) -> list[Encoded]:
    rng = np.random.default_rng(seed)
    return [
        Encoded(
            params={"rate": float(rng.random()), "idle": float(rng.random())},
            distributions={"rate": UNIT, "idle": UNIT},
            sizes=(float(rng.random()),),
        )
        for _ in range(count)
    ]


def accuracy(candidate: Encoded, epoch: float) -> float:
    end = 0.6 + 0.3 * candidate.sizes[0] - 0.8 * (candidate.params["rate"] - 0.4) ** 2
    return float(end - 0.4 / epoch)


def model_of(known: list[Encoded], epochs: list[list[float]], seed: int = 1) -> CurveModel:
    encoder = Encoder(known)
    rows = encoder.rows(known)
    pairs = [(i, epoch) for i, own in enumerate(epochs) for epoch in own]
    noise = np.random.default_rng(seed).normal(0, 0.005, len(pairs))
    results = Results(
        encoder=encoder,
        rows=np.array([rows[i] for i, _ in pairs]),
        candidate=np.array([i for i, _ in pairs]),
        epochs=np.array([epoch for _, epoch in pairs]),
        values=np.array([accuracy(known[i], e) for i, e in pairs]) + noise,
    )
    return CurveModel(results, MAX_EPOCHS, {})


def test_its_gradient_is_that_of_its_loss() -> None:
    model = model_of(candidates(12), [[1.0, 3.0]] * 12)
    at = model._scales + 0.1 * np.random.default_rng(0).standard_normal(len(model._scales))
    off = check_grad(lambda s: model._loss(s)[0], lambda s: model._loss(s)[1], at)
    assert off < 1e-4 * np.linalg.norm(model._loss(at)[1])


def test_it_foresees_what_others_reach_from_a_few_that_trained_in_full() -> None:
    known = candidates(40)
    model = model_of(known, [[1.0, 3.0, 9.0, 27.0]] * 8 + [[1.0]] * 32)
    model.refit()
    others = candidates(60, seed=5)
    (mean,), (deviation,) = model.predict(model._results.encoder.rows(others), [MAX_EPOCHS])
    truth = np.array([accuracy(other, MAX_EPOCHS) for other in others])
    assert np.corrcoef(mean, truth)[0, 1] > 0.95
    assert np.mean(np.abs(mean - truth) < 2.5 * deviation) > 0.9


def test_it_finds_out_what_counts_for_nothing() -> None:
    model = model_of(candidates(60), [[1.0, 3.0]] * 60)
    model.refit()
    assert model.scales["idle:"] > model.scales["rate:"] + 1.0


def test_a_candidate_with_results_is_known_better_than_one_without() -> None:
    known = candidates(20)
    model = model_of(known, [[1.0, 3.0, 9.0]] * 20)
    model.refit()
    rows = model._results.encoder.rows(known)
    _, (own,) = model.predict(rows, [MAX_EPOCHS], range(20))
    _, (strange,) = model.predict(rows, [MAX_EPOCHS])
    assert np.all(own <= strange + 1e-12)


def test_scales_are_taken_over_by_name() -> None:
    model = model_of(candidates(20), [[1.0, 3.0]] * 20)
    model.refit()
    again = CurveModel(model._results, MAX_EPOCHS, {**model.scales, "gone:": 1.0})
    assert again.scales == model.scales


@pytest.mark.parametrize("value", [-40.0, -2.0, -0.5, 3.0])
def test_failures_are_squeezed_and_nothing_else(value: float) -> None:
    squeezed = squashed(np.array([value]))
    assert unsquashed(squeezed)[0] == pytest.approx(value)
    assert squeezed[0] == value if value >= -2.0 else squeezed[0] > value


def test_choices_are_one_apart_and_a_missing_parameter_is_in_between() -> None:
    fusion = CategoricalDistribution(("none", "head", "stem"))
    known = [
        Encoded(params={"fusion": "none"}, distributions={"fusion": fusion}, sizes=()),
        Encoded(
            params={"fusion": "head", "rate": 0.1},
            distributions={"fusion": fusion, "rate": UNIT},
            sizes=(),
        ),
        Encoded(
            params={"fusion": "stem", "rate": 0.9},
            distributions={"fusion": fusion, "rate": UNIT},
            sizes=(),
        ),
    ]
    encoder = Encoder(known)
    rows = encoder.rows(known)
    assert encoder.names == ("fusion", "rate")
    choices = rows[:, encoder.group == 0]
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert np.sum((choices[a] - choices[b]) ** 2) == pytest.approx(1.0)
    assert rows[:, encoder.group == 1].ravel().tolist() == [0.5, 0.1, 0.9]


def test_parameters_that_never_differ_are_left_out() -> None:
    known = candidates(5)
    fixed = [
        Encoded(
            params={**c.params, "fixed": 0.5},
            distributions={**c.distributions, "fixed": UNIT},
            sizes=c.sizes,
        )
        for c in known
    ]
    assert Encoder(fixed).names == ("idle", "rate", "size 0")
