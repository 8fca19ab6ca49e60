"""Models trained together learn what each would have learnt alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from ecgmodels import (
    ConfigError,
    EfficientECGConfig,
    TrainingConfig,
    TrainingData,
    TrainingError,
    fit,
    predict,
    read_history,
    read_model,
)
from ecgmodels.loading.batches import Batch, to_device
from ecgmodels.loading.paging import Window
from ecgmodels.training.captured import CapturedStep
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.learner import Learner
from ecgmodels.training.optimisation import MovingAverage
from ecgmodels.training.stacked import StackedLearner
from ecgmodels.training.stacked_fitting import MemberEpoch, MemberFailure, fit_together
from tests.unit.training.resuming import DATA

Waves = Callable[..., TrainingData]
CPU = torch.device("cpu")

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
    dropout=0.0,
    drop_path=0.0,
)
NOISY = dataclasses.replace(MODEL, dropout=0.5, drop_path=0.3)
PLAIN = TrainingConfig(epochs=3, batch_size=16, learning_rate=0.003)
UNLIKE = (
    PLAIN,
    dataclasses.replace(PLAIN, learning_rate=0.001, weight_decay=0.3, warmup_epochs=1.5),
    dataclasses.replace(PLAIN, loss="focal", class_weighting="sqrt", gradient_clip=0.5),
    dataclasses.replace(PLAIN, label_smoothing=0.1, ema_decay=0.9, epochs=4),
)
SEEDS = (0, 0, 3, 4)

SAME = 1e-5
"""Of training losses, relative: float32's last digits differ, as sums are in another order."""


def train_losses(
    model: EfficientECGConfig,
    configs: tuple[TrainingConfig, ...],
    data: TrainingData,
    seeds: tuple[int, ...],
) -> list[list[float]]:
    """Train together to the end; return the training losses of each member's epochs."""
    losses: list[list[float]] = [[] for _ in configs]
    for epochs in fit_together(model, configs, data, seeds=seeds):
        for epoch in epochs:
            assert isinstance(epoch, MemberEpoch)
            losses[epoch.member].append(epoch.metrics["train_loss"])
    return losses


def test_members_of_unlike_trainings_end_in_the_weights_that_each_ends_in_alone(
    waves: Waves,
) -> None:
    """In double precision, where the order of sums leaves no trace.

    (In single precision, weights whose gradient is 0 but for rounding, such as biases that the next
    norm takes away, wander by what AdamW makes of the rounding.)
    """
    data = waves(64, 16)
    train = to_device(
        data.train, data.normalisation, names=data.features, wanted=MODEL.features, device=CPU
    )

    def learner(config: TrainingConfig, seed: int) -> Learner:
        made = Learner(
            MODEL, config, train, rate_hz=data.rate_hz, seed=seed, ranks=Ranks(), device=CPU
        )
        made.model.double()
        if config.ema_decay is not None:
            made.average = MovingAverage(made.model, config.ema_decay)
        made.augmentation = _in_double  # type: ignore[assignment]
        return made

    together = [learner(config, seed) for config, seed in zip(UNLIKE, SEEDS, strict=True)]
    stack = StackedLearner(together)
    for epoch in (1, 2, 3):
        stack.train_epoch([epoch] * len(UNLIKE))
    for config, seed, member in zip(UNLIKE, SEEDS, together, strict=True):
        alone = learner(config, seed)
        for epoch in (1, 2, 3):
            alone.train_epoch(epoch)
        for models in (
            (member.model, alone.model),
            (member.validated_model, alone.validated_model),
        ):
            states = [model.state_dict().values() for model in models]
            for value, expected in zip(*states, strict=True):
                torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-8)


def _in_double(batch: Batch) -> Batch:
    return batch._replace(signal=batch.signal.double(), features=batch.features.double())


@pytest.mark.parametrize("kind", DATA)
def test_epochs_of_a_stack_are_those_of_fit(kind: str) -> None:
    data = DATA[kind]()
    model = dataclasses.replace(MODEL, template=kind == "templates")
    members: list[list[MemberEpoch]] = [[] for _ in UNLIKE]
    for epochs in fit_together(model, UNLIKE, data, seeds=SEEDS):
        for epoch in epochs:
            assert isinstance(epoch, MemberEpoch)
            members[epoch.member].append(epoch)
    for config, seed, member in zip(UNLIKE, SEEDS, members, strict=True):
        alone = list(fit(model, config, data, seed=seed))
        assert [epoch.number for epoch in member] == [epoch.number for epoch in alone]
        assert [epoch.final for epoch in member] == [epoch.final for epoch in alone]
        for epoch, expected in zip(member, alone, strict=True):
            assert epoch.metrics.keys() == expected.metrics.keys()
            assert epoch.metrics["train_loss"] == pytest.approx(
                expected.metrics["train_loss"], rel=SAME
            )
            assert epoch.metrics["learning_rate"] == expected.metrics["learning_rate"]
            # What is validated rests on weights that wander; see above.
            assert epoch.metrics["validation_loss"] == pytest.approx(
                expected.metrics["validation_loss"], abs=0.02
            )
            assert epoch.seconds > 0


