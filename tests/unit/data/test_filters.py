from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.preparation.option_checks import LOWEST_CORNER_HZ
from ecgmodels.data.segmentation.filters import (
    bandpass,
    resample,
    resampled_length,
    resampled_position,
    resampling_ratio,
)
from ecgmodels.errors import DataError


@settings(deadline=None, max_examples=40)
@given(
    rate_hz=st.sampled_from([128.0, 250.0, 257.0, 300.0, 360.0, 500.0, 1000.0]),
    target_hz=st.sampled_from([100.0, 125.0, 128.0, 200.0, 250.0, 360.0]),
    position=st.floats(0.2, 0.8),
)
def test_a_beat_stays_within_one_sample_of_its_place(
    rate_hz: float, target_hz: float, position: float
) -> None:
    time = np.arange(round(4 * rate_hz))
    beat = round(position * len(time))
    signal = np.exp(-0.5 * ((time - beat) / rate_hz / 0.02) ** 2)[None]
    ratio = resampling_ratio(rate_hz, target_hz)
    resampled = resample(bandpass(signal, rate_hz, (0.5, 40.0)), ratio)
    expected = resampled_position(np.array([beat]), ratio)[0]
    assert abs(int(resampled[0].argmax()) - expected) <= 1


def test_the_last_of_half_an_hour_of_beats_has_not_drifted() -> None:
    ratio = resampling_ratio(360, 128)
    assert ratio == Fraction(16, 45)
    assert resampled_position(np.array([0, 45, 649_980]), ratio).tolist() == [0, 16, 231_104]
    assert resample(np.zeros((2, 650_000)), ratio).shape == (2, 231_112)


@given(
    sample=st.integers(0, 10**9),
    rate_hz=st.integers(50, 1000),
    target_hz=st.integers(50, 1000),
)
def test_a_resampled_position_is_the_nearest_sample_in_time(
    sample: int, rate_hz: int, target_hz: int
) -> None:
    position = resampled_position(np.array([sample]), Fraction(target_hz, rate_hz)).item()
    assert abs(position - Fraction(sample * target_hz, rate_hz)) <= Fraction(1, 2)


@pytest.mark.parametrize("samples", [1, 2, 44, 45, 46, 1000])
@pytest.mark.parametrize(("rate_hz", "target_hz"), [(360, 128), (100, 250), (257, 100), (500, 500)])
def test_the_length_after_resampling_is_known_before(
    samples: int, rate_hz: float, target_hz: float
) -> None:
    ratio = resampling_ratio(rate_hz, target_hz)
    resampled = resample(np.zeros((2, samples)), ratio)
    assert resampled.shape == (2, resampled_length(samples, ratio))


def test_the_band_passes_10_hz_and_removes_baseline_and_mains() -> None:
    time_s = np.arange(0, 20, 1 / 360)
    gain = {}
    for hz in (0.05, 10.0, 60.0):
        filtered = bandpass(np.sin(2 * np.pi * hz * time_s)[None], 360, (0.5, 40.0))
        gain[hz] = np.abs(filtered[0, 1800:-1800]).max()
    assert gain[10.0] == pytest.approx(1.0, abs=0.01)
    assert gain[0.05] < 0.01
    assert gain[60.0] < 0.1


def test_a_corner_above_half_the_recordings_rate_is_refused() -> None:
    with pytest.raises(DataError, match=r"0\.5 to 40 reaches half .*60 Hz / 2 = 30 Hz"):
        bandpass(np.zeros((1, 600)), 60, (0.5, 40.0))


@pytest.mark.parametrize("rate_hz", [100.0, 360.0, 10_000.0, 1e6])
def test_the_lowest_corner_can_be_computed_at_every_rate(rate_hz: float) -> None:
    signal = np.random.default_rng(0).normal(size=(1, round(min(20 * rate_hz, 1e6))))
    filtered = bandpass(signal, rate_hz, (LOWEST_CORNER_HZ, 40.0))
    assert np.isfinite(filtered).all()
    assert np.abs(filtered).max() < 10


def test_rates_without_a_ratio_of_small_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be resampled"):
        resampling_ratio(360, 127.98765)
