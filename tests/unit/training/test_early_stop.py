"""Early stop: a pure decision over the epochs so far, and the best of them that is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ecgmodels import (
    ConfigError,
    ECGNetwork,
    EfficientECGConfig,
    PastEpoch,
    TrainingConfig,
    TrainingData,
    fit,
    read_history,
    read_model,
)
from ecgmodels.training.early_stop import best_epoch, ends_after

Waves = Callable[..., TrainingData]
Weights = dict[str, torch.Tensor]

MODEL = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny", width=0.5)
PATIENT = TrainingConfig(
    epochs=30, batch_size=32, learning_rate=0.01, ema_decay=0.5, early_stop_epochs=2
)


def epochs(*values: float, metric: str = "mean_f1") -> list[PastEpoch]:
    return [
        PastEpoch(number=number, metrics={metric: value}, seconds=1.0)
        for number, value in enumerate(values, start=1)
    ]


def weights(model: ECGNetwork) -> Weights:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(one: Weights, other: Weights) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


@pytest.mark.parametrize(
    ("values", "metric", "best"),
    [
        ((0.1, 0.3, 0.2), "mean_f1", 2),
        ((0.3, 0.3, 0.3), "mean_f1", 1),
        ((0.3, 0.1, 0.1, 0.2), "validation_loss", 2),
        ((0.3,), "macro_auc", 1),
    ],
)
def test_the_best_epoch_is_the_first_with_the_best_value(
    values: tuple[float, ...], metric: str, best: int
) -> None:
    assert best_epoch(epochs(*values, metric=metric), metric) == best


@pytest.mark.parametrize(
    ("values", "ends"),
    [
        ((), False),
        ((0.3, 0.2), False),
        ((0.3, 0.2, 0.3), True),
        ((0.3, 0.2, 0.31), False),
        ((0.3, 0.2, 0.31, 0.2), False),
        ((0.1, 0.2, 0.3, 0.4, 0.5, 0.6), False),
    ],
)
def test_training_ends_when_patience_does(values: tuple[float, ...], ends: bool) -> None:
    config = TrainingConfig(epochs=9, early_stop_epochs=2)
    assert ends_after(epochs(*values), config) is ends


def test_training_ends_with_its_schedule_whatever_is_hoped_for() -> None:
    assert ends_after(epochs(0.1, 0.2, 0.3), TrainingConfig(epochs=3, early_stop_epochs=2))
    assert ends_after(epochs(0.1, 0.2, 0.3), TrainingConfig(epochs=3))
    assert not ends_after(epochs(0.3, 0.2, 0.1), TrainingConfig(epochs=4))


def test_a_training_that_gets_no_better_ends_and_keeps_its_best_epoch(
    waves: Waves, tmp_path: Path
) -> None:
    data, checkpoint = waves(96, 48), tmp_path / "trial.ckpt"
    seen: list[Weights] = []
    past: list[PastEpoch] = []
    for epoch in fit(MODEL, PATIENT, data, seed=0):
        seen.append(weights(epoch.model))
        past.append(epoch)
        best = best_epoch(past, "mean_f1")
        assert equal(weights(epoch.best_model), seen[best - 1])
        assert epoch.kept == best
        epoch.save(checkpoint)
        assert equal(weights(read_model(checkpoint)), seen[best - 1])
    assert len(past) < PATIENT.epochs
    assert len(past) == best + 2
    assert [epoch.final for epoch in past] == [False] * (len(past) - 1) + [True]
    assert [epoch.final for epoch in read_history(checkpoint)] == [epoch.final for epoch in past]
    assert not equal(seen[best - 1], seen[-1])
    assert list(fit(MODEL, PATIENT, data, seed=0, checkpoint=checkpoint)) == []


def test_a_training_resumed_at_any_epoch_stops_and_keeps_as_if_it_had_not_paused(
    waves: Waves, tmp_path: Path
) -> None:
    data = waves(96, 48)
    whole, kept = [], {}
    for epoch in fit(MODEL, PATIENT, data, seed=0):
        epoch.save(tmp_path / f"{epoch.number}.ckpt")
        whole.append((epoch.number, epoch.metrics, epoch.final))
        kept = weights(epoch.best_model)
    for start in range(1, len(whole)):
        resumed = []
        for epoch in fit(MODEL, PATIENT, data, seed=0, checkpoint=tmp_path / f"{start}.ckpt"):
            resumed.append((epoch.number, epoch.metrics, epoch.final))
            best = weights(epoch.best_model)
        assert resumed == whole[start:]
        assert equal(best, kept)


def test_without_early_stop_the_last_model_is_the_one_to_keep(waves: Waves, tmp_path: Path) -> None:
    config = TrainingConfig(epochs=3, batch_size=16, learning_rate=0.01)
    finals = []
    for epoch in fit(MODEL, config, waves(48, 20), seed=0):
        finals.append(epoch.final)
        assert equal(weights(epoch.best_model), weights(epoch.model))
        assert epoch.kept == epoch.number
        epoch.save(tmp_path / "trial.ckpt")
        assert equal(weights(read_model(tmp_path / "trial.ckpt")), weights(epoch.model))
    assert finals == [False, False, True]


def test_an_epoch_at_which_the_caller_stops_is_not_final(waves: Waves) -> None:
    config = TrainingConfig(epochs=3, batch_size=16)
    *_, last = fit(MODEL, config, waves(32, 16), seed=0, max_epochs=2)
    assert last.number == 2
    assert not last.final


def test_a_metric_that_is_not_measured_is_refused_before_training(waves: Waves) -> None:
    misspelt = dataclasses.replace(PATIENT, early_stop_metric="macro_f2")
    with pytest.raises(ConfigError, match="early_stop_metric 'macro_f2' is not measured") as caught:
        fit(MODEL, misspelt, waves(32, 16), seed=0)
    assert "macro_f1" in caught.value.hint
    for metric in ("train_loss", "validation_loss", "f1_V", "macro_auc"):
        fit(MODEL, dataclasses.replace(PATIENT, early_stop_metric=metric), waves(32, 16), seed=0)


@pytest.mark.parametrize("last", [0, -1])
def test_a_training_of_no_epochs_is_refused_and_not_run_in_full(waves: Waves, last: int) -> None:
    with pytest.raises(ConfigError, match=rf"^max_epochs must be at least 1, or None, got {last}"):
        fit(MODEL, TrainingConfig(epochs=3, batch_size=16), waves(32, 16), seed=0, max_epochs=last)
