"""The steps of training: what is decayed, averaged and clipped, and what ends a trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from ecgmodels import (
    FAMILIES,
    ConfigError,
    EfficientECGConfig,
    TrainingConfig,
    TrainingData,
    TrainingError,
    build_model,
    fit,
)
from ecgmodels.loading.batches import to_device
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.learner import Learner
from ecgmodels.training.optimisation import MovingAverage, adamw

Waves = Callable[..., TrainingData]

CPU = torch.device("cpu")
MODEL = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny", width=0.5)
FUSED = EfficientECGConfig(
    leads=2,
    samples=64,
    classes=3,
    base="tiny",
    width=0.5,
    features=("age", "sex"),
    fusion="attention",
    placements=("stage2",),
    direction="both",
)


def learner_of(data: TrainingData, config: TrainingConfig) -> Learner:
    train = to_device(data.train, data.normalisation, names=(), wanted=(), device=CPU)
    return Learner(MODEL, config, train, rate_hz=128.0, seed=0, ranks=Ranks(), device=CPU)


@pytest.mark.parametrize("config", [MODEL, FUSED], ids=["plain", "fused"])
def test_matrices_and_filters_are_decayed_and_nothing_else(config: EfficientECGConfig) -> None:
    model = build_model(config)
    decayed, spared = adamw(model, TrainingConfig(weight_decay=0.1)).param_groups
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)
    layers = nn.Conv2d, nn.Linear
    expected = {m.weight for m in model.modules() if isinstance(m, layers)}
    assert set(decayed["params"]) == expected
    assert len(decayed["params"]) + len(spared["params"]) == len(list(model.parameters()))


def test_every_lead_embedding_is_spared_decay() -> None:
    config = EfficientECGConfig(leads=3, samples=64, classes=3, base="tiny", leads_fused="stage1")
    model = build_model(config)
    spared = set(adamw(model, TrainingConfig()).param_groups[1]["params"])
    layers = {m.weight for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    assert spared == set(model.parameters()) - layers
    assert any(parameter.ndim > 1 for parameter in spared)  # the embeddings are there


def test_every_family_spares_norms_and_biases() -> None:
    for family in FAMILIES.values():
        model = build_model(family.config(leads=2, samples=256, classes=3))
        spared = set(adamw(model, TrainingConfig()).param_groups[1]["params"])
        assert {parameter for parameter in model.parameters() if parameter.ndim == 1} <= spared


def test_the_moving_average_takes_in_weights_and_batch_norms_statistics() -> None:
    model = build_model(MODEL)
    average = MovingAverage(model, decay=0.5)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        for value in model.state_dict().values():
            value.add_(1)
    average.update(step=1000)
    for name, value in average.model.state_dict().items():
        halfway = before[name] + 0.5 if value.is_floating_point() else before[name]
        torch.testing.assert_close(value, halfway, msg=name)


def test_the_moving_average_forgets_the_beginning_quickly() -> None:
    model = build_model(MODEL)
    average = MovingAverage(model, decay=0.999)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1)
    for step in range(50):
        average.update(step)
    for parameter in average.model.parameters():
        torch.testing.assert_close(parameter, torch.ones_like(parameter), rtol=0, atol=1e-3)


def test_the_averaged_model_is_the_one_that_is_validated(waves: Waves) -> None:
    config = TrainingConfig(epochs=2, batch_size=16, ema_decay=0.9)
    learner = learner_of(waves(32, 16), config)
    learner.train_epoch(1)
    assert learner.average is not None
    assert learner.validated_model is learner.average.model
    norms = [
        (a.running_mean, b.running_mean)
        for a, b in zip(learner.model.modules(), learner.validated_model.modules(), strict=True)
        if isinstance(a, nn.BatchNorm2d) and isinstance(b, nn.BatchNorm2d)
    ]
    assert norms
    assert not any(torch.equal(a, b) for a, b in norms)  # type: ignore[arg-type]


def test_a_clipped_gradient_is_no_longer_than_asked(waves: Waves) -> None:
    config = TrainingConfig(epochs=2, batch_size=16, gradient_clip=1e-3)
    learner = learner_of(waves(32, 16), config)
    norms = []

    def look(*_: Any) -> None:
        gradients = [p.grad.norm() for p in learner.model.parameters() if p.grad is not None]
        norms.append(float(torch.stack(gradients).norm()))

    learner.optimizer.register_step_pre_hook(look)
    learner.train_epoch(1)
    assert norms == pytest.approx([1e-3, 1e-3], rel=1e-3)


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        ({}, "waves"),
        ({"loss": "focal"}, "waves"),
        ({"loss": "focal", "label_smoothing": 0.1}, "several"),
        ({"ema_decay": 0.9, "gradient_clip": 1.0}, "waves"),
    ],
)
def test_a_loss_that_is_not_finite_ends_the_trial_with_its_step(
    request: pytest.FixtureRequest, options: dict[str, Any], kind: str
) -> None:
    data = request.getfixturevalue(kind)(64, 16)
    wild = TrainingConfig(epochs=2, batch_size=16, learning_rate=1e30, warmup_epochs=0.0, **options)
    with pytest.raises(TrainingError, match="non-finite loss at epoch 1, step 2") as caught:
        list(fit(MODEL, wild, data, seed=0))
    assert "lower learning_rate" in caught.value.hint


@pytest.mark.parametrize("loss", ["cross_entropy", "focal"])
def test_outputs_that_are_not_finite_end_the_trial_too(waves: Waves, loss: Any) -> None:
    # One step: its loss is still finite, what it leaves behind is not.
    wild = TrainingConfig(epochs=2, batch_size=64, learning_rate=1e30, warmup_epochs=0.0, loss=loss)
    with pytest.raises(TrainingError, match="non-finite outputs on the validation") as caught:
        next(fit(MODEL, wild, waves(64, 16), seed=0))
    assert caught.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"loss": "hinge"}, "loss 'hinge' is unknown"),
        ({"focal_gamma": 3.0}, "focal_gamma 3.0 has no effect with loss 'cross_entropy'"),
        ({"loss": "focal", "focal_gamma": 0.0}, "focal_gamma must be a number above 0"),
        ({"class_weighting": "effectively"}, "class_weighting 'effectively' is unknown"),
        ({"early_stop_epochs": 0}, "early_stop_epochs must be at least 1, or None"),
        ({"early_stop_metric": "macro_auc"}, "early_stop_metric 'macro_auc' has no effect"),
        ({"mains_hz": 60.0}, "mains_hz 60.0 has no effect with mains_hum_uv 0.0"),
        ({"mains_hum_uv": 5.0, "mains_hz": 55.0}, "mains_hz must be 50 or 60, got 55.0"),
        ({"mains_hum_uv": -5.0}, "mains_hum_uv must be a number of at least 0"),
        ({"baseline_wander_uv": float("nan")}, "baseline_wander_uv must be a number of at least"),
        ({"lead_dropout": 1.0}, "lead_dropout must be at least 0 and below 1"),
    ],
)
def test_options_out_of_range_or_without_effect_are_refused(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        TrainingConfig(**changes)
    assert caught.value.hint


def test_options_that_the_data_leave_without_effect_are_refused_before_training(
    waves: Waves,
) -> None:
    data = waves(32, 16)
    slow = dataclasses.replace(data, rate_hz=100.0)
    with pytest.raises(ConfigError, match=r"mains_hz below half .* got 50 Hz at rate_hz 100"):
        fit(MODEL, TrainingConfig(mains_hum_uv=10.0), slow, seed=0)
    template = dataclasses.replace(MODEL, template=True)
    with pytest.raises(ConfigError, match="template needs aligned segments"):
        fit(template, TrainingConfig(), data, seed=0)


def test_bfloat16_arithmetic_leaves_gradients_and_weights_in_float32(waves: Waves) -> None:
    config = TrainingConfig(epochs=2, batch_size=16, gradient_clip=1e-3, loss="focal")
    learner = learner_of(waves(64, 16), config)
    seen = []

    def look(*_: Any) -> None:
        gradients = [p.grad for p in learner.model.parameters() if p.grad is not None]
        assert {gradient.dtype for gradient in gradients} == {torch.float32}
        seen.append(float(torch.stack([gradient.norm() for gradient in gradients]).norm()))

    learner.optimizer.register_step_pre_hook(look)
    with torch.autocast("cpu", dtype=torch.bfloat16):  # as training does on a GPU
        learner.train_epoch(1)
    assert seen == pytest.approx([1e-3] * 4, rel=1e-3)
    assert {p.dtype for p in learner.model.parameters()} == {torch.float32}
