"""Batches of unequal recordings are cut to what is needed, and nothing changes by it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ecgmodels import EfficientECGConfig, TrainingConfig, TrainingData, build_model
from ecgmodels.inference.prediction import predict, predict_slice
from ecgmodels.inference.trimming import trimmed_batches, trimmed_length
from ecgmodels.loading.batches import DeviceSegments, to_device
from ecgmodels.models.network import ECGNetwork
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.learner import Learner

Waves = Callable[..., TrainingData]

CPU = torch.device("cpu")
MODEL = EfficientECGConfig(leads=2, samples=256, classes=3, base="tiny", width=0.5)


def with_lengths(data: TrainingData, valid: np.ndarray[Any, Any]) -> TrainingData:
    def part(segments: Any) -> Any:
        lengths = np.resize(valid, len(segments.label)).astype(np.int32)
        beyond = np.arange(segments.signal_uv.shape[2]) >= lengths[:, None, None]
        signal_uv = np.where(beyond, np.int16(0), segments.signal_uv)
        return dataclasses.replace(segments, signal_uv=signal_uv, valid_samples=lengths)

    return dataclasses.replace(data, train=part(data.train), validation=part(data.validation))


def on_device(data: TrainingData) -> DeviceSegments:
    return to_device(data.train, data.normalisation, names=(), wanted=(), device=CPU)


def network(config: EfficientECGConfig = MODEL) -> ECGNetwork:
    torch.manual_seed(0)
    model = build_model(config)
    for module in model.modules():  # as training would leave them: neither 0 nor 1
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.running_var, 0.5, 2)  # type: ignore[arg-type]
            torch.nn.init.uniform_(module.bias, -0.2, 0.2)
    return model.eval()


def lengths_seen(model: torch.nn.Module) -> list[int]:
    seen: list[int] = []
    model.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[2]))
    return seen


@given(valid=st.integers(1, 100_000), samples=st.integers(1, 100_000))
def test_a_length_is_enough_and_at_most_an_eighth_too_much(valid: int, samples: int) -> None:
    valid = min(valid, samples)
    length = trimmed_length(valid, samples)
    assert valid <= length <= samples
    assert length <= valid * 1.125


def test_there_are_eight_lengths_an_octave() -> None:
    lengths = {trimmed_length(valid, 10_000) for valid in range(1025, 2049)}
    assert sorted(lengths) == list(range(1152, 2049, 128))


def test_batches_are_cut_to_their_longest_recording(waves: Waves) -> None:
    data = on_device(with_lengths(waves(64, 16, 256), np.array([40, 70, 100, 256])))
    indices = [torch.tensor([0, 4, 8]), torch.tensor([0, 1, 2]), torch.tensor([3])]
    whole = list(data.batches(indices))
    cut = list(trimmed_batches(data, indices))
    assert [batch.signal.shape[2] for batch in cut] == [40, 104, 256]
    for before, after in zip(whole, cut, strict=True):
        length = after.signal.shape[2]
        assert before.signal_mask is not None
        assert after.signal_mask is not None
        assert torch.equal(after.signal, before.signal[:, :, :length])
        assert torch.equal(after.signal_mask, before.signal_mask[:, :length])
        assert not before.signal_mask[:, length:].any()
        assert torch.equal(after.label, before.label)


def test_recordings_of_equal_length_are_left_as_they_are(waves: Waves) -> None:
    data = on_device(waves(8, 4, 256))
    (batch,) = trimmed_batches(data, [torch.arange(8)])
    assert batch.signal_mask is None
    assert batch.signal.shape[2] == 256
    assert list(trimmed_batches(data, [])) == []
    assert list(trimmed_batches(data, torch.arange(0).split(4))) == []


@pytest.mark.parametrize("resolution", [1.0, 0.6])
def test_predictions_do_not_change_by_it(waves: Waves, resolution: float) -> None:
    data = with_lengths(waves(64, 16, 256), np.array([9, 33, 40, 64, 70, 100, 130]))
    model = network(dataclasses.replace(MODEL, resolution=resolution))
    seen = lengths_seen(model)
    store = on_device(data)
    with torch.inference_mode():
        # Whole, without a cut: as long as the longest recording of a dataset could be.
        (batch,) = store.batches([torch.arange(64)])
        expected = model(*batch.inputs).softmax(dim=1)
        found = predict_slice(model, store, slice(None), multi_label=False, batch_size=8)
    assert seen[0] == 256
    # 64 of 7 lengths in batches of 8, like lengths together: most batches are of one.
    assert seen[1:] == sorted(seen[1:])
    assert seen[1] == 9
    assert seen[-1] == trimmed_length(130, 256)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    for size in (1, 64):
        again = predict(model, data.train, data.normalisation, batch_size=size)
        np.testing.assert_allclose(again, expected, atol=1e-5)


def test_parts_of_any_step_are_predicted_in_their_order(waves: Waves) -> None:
    data = with_lengths(waves(64, 16, 256), np.array([9, 256, 40, 130]))
    store, model = on_device(data), network()

    def predicted(part: slice) -> torch.Tensor:
        return predict_slice(model, store, part, multi_label=True, batch_size=5)

    whole = predicted(slice(None))
    for part in (slice(3, 40), slice(3, 40, 3), slice(5, 5), slice(60, None)):
        torch.testing.assert_close(predicted(part), whole[part], rtol=0, atol=1e-5)


def test_training_sees_cut_batches(waves: Waves) -> None:
    data = with_lengths(waves(64, 16, 256), np.array([30, 40]))
    config = TrainingConfig(epochs=2, batch_size=16)
    learner = Learner(
        MODEL, config, on_device(data), rate_hz=128.0, seed=0, ranks=Ranks(), device=CPU
    )
    seen = lengths_seen(learner.model)
    learner.train_epoch(1)
    assert seen == [40] * 4
