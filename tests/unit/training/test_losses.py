"""Losses against their definitions, and class weights against what they promise."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecgmodels import TrainingConfig
from ecgmodels.training.losses import EachClass, OneOfClasses, loss_for
from ecgmodels.training.optimisation import EFFECTIVE_BETA, class_weights, positive_weights

LABEL = torch.tensor([0, 2, 1, 1, 0])
HAS = torch.tensor([[1, 0, 0], [0, 1, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]], dtype=torch.uint8)
LOGITS = torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def settled(loss: OneOfClasses | EachClass, label: Tensor) -> Tensor:
    """Return the logits at which the loss is least."""
    logits = torch.zeros(len(label), 3, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        value = loss(logits, label)
        value.backward()
        return value

    optimizer.step(closure)  # type: ignore[arg-type]
    return logits.detach()


def test_plain_losses_are_torchs_own() -> None:
    torch.testing.assert_close(OneOfClasses()(LOGITS, LABEL), F.cross_entropy(LOGITS, LABEL))
    smoothed = OneOfClasses(label_smoothing=0.1)(LOGITS, LABEL)
    torch.testing.assert_close(smoothed, F.cross_entropy(LOGITS, LABEL, label_smoothing=0.1))
    expected = F.binary_cross_entropy_with_logits(LOGITS, HAS.float())
    torch.testing.assert_close(EachClass()(LOGITS, HAS), expected)


def test_the_focal_loss_of_one_class_is_the_papers() -> None:
    p = LOGITS.softmax(dim=1)[torch.arange(5), LABEL]
    expected = (-((1 - p) ** 1.5) * p.log()).mean()
    torch.testing.assert_close(OneOfClasses(focal_gamma=1.5)(LOGITS, LABEL), expected)


def test_the_focal_loss_of_several_classes_is_the_papers() -> None:
    p = LOGITS.sigmoid()
    p_of_truth = torch.where(HAS.bool(), p, 1 - p)
    expected = (-((1 - p_of_truth) ** 3) * p_of_truth.log()).mean()
    torch.testing.assert_close(EachClass(focal_gamma=3.0)(LOGITS, HAS), expected)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_focal_loss_becomes_cross_entropy_as_gamma_vanishes(smoothing: float) -> None:
    kinds: list[tuple[type[OneOfClasses | EachClass], Tensor]]
    kinds = [(OneOfClasses, LABEL), (EachClass, HAS)]
    for kind, label in kinds:
        focal = kind(label_smoothing=smoothing, focal_gamma=1e-7)(LOGITS, label)
        plain = kind(label_smoothing=smoothing)(LOGITS, label)
        torch.testing.assert_close(focal, plain)


def test_the_focal_loss_looks_at_what_is_not_told_apart_yet() -> None:
    logits = torch.tensor([[0.0, 0.0], [4.0, 0.0]], requires_grad=True)
    shares = {}
    for gamma in (None, 2.0):
        loss = OneOfClasses(focal_gamma=gamma)(logits, torch.tensor([0, 0]))
        (gradient,) = torch.autograd.grad(loss, logits)
        unsure, sure = gradient.abs().sum(dim=1).tolist()
        shares[gamma] = sure / unsure
    assert shares[None] == pytest.approx(0.036, abs=0.001)
    assert shares[2.0] < 0.001


@given(
    gamma=st.floats(0.05, 5.0),
    scale=st.sampled_from([1.0, 30.0, 300.0, 1e4]),
    smoothing=st.sampled_from([0.0, 0.1]),
)
@settings(max_examples=60, deadline=None)
def test_the_focal_loss_and_its_gradient_are_finite_however_sure_the_network_is(
    gamma: float, scale: float, smoothing: float
) -> None:
    for sign in (1.0, -1.0):
        logits = (sign * scale * (2.0 * HAS - 1)).requires_grad_()
        for loss, label in (
            (OneOfClasses(focal_gamma=gamma, label_smoothing=smoothing), LABEL),
            (EachClass(focal_gamma=gamma, label_smoothing=smoothing), HAS),
        ):
            value = loss(logits, label)
            (gradient,) = torch.autograd.grad(value, logits)
            assert value.isfinite()
            assert value >= 0
            assert gradient.isfinite().all()


@pytest.mark.parametrize("gamma", [None, 2.0])
def test_weights_multiply_a_segments_loss_by_its_true_classs_alone(gamma: float | None) -> None:
    weights = torch.tensor([1.0, 10.0, 0.1])
    plain = OneOfClasses(label_smoothing=0.1, focal_gamma=gamma)
    weighted = OneOfClasses(weights=weights, label_smoothing=0.1, focal_gamma=gamma)
    each = torch.stack([plain(LOGITS[i : i + 1], LABEL[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(weighted(LOGITS, LABEL), (weights[LABEL] * each).mean())

    several = EachClass(label_smoothing=0.1, focal_gamma=gamma)
    heavier = EachClass(positive_weights=weights, label_smoothing=0.1, focal_gamma=gamma)
    total = torch.zeros(())
    for row in range(5):
        for column in range(3):
            where = slice(row, row + 1), slice(column, column + 1)
            having = bool(HAS[where])
            total += several(LOGITS[where], HAS[where]) * (float(weights[column]) if having else 1)
    torch.testing.assert_close(heavier(LOGITS, HAS), total / 15)


def test_smoothing_with_weights_does_not_push_towards_the_rare_class() -> None:
    # What a network that sees each segment as it is would answer, for a class 100 times rarer.
    weights = torch.tensor([0.5, 0.5, 50.0], dtype=torch.float64)
    weighted = OneOfClasses(weights=weights, label_smoothing=0.1)
    answer = settled(weighted, torch.tensor([0])).softmax(dim=1)[0]
    assert answer.tolist() == pytest.approx([0.9 + 0.1 / 3, 0.1 / 3, 0.1 / 3], abs=1e-3)
    having = EachClass(positive_weights=weights, label_smoothing=0.1)
    lacking = settled(having, torch.zeros(1, 3)).sigmoid()[0]
    assert lacking.tolist() == pytest.approx([0.05] * 3, abs=1e-3)
    # torch's own weights: the rare class would be by far the most probable one.
    pushed = F.cross_entropy(
        torch.tensor([[3.3, 0.0, 0.0]]).double(),
        torch.tensor([0]),
        weight=weights,
        label_smoothing=0.1,
    )
    towards = F.cross_entropy(
        torch.tensor([[0.0, 0.0, 3.3]]).double(),
        torch.tensor([0]),
        weight=weights,
        label_smoothing=0.1,
    )
    assert towards < pushed


def test_smoothing_keeps_the_focal_loss_from_certainty() -> None:
    for loss, label in (
        (OneOfClasses(label_smoothing=0.1, focal_gamma=2.0), LABEL[:1]),
        (EachClass(label_smoothing=0.1, focal_gamma=2.0), HAS[:1]),
    ):
        answer = settled(loss, label)
        assert answer.isfinite().all()
        assert answer.abs().max() < 10


def test_class_weights_even_out_what_training_segments_do_not() -> None:
    label = torch.tensor([0] * 90 + [1] * 10)
    assert class_weights(label, 3, "none") is None
    balanced = class_weights(label, 3, "balanced")
    assert balanced is not None
    torch.testing.assert_close(balanced, torch.tensor([100 / 180, 100 / 20, 0.0]))
    root = class_weights(label, 3, "sqrt")
    assert root is not None
    assert root[1] / root[0] == pytest.approx(3)
    assert root[label].mean() == pytest.approx(1)


def test_effective_weights_count_what_is_not_a_repetition() -> None:
    counts = [100_000, 1_000, 10]
    label = torch.repeat_interleave(torch.arange(3), torch.tensor(counts))
    weights = class_weights(label, 4, "effective")
    assert weights is not None
    effective = [(1 - EFFECTIVE_BETA**n) / (1 - EFFECTIVE_BETA) for n in counts]
    assert effective == pytest.approx([9_999.5, 951.7, 10], rel=1e-3)
    assert (weights[1] / weights[0]).item() == pytest.approx(effective[0] / effective[1], rel=1e-4)
    assert (weights[2] / weights[0]).item() == pytest.approx(effective[0] / effective[2], rel=1e-4)
    assert weights[3] == 0
    assert weights[label].mean() == pytest.approx(1, rel=1e-4)


def test_effective_weights_of_having_a_class_compare_both_sides() -> None:
    has = torch.zeros(50_000, 4, dtype=torch.uint8)
    has[:500, 0] = 1
    has[:25_000, 1] = 1
    has[:, 2] = 1
    weights = positive_weights(has, "effective")
    assert weights is not None

    def effective(n: int) -> float:
        return (1 - EFFECTIVE_BETA**n) / (1 - EFFECTIVE_BETA)

    assert weights[0].item() == pytest.approx(effective(49_500) / effective(500), rel=1e-4)
    assert weights[0] < 99  # what "balanced" would say
    assert weights[1:].tolist() == pytest.approx([1, 1, 1])


@given(counts=st.lists(st.integers(0, 30_000), min_size=2, max_size=5).filter(any))
@settings(max_examples=50, deadline=None)
def test_the_mean_weight_of_training_segments_is_1_under_every_weighting(
    counts: list[int],
) -> None:
    label = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    for weighting in ("sqrt", "balanced", "effective"):
        weights = class_weights(label, len(counts), weighting)  # type: ignore[arg-type]
        assert weights is not None
        assert weights.isfinite().all()
        assert float(weights[label].double().mean()) == pytest.approx(1, rel=1e-4)
        by_count = sorted((count, -float(weights[i])) for i, count in enumerate(counts) if count)
        assert all(b >= a - 1e-6 for (_, a), (_, b) in itertools.pairwise(by_count))


def test_the_configuration_says_which_loss() -> None:
    focal = loss_for(TrainingConfig(loss="focal", focal_gamma=3.0), LABEL, 3)
    assert focal == OneOfClasses(focal_gamma=3.0)
    assert loss_for(TrainingConfig(), HAS, 3) == EachClass()
    weighted = loss_for(TrainingConfig(loss="focal", class_weighting="effective"), HAS, 3)
    assert isinstance(weighted, EachClass)
    assert weighted.focal_gamma == 2.0
    assert weighted.positive_weights is not None
    assert math.isfinite(float(weighted(LOGITS, HAS)))
