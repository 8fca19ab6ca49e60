from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgmodels import (
    ConfigError,
    EfficientECGConfig,
    Epoch,
    TrainingConfig,
    TrainingData,
    TrainingError,
    fit,
    predict,
    read_history,
    read_model,
)
from ecgmodels.loading.batches import to_device
from ecgmodels.loading.paging import Window
from ecgmodels.loading.placement import Placement
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.learner import Learner
from ecgmodels.training.optimisation import learning_rate

Waves = Callable[..., TrainingData]

MODEL = EfficientECGConfig(
    leads=2,
    samples=64,
    classes=3,
    features=("sex",),
    base="tiny",
    width=0.5,
    fusion="attention",
    placements=("stage2",),
    direction="both",
    dropout=0.3,
    drop_path=0.3,
)
EVERY_OPTION = TrainingConfig(
    epochs=4,
    batch_size=16,
    learning_rate=0.01,
    warmup_epochs=1.5,
    label_smoothing=0.1,
    gradient_clip=1.0,
    ema_decay=0.9,
    class_weighting="sqrt",
    loss="focal",
    segments_per_epoch=40,
    early_stop_epochs=3,
    early_stop_metric="validation_loss",
    amplitude_scale=0.2,
    baseline_wander_uv=100.0,
    mains_hum_uv=50.0,
    mains_hz=60.0,
    noise_uv=30.0,
    time_shift=0.1,
    lead_dropout=0.2,
)
PLAIN = TrainingConfig(epochs=2, batch_size=16, learning_rate=0.01)


def trained(epochs: list[Epoch]) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in epochs[-1].model.state_dict().items()}


def test_training_learns_64_segments_by_heart(waves: Waves) -> None:
    data = waves(64, 32)
    model = dataclasses.replace(MODEL, width=1.0, dropout=0.0, drop_path=0.0)
    config = TrainingConfig(epochs=25, batch_size=32, learning_rate=0.01, weight_decay=0.0)
    *_, last = fit(model, config, data, seed=0, threads=1)
    assert last.metrics["train_loss"] < 0.05
    by_heart = predict(last.model, data.train, data.normalisation, feature_names=data.features)
    assert (by_heart.argmax(axis=1) == data.train.label).all()
    assert last.metrics["mean_f1"] > 0.9


def test_an_epoch_reports_its_number_metrics_and_seconds(waves: Waves) -> None:
    epochs = list(fit(MODEL, PLAIN, waves(48, 20), seed=0))
    assert [epoch.number for epoch in epochs] == [1, 2]
    for epoch in epochs:
        assert epoch.seconds > 0
        assert all(math.isfinite(value) for value in epoch.metrics.values())
        assert {"mean_f1", "macro_auc", "f1_N", "validation_loss", "train_loss"} < set(
            epoch.metrics
        )


@pytest.mark.parametrize("config", [PLAIN, EVERY_OPTION], ids=["plain", "every option"])
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(
    waves: Waves, tmp_path: Path, config: TrainingConfig
) -> None:
    data, checkpoint = waves(48, 20), tmp_path / "trial.ckpt"
    whole = list(fit(MODEL, config, data, seed=5, threads=1))
    expected = trained(whole)

    resumed: list[Epoch] = []
    for last in range(1, config.epochs + 1):
        torch.manual_seed(last)  # whatever else happened in between
        for epoch in fit(
            MODEL, config, data, seed=5, max_epochs=last, checkpoint=checkpoint, threads=1
        ):
            epoch.save(checkpoint)
            resumed.append(epoch)

    assert [epoch.metrics for epoch in resumed] == [epoch.metrics for epoch in whole]
    for name, value in trained(resumed).items():
        assert torch.equal(value, expected[name]), name


def test_a_finished_checkpoint_yields_nothing(waves: Waves, tmp_path: Path) -> None:
    data, checkpoint = waves(32, 16), tmp_path / "trial.ckpt"
    for epoch in fit(MODEL, PLAIN, data, seed=0):
        epoch.save(checkpoint)
    assert list(fit(MODEL, PLAIN, data, seed=0, checkpoint=checkpoint)) == []


