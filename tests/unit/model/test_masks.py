from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ecgmodels import EfficientECG, EfficientECGConfig
from ecgmodels.models.masking import BatchNorm, SignalMask
from tests.unit.model.efficientecg_configs import configs

GARBAGE = [math.nan, math.inf, 1e6, -3.0]


def moved(config: EfficientECGConfig) -> EfficientECG:
    """Return a network in evaluation whose norms shift what is 0, as those of trained ones do."""
    torch.manual_seed(0)
    model = EfficientECG(config).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.3, 2)
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.normal_(module.bias, std=0.5)
    return model


def inputs(config: EfficientECGConfig, batch: int, time: int) -> list[Tensor | None]:
    """Return what forward takes, without a signal mask."""
    signal = torch.randn(2, batch, config.leads, time)
    features = torch.randn(batch, len(config.features))
    template = signal[1] if config.template else None
    return [signal[0], features, torch.rand(features.shape) < 0.7, None, template]


def padded(given: list[Tensor | None], valid: Tensor, garbage: float) -> list[Tensor | None]:
    """Return the inputs with `garbage` beyond so many samples of each segment, and the mask."""
    signal, features, feature_mask, _, template = given
    assert signal is not None
    mask = torch.arange(signal.shape[2]) < valid[:, None]

    def spoilt(x: Tensor | None) -> Tensor | None:
        return None if x is None else x.masked_fill(~mask[:, None], garbage)

    return [spoilt(signal), features, feature_mask, mask, spoilt(template)]


def alone(given: list[Tensor | None], segment: int, valid: int) -> list[Tensor | None]:
    """Return one segment's own samples, unpadded and without a mask."""
    signal, features, feature_mask, _, template = (
        None if x is None else x[segment : segment + 1] for x in given
    )
    assert signal is not None
    template = None if template is None else template[..., :valid]
    return [signal[..., :valid], features, feature_mask, None, template]


@given(
    config=configs(small=True),
    valid=st.lists(st.integers(1, 130), min_size=1, max_size=3),
    padding=st.integers(0, 90),
    garbage=st.sampled_from(GARBAGE),
)
@settings(max_examples=150, deadline=None)
def test_a_padded_segment_gives_what_it_gives_alone(
    config: EfficientECGConfig, valid: list[int], padding: int, garbage: float
) -> None:
    model = moved(config)
    given_inputs = inputs(config, len(valid), max(valid) + padding)
    with torch.inference_mode():
        together = model(*padded(given_inputs, torch.tensor(valid), garbage))
        apart = [model(*alone(given_inputs, i, samples)) for i, samples in enumerate(valid)]
    expected = torch.cat(apart)
    assert (together - expected).abs().max() <= 1e-5 * max(1, expected.abs().max())


@given(config=configs(small=True), shorter=st.integers(0, 19))
@settings(max_examples=30, deadline=None)
def test_a_mask_that_leaves_nothing_out_changes_nothing(
    config: EfficientECGConfig, shorter: int
) -> None:
    model = moved(config)
    given_inputs = inputs(config, 2, config.samples - shorter)
    whole = torch.ones(2, config.samples - shorter, dtype=torch.bool)
    with torch.inference_mode():
        plain = model(*given_inputs)
        given_inputs[3] = whole
        masked = model(*given_inputs)
    assert (masked - plain).abs().max() <= 1e-5 * max(1, plain.abs().max())


@pytest.mark.parametrize("leads_fused", ["input", "stage1"])
def test_what_training_learns_does_not_depend_on_how_far_a_batch_is_padded(
    leads_fused: str,
) -> None:
    config = EfficientECGConfig(
        leads=2, samples=80, classes=3, base="tiny", leads_fused=leads_fused, resolution=1.3
    )
    given_inputs = inputs(config, 4, 80)
    valid = torch.tensor([37, 50, 48, 12])
    models = []
    for length in (50, 80):
        torch.manual_seed(0)
        model = EfficientECG(config).train()
        model.dropout.p = 0
        cut = [x[..., :length] if x is not None and x.ndim == 3 else x for x in given_inputs]
        model(*padded(cut, valid, math.nan)).square().sum().backward()
        models.append(model)
    short, long = models
    for (name, value), other in zip(short.named_buffers(), long.buffers(), strict=True):
        torch.testing.assert_close(value, other, msg=name)
    for (name, parameter), other in zip(short.named_parameters(), long.parameters(), strict=True):
        torch.testing.assert_close(parameter.grad, other.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_batch_norm_counts_what_is_valid_as_torch_counts_what_there_is() -> None:
    torch.manual_seed(0)
    ours, torchs = BatchNorm(3), nn.BatchNorm2d(3)
    nn.init.normal_(ours.weight)
    torchs.load_state_dict(ours.state_dict())
    x = 5 + 2 * torch.randn(4, 3, 1, 9)
    mask = torch.arange(9) < torch.tensor([9, 2, 1, 5])[:, None]
    for _ in range(2):
        got = ours(x.masked_fill(~mask[:, None, None], math.nan), SignalMask(mask))
        expected = torchs(x.squeeze(2).transpose(1, 2)[mask][:, :, None, None])
    torch.testing.assert_close(got.squeeze(2).transpose(1, 2)[mask], expected.flatten(1))
    for name, value in torchs.state_dict().items():
        torch.testing.assert_close(ours.state_dict()[name], value, msg=name)


@pytest.mark.parametrize("mask", [None, SignalMask(None)])
def test_batch_norm_without_a_mask_is_torchs(mask: SignalMask | None) -> None:
    torch.manual_seed(0)
    ours, torchs = BatchNorm(3), nn.BatchNorm2d(3)
    x = torch.randn(4, 3, 1, 9)
    assert torch.equal(ours(x, mask), torchs(x))
    assert torch.equal(ours.running_var, torchs.running_var)


def test_without_a_mask_nothing_is_zeroed_counted_or_strided() -> None:
    x, mask = torch.randn(2, 3, 1, 8), SignalMask(None)
    assert mask.zero(x) is x
    assert mask.strided(2) is mask
    assert mask.for_each(3) is mask
    assert mask.for_all(3) is mask


def test_every_leads_map_has_its_segments_mask() -> None:
    mask = SignalMask(torch.tensor([[True, True], [True, False]]))
    each = mask.for_each(3)
    assert each.valid.tolist() == [[True, True]] * 3 + [[True, False]] * 3
    assert torch.equal(each.for_all(3).valid, mask.valid)


def test_means_and_maxima_are_of_what_is_valid() -> None:
    x = torch.tensor([[[[-3.0, -5.0, 7.0]]]])
    mask = SignalMask(torch.tensor([[True, True, False]]))
    assert mask.mean(mask.zero(x)).tolist() == [[-4.0]]
    assert mask.maximum(x).tolist() == [[-3.0]]