def test_members_draw_dropout_apart(waves: Waves) -> None:
    data = waves(64, 16)
    first, second = train_losses(NOISY, (PLAIN, PLAIN), data, (0, 0))
    assert all(abs(one - other) > 1e-3 for one, other in zip(first, second, strict=True))
    first, second = train_losses(MODEL, (PLAIN, PLAIN), data, (0, 0))
    assert first == pytest.approx(second, rel=SAME)


def test_a_member_is_augmented_as_its_own_configuration_says(waves: Waves) -> None:
    data = waves(64, 16)
    moved = dataclasses.replace(PLAIN, time_shift=0.2, noise_uv=500.0)
    plain, augmented, other = train_losses(MODEL, (PLAIN, moved, moved), data, (0, 0, 0))
    alone = [epoch.metrics["train_loss"] for epoch in fit(MODEL, PLAIN, data, seed=0)]
    assert plain == pytest.approx(alone, rel=SAME)
    assert augmented != pytest.approx(alone, rel=0.01)
    assert augmented != pytest.approx(other, rel=SAME)


def test_the_same_seeds_give_the_same_noise(waves: Waves) -> None:
    data = waves(64, 16)
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    first = train_losses(NOISY, (PLAIN, PLAIN), data, (0, 1))
    assert torch.equal(torch.rand(1), expected), "the caller's random numbers changed"
    assert train_losses(NOISY, (PLAIN, PLAIN), data, (0, 1)) == first


def test_a_member_leaves_without_disturbing_the_others(waves: Waves) -> None:
    data = waves(64, 16)
    stay = train_losses(MODEL, UNLIKE, data, SEEDS)
    losses: list[list[float]] = [[] for _ in UNLIKE]
    for epochs in fit_together(MODEL, UNLIKE, data, seeds=SEEDS):
        for epoch in epochs:
            assert isinstance(epoch, MemberEpoch)
            losses[epoch.member].append(epoch.metrics["train_loss"])
            if epoch.member == 1 or (epoch.member == 2 and epoch.number == 2):
                epoch.leave()
    assert [len(member) for member in losses] == [3, 1, 2, 4]
    for left, whole in zip(losses, stay, strict=True):
        assert left == pytest.approx(whole[: len(left)], rel=SAME)


def test_a_loss_that_is_not_finite_ends_one_member_alone(waves: Waves) -> None:
    data = waves(64, 16)
    wild = dataclasses.replace(PLAIN, learning_rate=1e30, warmup_epochs=0.0)
    with pytest.raises(TrainingError) as alone:
        list(fit(MODEL, wild, data, seed=0))
    first, *others = fit_together(MODEL, (PLAIN, wild, PLAIN), data, seeds=(0, 0, 1))
    [failure] = [outcome for outcome in first if isinstance(outcome, MemberFailure)]
    assert failure.member == 1
    assert str(failure.error) == str(alone.value)
    assert failure.error.hint == alone.value.hint
    assert [[epoch.member for epoch in epochs] for epochs in others] == [[0, 2], [0, 2]]
    [plain, *_] = train_losses(MODEL, (PLAIN, PLAIN), data, (0, 1))
    last = others[-1][0]
    assert isinstance(last, MemberEpoch)
    assert last.metrics["train_loss"] == pytest.approx(plain[-1], rel=SAME)


def test_a_member_goes_on_alone_and_one_alone_joins_a_stack(waves: Waves, tmp_path: Path) -> None:
    data, number = waves(64, 16), 3
    config, seed = UNLIKE[number], SEEDS[number]
    whole = [epoch.metrics["train_loss"] for epoch in fit(MODEL, config, data, seed=seed)]

    [*_, epochs] = fit_together(MODEL, UNLIKE, data, seeds=SEEDS, max_epochs=2)
    member = epochs[number]
    assert isinstance(member, MemberEpoch)
    member.save(tmp_path / "member.ckpt")
    on = fit(MODEL, config, data, seed=seed, checkpoint=tmp_path / "member.ckpt")
    assert [epoch.metrics["train_loss"] for epoch in on] == pytest.approx(whole[2:], rel=SAME)

    [first] = fit(MODEL, config, data, seed=seed, max_epochs=1)
    first.save(tmp_path / "alone.ckpt")
    paths = [tmp_path / "alone.ckpt" if place == number else None for place in range(len(UNLIKE))]
    losses = [
        epoch.metrics["train_loss"]
        for epochs in fit_together(MODEL, UNLIKE, data, seeds=SEEDS, checkpoints=paths)
        for epoch in epochs
        if isinstance(epoch, MemberEpoch) and epoch.member == number
    ]
    assert losses == pytest.approx(whole[1:], rel=SAME)


