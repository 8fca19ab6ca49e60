"""Learning from a batch in parts: the same gradient in less memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ecgmodels import ConfigError, EfficientECGConfig, TrainingConfig, TrainingData, fit
from ecgmodels.loading.batches import divided, to_device
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.fitting import Epoch
from ecgmodels.training.learner import Learner
from tests.made_networks import freeze_norms
from tests.unit.training.resuming import MODEL as EVERYTHING
from tests.unit.training.resuming import TRAINING, uneven

Waves = Callable[..., TrainingData]

CPU = torch.device("cpu")
MODEL = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny", width=0.5, dropout=0.0)


def learner_of(data: TrainingData, config: TrainingConfig, parts: int) -> Learner:
    train = to_device(data.train, data.normalisation, names=(), wanted=(), device=CPU)
    return Learner(
        MODEL,
        config,
        train,
        rate_hz=data.rate_hz,
        seed=0,
        ranks=Ranks(),
        device=CPU,
        batch_parts=parts,
    )


@pytest.mark.parametrize("parts", [2, 3, 1000])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("waves", {"class_weighting": "balanced", "label_smoothing": 0.1}),
        ("several", {"loss": "focal", "class_weighting": "sqrt"}),
        ("unequal", {"gradient_clip": 0.1, "noise_uv": 30.0, "time_shift": 0.1}),
    ],
)
def test_parts_of_a_batch_give_the_gradient_and_the_loss_of_the_whole(
    request: pytest.FixtureRequest, kind: str, options: dict[str, Any], parts: int
) -> None:
    data = request.getfixturevalue("waves" if kind == "unequal" else kind)(48, 16)
    if kind == "unequal":
        data = uneven(data)
    # 16 segments a batch, which 3 parts share unequally.
    config = TrainingConfig(epochs=2, batch_size=16, segments_per_epoch=16, **options)
    outcomes = []
    for count in (1, parts):
        learner = learner_of(data, config, count)
        freeze_norms(learner.model)
        loss = learner.train_epoch(1)["train_loss"]
        gradients = [p.grad.clone() for p in learner.model.parameters() if p.grad is not None]
        outcomes.append((loss, gradients))
    (whole, gradients), (in_parts, summed) = outcomes
    assert in_parts == pytest.approx(whole, rel=1e-5)
    assert gradients
    torch.testing.assert_close(summed, gradients, rtol=1e-3, atol=1e-6)


def test_no_more_than_a_part_of_a_batch_goes_through_the_network_at_once(waves: Waves) -> None:
    learner = learner_of(waves(64, 16), TrainingConfig(epochs=2, batch_size=32), 2)
    rows = []
    learner.model.register_forward_pre_hook(lambda _, inputs: rows.append(len(inputs[0])))
    learner.train_epoch(1)
    assert rows == [16] * 4


def test_dividing_keeps_every_segment_with_all_that_belongs_to_it(waves: Waves) -> None:
    data = uneven(waves(48, 16))
    store = to_device(
        data.train, data.normalisation, names=data.features, wanted=data.features, device=CPU
    )
    batch = store.batch(torch.arange(11))
    parts = divided(batch, 4)
    assert [len(part.label) for part in parts] == [3, 3, 3, 2]
    for column, pieces in zip(batch, zip(*parts, strict=True), strict=True):
        if column is None:
            assert set(pieces) == {None}
        else:
            assert torch.equal(torch.cat(pieces), column)


def test_a_training_goes_on_in_parts_from_a_checkpoint_of_whole_batches(
    waves: Waves, tmp_path: Path
) -> None:
    data = uneven(waves(48, 20))

    def go_on(checkpoint: Path) -> Iterator[Epoch]:
        return fit(EVERYTHING, TRAINING, data, seed=5, checkpoint=checkpoint, batch_parts=2)

    next(fit(EVERYTHING, TRAINING, data, seed=5)).save(tmp_path / "first.ckpt")
    later = list(go_on(tmp_path / "first.ckpt"))
    assert [epoch.number for epoch in later] == list(range(2, TRAINING.epochs + 1))
    next(go_on(tmp_path / "first.ckpt")).save(tmp_path / "second.ckpt")
    interrupted_again = [epoch.metrics for epoch in go_on(tmp_path / "second.ckpt")]
    assert interrupted_again == [epoch.metrics for epoch in later[1:]]


def test_fewer_parts_than_one_are_refused(waves: Waves) -> None:
    with pytest.raises(ConfigError, match="batch_parts must be at least 1, got 0"):
        fit(MODEL, TrainingConfig(epochs=2), waves(32, 16), seed=0, batch_parts=0)