def test_a_checkpoint_remembers_all_its_epochs_and_leaves_nothing_else_behind(
    waves: Waves, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "trial.ckpt"
    epochs = []
    for epoch in fit(MODEL, PLAIN, waves(32, 16), seed=0):
        epoch.save(checkpoint)
        epochs.append((epoch.number, epoch.metrics, epoch.seconds))
    assert [(p.number, p.metrics, p.seconds) for p in read_history(checkpoint)] == epochs
    assert [path.name for path in tmp_path.iterdir()] == ["trial.ckpt"]


@pytest.mark.parametrize("config", [PLAIN, EVERY_OPTION], ids=["plain", "every option"])
def test_the_model_read_from_a_checkpoint_is_the_one_that_was_validated(
    waves: Waves, tmp_path: Path, config: TrainingConfig
) -> None:
    data, checkpoint = waves(32, 40), tmp_path / "trial.ckpt"
    epoch = next(fit(MODEL, config, data, seed=0))
    epoch.save(checkpoint)
    probabilities = predict(
        read_model(checkpoint), data.validation, data.normalisation, feature_names=data.features
    )
    assert probabilities.dtype == np.float32
    accuracy = (probabilities.argmax(axis=1) == data.validation.label).mean()
    assert accuracy == pytest.approx(epoch.metrics["accuracy"])


def test_an_epoch_left_behind_cannot_be_saved(waves: Waves, tmp_path: Path) -> None:
    first, _ = fit(MODEL, PLAIN, waves(32, 16), seed=0)
    with pytest.raises(TrainingError, match="epoch 1 is gone"):
        first.save(tmp_path / "late.ckpt")


def test_a_checkpoint_of_another_configuration_is_refused(waves: Waves, tmp_path: Path) -> None:
    data, checkpoint = waves(32, 16), tmp_path / "trial.ckpt"
    next(fit(MODEL, PLAIN, data, seed=0)).save(checkpoint)
    faster = dataclasses.replace(PLAIN, learning_rate=0.02)
    with pytest.raises(TrainingError, match=r"trial\.ckpt .* training\.learning_rate was 0\.01"):
        fit(MODEL, faster, data, seed=0, checkpoint=checkpoint)
    wider = dataclasses.replace(MODEL, width=1.0)
    with pytest.raises(TrainingError, match=r"model\.stem\.channels was 4, now 8"):
        fit(wider, PLAIN, data, seed=0, checkpoint=checkpoint)


def test_a_damaged_checkpoint_is_named(waves: Waves, tmp_path: Path) -> None:
    checkpoint = tmp_path / "trial.ckpt"
    next(fit(MODEL, PLAIN, waves(32, 16), seed=0)).save(checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(TrainingError, match=r"trial\.ckpt cannot be read") as caught:
        read_history(checkpoint)
    assert "\n" not in str(caught.value)


def test_a_loss_that_is_not_finite_is_reported_with_its_step(waves: Waves) -> None:
    wild = dataclasses.replace(PLAIN, learning_rate=1e30, warmup_epochs=0.0)
    with pytest.raises(TrainingError, match="non-finite loss at epoch 1, step 2") as caught:
        list(fit(MODEL, wild, waves(64, 16), seed=0))
    assert "lower learning_rate" in caught.value.hint


def test_training_leaves_the_callers_random_numbers_alone(waves: Waves) -> None:
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    next(fit(MODEL, EVERY_OPTION, waves(32, 16), seed=0))
    assert torch.equal(torch.rand(1), expected)


def test_seeds_give_different_models(waves: Waves) -> None:
    data = waves(32, 16)
    losses = {next(fit(MODEL, PLAIN, data, seed=s)).metrics["train_loss"] for s in (0, 1)}
    assert len(losses) == 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"samples": 128}, "the model takes 2 x 128 .* segments have 2 x 64"),
        ({"classes": 5}, "tells 5 classes apart"),
        ({"features": ("agee",)}, "no feature 'agee'"),
    ],
)
def test_a_model_that_does_not_fit_the_data_is_refused(
    waves: Waves, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(dataclasses.replace(MODEL, **changes), PLAIN, waves(32, 16), seed=0)  # type: ignore[arg-type]


def test_a_device_that_is_not_there_is_refused(waves: Waves) -> None:
    with pytest.raises(ConfigError, match="device 'warp' cannot be used") as caught:
        fit(MODEL, PLAIN, waves(32, 16), seed=0, device="warp")
    assert "'cpu'" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"warmup_epochs": 20}, r"warmup_epochs must be at least 0 and below epochs \(20\)"),
        ({"learning_rate": float("inf")}, "learning_rate must be a number above 0"),
        ({"ema_decay": 1.0}, "ema_decay must be between 0 and 1"),
        ({"gradient_clip": 0.0}, "gradient_clip must be above 0"),
        ({"time_shift": 1.0}, "time_shift must be at least 0 and below 1"),
        ({"class_weighting": "balance"}, "class_weighting 'balance' is unknown"),
        ({"segments_per_epoch": 0}, "segments_per_epoch must be at least 1"),
    ],
)
def test_a_bad_training_configuration_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        TrainingConfig(**changes)  # type: ignore[arg-type]


def test_a_training_configuration_survives_its_dictionary() -> None:
    assert TrainingConfig.from_dict(EVERY_OPTION.to_dict()) == EVERY_OPTION


