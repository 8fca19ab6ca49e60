from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.segmentation.gaps import bridge_gaps


def test_a_short_gap_is_bridged_by_a_straight_line() -> None:
    signal = np.arange(100.0)[None].copy()
    signal[0, 40:50] = np.nan  # 100 ms at 100 Hz
    bridged, unusable, samples = bridge_gaps(signal, 100.0, 0.1)
    np.testing.assert_allclose(bridged[0], np.arange(100.0))
    assert not unusable.any()
    assert samples == 10


def test_a_longer_gap_in_any_lead_is_marked_unusable() -> None:
    signal = np.ones((2, 100))
    signal[1, 40:51] = np.nan
    bridged, unusable, samples = bridge_gaps(signal, 100.0, 0.1)
    assert np.isfinite(bridged).all()
    assert np.flatnonzero(unusable).tolist() == list(range(40, 51))
    assert samples == 0


def test_a_lead_without_any_valid_sample_is_zero_and_spoils_no_other() -> None:
    signal = np.ones((2, 100))
    signal[0] = np.nan
    bridged, unusable, samples = bridge_gaps(signal, 100.0, 0.1)
    assert bridged.tolist() == [[0.0] * 100, [1.0] * 100]
    assert not unusable.any()
    assert samples == 0


def test_gaps_at_the_ends_take_the_nearest_valid_sample() -> None:
    signal = np.array([[np.nan, np.nan, 3.0, 4.0, 5.0, np.nan]])
    bridged, unusable, samples = bridge_gaps(signal, 100.0, 0.02)
    assert bridged.tolist() == [[3.0, 3.0, 3.0, 4.0, 5.0, 5.0]]
    assert not unusable.any()
    assert samples == 3


def test_a_signal_without_gaps_is_not_copied() -> None:
    signal = np.ones((2, 100))
    assert bridge_gaps(signal, 100.0, 0.1)[0] is signal


@settings(deadline=None, max_examples=100)
@given(
    rate_hz=st.integers(50, 1000),
    allowed=st.integers(0, 40),
    gap=st.integers(1, 80),
    start=st.integers(1, 20),
)
def test_a_gap_is_bridged_up_to_the_longest_allowed(
    rate_hz: int, allowed: int, gap: int, start: int
) -> None:
    """However the limit in seconds rounds, it is a whole number of samples at any rate."""
    signal = np.linspace(-1, 1, 102)[None].copy()
    whole = signal.copy()
    signal[0, start : start + gap] = np.nan
    bridged, unusable, samples = bridge_gaps(signal, float(rate_hz), allowed / rate_hz)
    np.testing.assert_allclose(bridged, whole, atol=1e-12)
    assert samples == (gap if gap <= allowed else 0)
    assert unusable.sum() == (0 if gap <= allowed else gap)
