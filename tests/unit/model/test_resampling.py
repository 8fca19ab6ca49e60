from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from ecgmodels import EfficientECG, EfficientECGConfig
from ecgmodels.models.resampling import Resample, resampling_bands

LENGTHS = [(256, 384), (256, 200), (5000, 1250), (100, 137), (7, 3)]


def sine(samples: int, cycles_per_sample: float, positions: Tensor | None = None) -> Tensor:
    time = torch.arange(samples, dtype=torch.float64) if positions is None else positions
    return torch.sin(2 * math.pi * cycles_per_sample * time).float().expand(1, 1, -1)


@pytest.mark.parametrize(("samples", "resampled"), LENGTHS)
def test_a_constant_stays_constant(samples: int, resampled: int) -> None:
    signal = torch.full((2, 3, samples), 0.7)
    expected = torch.full((2, 3, resampled), 0.7)
    torch.testing.assert_close(Resample(samples, resampled)(signal), expected)


@pytest.mark.parametrize(("samples", "resampled"), LENGTHS[:3])
def test_a_slow_sine_survives(samples: int, resampled: int) -> None:
    step = samples / resampled
    frequency = 0.3 * min(1, 1 / step)  # of a Nyquist rate of 0.5
    places = (torch.arange(resampled, dtype=torch.float64) + 0.5) * step - 0.5
    inside = slice(16, -16)  # away from the edges, where the window is cut
    error = Resample(samples, resampled)(sine(samples, frequency)) - sine(0, frequency, places)
    assert error[..., inside].abs().max() < 0.01


@pytest.mark.parametrize(("samples", "resampled"), [(512, 256), (5000, 1250)])
def test_a_sine_above_the_new_nyquist_rate_is_suppressed(samples: int, resampled: int) -> None:
    above = 1.2 * 0.5 * resampled / samples
    aliased = Resample(samples, resampled)(sine(samples, above))[..., 16:-16]
    assert 20 * math.log10(aliased.abs().max().item()) < -40


def test_long_windows_need_no_full_matrix() -> None:
    _, weight = resampling_bands(5000, 6000)
    assert weight.size < 5000 * 6000 / 50


def test_resampling_adds_nothing_to_learn_or_store() -> None:
    plain = EfficientECGConfig(leads=1, samples=100, classes=2, base="tiny")
    finer = EfficientECGConfig(leads=1, samples=100, classes=2, base="tiny", resolution=1.5)
    assert EfficientECG(plain).state_dict().keys() == EfficientECG(finer).state_dict().keys()


def test_resolution_1_leaves_the_window_alone() -> None:
    model = EfficientECG(EfficientECGConfig(leads=1, samples=100, classes=2, base="tiny"))
    signal = torch.randn(1, 1, 100)
    assert model.resample(signal) is signal
