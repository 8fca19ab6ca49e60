from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ecgmodels import EfficientECG, EfficientECGConfig
from ecgmodels.models.masking import SignalMask
from ecgmodels.models.resampling import Resample, resampled_length, resampling_bands

LENGTHS = [(256, 384), (256, 200), (5000, 1250), (100, 137), (7, 3)]


def resample(samples: int, resampled: int, signal: Tensor) -> Tensor:
    return Resample(samples, resampled)(signal, SignalMask(None))[0]


def sine(samples: int, cycles_per_sample: float, positions: Tensor | None = None) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) if positions is None else positions
    return torch.sin(2 * math.pi * cycles_per_sample * time).float().expand(1, 1, -1)


@pytest.mark.parametrize(("samples", "resampled"), LENGTHS)
def test_a_constant_stays_constant(samples: int, resampled: int) -> None:
    signal = torch.full((2, 3, samples), 0.7)
    expected = torch.full((2, 3, resampled), 0.7)
    torch.testing.assert_close(resample(samples, resampled, signal), expected)


@pytest.mark.parametrize(("samples", "resampled"), LENGTHS[:3])
def test_a_slow_sine_survives(samples: int, resampled: int) -> None:
    step = samples / resampled
    frequency = 0.3 * min(1, 1 / step)  # of a Nyquist rate of 0.5
    places = (torch.arange(resampled, dtype=torch.float64) + 0.5) * step - 0.5
    inside = slice(16, -16)  # away from the edges, where the window is cut
    error = resample(samples, resampled, sine(samples, frequency)) - sine(0, frequency, places)
    assert error[..., inside].abs().max() < 0.01


@pytest.mark.parametrize(("samples", "resampled"), [(512, 256), (5000, 1250)])
def test_a_sine_above_the_new_nyquist_rate_is_suppressed(samples: int, resampled: int) -> None:
    above = 1.2 * 0.5 * resampled / samples
    aliased = resample(samples, resampled, sine(samples, above))[..., 16:-16]
    assert 20 * math.log10(aliased.abs().max().item()) < -40


def test_long_windows_need_no_full_matrix() -> None:
    _, weight = resampling_bands(5000, 6000)
    assert weight.size < 5000 * 6000 / 50


def test_resampling_adds_nothing_to_learn_or_store() -> None:
    plain = EfficientECGConfig(leads=1, samples=100, classes=2, base="tiny")
    finer = EfficientECGConfig(leads=1, samples=100, classes=2, base="tiny", resolution=1.5)
    assert EfficientECG(plain).state_dict().keys() == EfficientECG(finer).state_dict().keys()


def test_resolution_1_leaves_the_window_alone() -> None:
    config = EfficientECGConfig(leads=1, samples=100, classes=2, base="tiny")
    assert EfficientECG(config).resample is None


@given(samples=st.integers(2, 6000), resampled=st.integers(2, 6000), length=st.integers(1, 9000))
def test_every_output_but_a_lone_one_stands_within_the_recording(
    samples: int, resampled: int, length: int
) -> None:
    outputs = resampled_length(length, samples, resampled)
    assert resampled_length(samples, samples, resampled) == resampled
    # Output j stands at (j + 1/2) * samples / resampled, and the recording ends at length.
    assert (2 * outputs - 1) * samples < 2 * length * resampled or outputs == 1
    assert (2 * outputs + 1) * samples >= 2 * length * resampled


@pytest.mark.parametrize("length", [1, 40, 255, 257, 700])
@pytest.mark.parametrize(("samples", "resampled"), LENGTHS[:2])
def test_another_length_is_resampled_at_the_same_places(
    samples: int, resampled: int, length: int
) -> None:
    torch.manual_seed(0)
    longer = torch.randn(1, 2, 1000)
    whole = resample(samples, resampled, longer)
    part = resample(samples, resampled, longer[..., :length])
    assert part.shape[2] == resampled_length(length, samples, resampled)
    inside = max(0, part.shape[2] - 16)  # up to there no average reaches beyond the end
    torch.testing.assert_close(part[..., :inside], whole[..., :inside])


@given(
    samples=st.integers(2, 300),
    resampled=st.integers(2, 300),
    valid=st.lists(st.integers(1, 400), min_size=1, max_size=3),
    padding=st.integers(0, 200),
    garbage=st.sampled_from([math.nan, math.inf, 1e6]),
)
@settings(deadline=None)
def test_padding_is_in_no_average(
    samples: int, resampled: int, valid: list[int], padding: int, garbage: float
) -> None:
    torch.manual_seed(0)
    signal = torch.randn(len(valid), 2, max(valid) + padding)
    mask = torch.arange(signal.shape[2]) < torch.tensor(valid)[:, None]
    module = Resample(samples, resampled)
    together, left = module(signal.masked_fill(~mask[:, None], garbage), SignalMask(mask))
    assert together.isfinite().all()
    for segment, length in enumerate(valid):
        expected = module(signal[segment : segment + 1, :, :length], SignalMask(None))[0][0]
        outputs = expected.shape[1]
        assert left.valid[segment].tolist() == [
            output < outputs for output in range(together.shape[2])
        ]
        torch.testing.assert_close(together[segment, :, :outputs], expected, rtol=0, atol=1e-5)


def test_lengths_first_met_in_prediction_can_be_learned_from() -> None:
    module = Resample(100, 137)
    with torch.inference_mode():
        module(torch.randn(1, 1, 91), SignalMask(None))
    signal = torch.randn(1, 1, 91, requires_grad=True)
    module(signal, SignalMask(None))[0].sum().backward()
    assert signal.grad.isfinite().all()