def test_the_learning_rate_warms_up_and_follows_a_cosine_to_0() -> None:
    config = TrainingConfig(epochs=10, learning_rate=1.0, warmup_epochs=2.0)
    rates = [learning_rate(config, step, steps_per_epoch=100) for step in range(1000)]
    assert rates[99] == pytest.approx(0.5)
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[600] == pytest.approx(0.5, abs=0.01)
    assert 0 < rates[-1] < 1e-5
    assert rates.index(max(rates)) in (198, 199, 200)


def test_balanced_weights_make_a_rare_class_heard(waves: Waves) -> None:
    data = waves(300, 150)
    keep = (data.train.label != 2) | (np.arange(300) % 10 == 0)
    rare = dataclasses.replace(
        data,
        train=dataclasses.replace(
            data.train,
            **{
                field.name: getattr(data.train, field.name)[keep]
                for field in dataclasses.fields(data.train)
            },
        ),
    )
    sensitivity = {}
    for weighting in ("none", "balanced"):
        config = TrainingConfig(
            epochs=4, batch_size=16, learning_rate=0.003, class_weighting=weighting
        )
        model = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny")
        *_, last = fit(model, config, rare, seed=0)
        sensitivity[weighting] = last.metrics["sensitivity_V"]
    assert sensitivity["none"] < 0.2
    assert sensitivity["balanced"] > 0.8


def test_missing_features_are_told_from_known_ones(waves: Waves) -> None:
    data = waves(64, 64)
    model = dataclasses.replace(MODEL, features=("age",))
    epoch = next(fit(model, PLAIN, data, seed=0))
    unknown = dataclasses.replace(
        data.validation, features=np.full_like(data.validation.features, np.nan)
    )
    assert np.isnan(data.validation.features).any()
    known, missing = (
        predict(epoch.model, part, data.normalisation, feature_names=data.features)
        for part in (data.validation, unknown)
    )
    assert np.isfinite(missing).all()
    was_known = ~np.isnan(data.validation.features[:, 0])
    assert (np.abs(known - missing).max(axis=1) > 1e-7)[was_known].all()
    np.testing.assert_allclose(known[~was_known], missing[~was_known], atol=1e-6)


@pytest.mark.parametrize("place", ["mapped", "resident", "streamed"])
def test_padding_stays_exactly_0_under_every_augmentation(waves: Waves, place: Placement) -> None:
    data = waves(32, 16)
    short = dataclasses.replace(data.train, valid_samples=np.full(32, 40, np.int32))
    on_device = to_device(
        short,
        data.normalisation,
        names=data.features,
        wanted=MODEL.features,
        device=torch.device("cpu"),
        place=place,
    )
    learner = Learner(
        MODEL,
        dataclasses.replace(EVERY_OPTION, lead_dropout=0.0),
        on_device,
        rate_hz=data.rate_hz,
        seed=0,
        ranks=Ranks(),
        device=torch.device("cpu"),
    )
    seen: list[torch.Tensor] = []
    learner.model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    learner.train_epoch(1)
    assert len(seen) == 3
    for signal in seen:
        assert (signal[:, :, 40:] == 0).all()
        assert (signal[:, :, :30] != 0).any(dim=2).all()


def test_windows_change_the_order_and_survive_a_checkpoint(waves: Waves) -> None:
    data = waves(64, 16)
    device = torch.device("cpu")
    on_device = to_device(data.train, data.normalisation, names=(), wanted=(), device=device)
    model = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny", width=0.5)

    def learner(window: Window | None) -> Learner:
        return Learner(
            model,
            PLAIN,
            on_device,
            rate_hz=data.rate_hz,
            seed=0,
            ranks=Ranks(),
            device=device,
            window=window,
        )

    windowed = learner(Window(block=4, blocks=2))
    losses = [windowed.train_epoch(1)["train_loss"]]
    other = learner(None)
    assert other.train_epoch(1)["train_loss"] != losses[0]
    other.load_state(copy.deepcopy(windowed.state()))
    assert other.window == Window(block=4, blocks=2)
    assert other.train_epoch(2) == windowed.train_epoch(2)


def test_training_reads_a_memory_mapped_signal_without_a_copy(waves: Waves, tmp_path: Path) -> None:
    data = waves(32, 16)
    np.save(tmp_path / "signal.npy", data.train.signal_uv)
    mapped = np.load(tmp_path / "signal.npy", mmap_mode="r")
    segments = dataclasses.replace(data.train, signal_uv=mapped)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        on_device = to_device(
            segments, data.normalisation, names=(), wanted=(), device=torch.device("cpu")
        )
    assert on_device.signal.host.shards[0].data_ptr() == mapped.ctypes.data
    batch = on_device.batch(torch.tensor([3, 1]))
    np.testing.assert_allclose(batch.signal, data.train.signal_uv[[3, 1]] / 350, rtol=1e-5)