def test_a_members_checkpoint_holds_that_member_alone(waves: Waves, tmp_path: Path) -> None:
    data = waves(64, 40)
    configs = (PLAIN, UNLIKE[3], PLAIN)
    [epochs] = fit_together(MODEL, configs, data, seeds=(0, 1, 2), max_epochs=1)
    for number, (epoch, config) in enumerate(zip(epochs, configs, strict=True)):
        assert isinstance(epoch, MemberEpoch)
        epoch.save(tmp_path / "member.ckpt")
        [past] = read_history(tmp_path / "member.ckpt")
        assert past.metrics == epoch.metrics
        probabilities = predict(
            read_model(tmp_path / "member.ckpt"),
            data.validation,
            data.normalisation,
            feature_names=data.features,
        )
        accuracy = (probabilities.argmax(axis=1) == data.validation.label).mean()
        assert accuracy == pytest.approx(epoch.metrics["accuracy"])
        [alone] = fit(MODEL, config, data, seed=number, max_epochs=1)
        alone.save(tmp_path / "alone.ckpt")
        sizes = [(tmp_path / name).stat().st_size for name in ("member.ckpt", "alone.ckpt")]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_an_epoch_left_behind_cannot_be_saved(waves: Waves, tmp_path: Path) -> None:
    first, *_ = fit_together(MODEL, (PLAIN, PLAIN), waves(32, 16), seeds=(0, 1))
    assert isinstance(first[1], MemberEpoch)
    with pytest.raises(TrainingError, match="epoch 1 of training 1 is gone"):
        first[1].save(tmp_path / "late.ckpt")


def test_a_stacks_step_can_be_captured(waves: Waves) -> None:
    """From memory of its own, and with rates that are numbers in memory, it is the same step."""
    data = waves(64, 16)
    train = to_device(
        data.train, data.normalisation, names=data.features, wanted=NOISY.features, device=CPU
    )
    stacks = [
        StackedLearner(
            [
                Learner(NOISY, c, train, rate_hz=data.rate_hz, seed=s, ranks=Ranks(), device=CPU)
                for c, s in zip(UNLIKE, SEEDS, strict=True)
            ]
        )
        for _ in range(2)
    ]
    optimizers = [learner.optimizer for learner in stacks[1].learners]
    captured = partial(CapturedStep(optimizers, CPU), stacks[1].learn)
    for number, index in enumerate(torch.from_numpy(np.arange(5 * 32).reshape(5, 32) % 64)):
        batch = train.batch(index)
        losses = []
        for step in (stacks[0].learn, captured):
            torch.manual_seed(number)
            losses.append(step(batch))
        assert losses[0].shape == (len(UNLIKE),)
        assert torch.equal(*losses)
    for plain, other in zip(stacks[0].learners, stacks[1].learners, strict=True):
        for value, expected in zip(
            other.model.state_dict().values(), plain.model.state_dict().values(), strict=True
        ):
            assert torch.equal(value, expected)


def test_what_cannot_be_trained_together_is_refused(waves: Waves) -> None:
    data = waves(32, 16)
    larger = dataclasses.replace(PLAIN, batch_size=32)
    with pytest.raises(ConfigError, match=r"batch_size must be the same .* got 16 .* and 32 in"):
        fit_together(MODEL, (PLAIN, larger), data, seeds=(0, 1))
    with pytest.raises(ConfigError, match=r"seeds must be one a training \(2\), got 3"):
        fit_together(MODEL, (PLAIN, PLAIN), data, seeds=(0, 1, 2))
    with pytest.raises(ConfigError, match="nothing to train together"):
        fit_together(MODEL, (), data, seeds=())
    with pytest.raises(ConfigError, match=r"threads .* must be a number or None, got 'measure'"):
        fit_together(MODEL, (PLAIN,), data, seeds=(0,), threads="measure")  # type: ignore[arg-type]


def test_data_larger_than_memory_are_refused(waves: Waves) -> None:
    data = waves(64, 16)
    train = to_device(
        data.train, data.normalisation, names=data.features, wanted=MODEL.features, device=CPU
    )
    learners = [
        Learner(
            MODEL,
            PLAIN,
            train,
            rate_hz=data.rate_hz,
            seed=seed,
            ranks=Ranks(),
            device=CPU,
            window=Window(block=4, blocks=2),
        )
        for seed in (0, 1)
    ]
    with pytest.raises(ConfigError, match="larger than memory"):
        StackedLearner(learners)
