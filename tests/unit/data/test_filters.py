from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.segmentation.filters import (
    bandpass,
    resample,
    resampled_position,
    resampling_ratio,
)
from ecgmodels.data.segmentation.gaps import bridge_gaps
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


def test_rates_without_a_ratio_of_small_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="cannot be resampled"):
        resampling_ratio(360, 127.98765)


def test_a_short_gap_is_bridged_by_a_straight_line() -> None:
    signal = np.arange(100.0)[None].copy()
    signal[0, 40:50] = np.nan  # 100 ms at 100 Hz
    bridged, unusable, samples = bridge_gaps(signal, 100.0)
    np.testing.assert_allclose(bridged[0], np.arange(100.0))
    assert not unusable.any()
    assert samples == 10


def test_a_longer_gap_in_any_lead_is_marked_unusable() -> None:
    signal = np.ones((2, 100))
    signal[1, 40:51] = np.nan
    bridged, unusable, samples = bridge_gaps(signal, 100.0)
    assert np.isfinite(bridged).all()
    assert np.flatnonzero(unusable).tolist() == list(range(40, 51))
    assert samples == 0


def test_a_lead_without_any_valid_sample_is_unusable_throughout() -> None:
    signal = np.ones((2, 100))
    signal[0] = np.nan
    bridged, unusable, _ = bridge_gaps(signal, 100.0)
    assert np.isfinite(bridged).all()
    assert unusable.all()
