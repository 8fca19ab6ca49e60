"""Filtering and resampling of whole records; both leave every beat where it was."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import signal as scipy_signal

from ecgmodels.errors import DataError

BUTTERWORTH_ORDER = 3
_LARGEST_FACTOR = 1000


def bandpass(
    signal_mv: NDArray[np.float64], rate_hz: float, band_hz: tuple[float, float]
) -> NDArray[np.float64]:
    """Band-pass with a Butterworth filter run forwards and backwards, hence without delay.

    Args:
        signal_mv: float64 [lead, time].
        rate_hz: sampling rate.
        band_hz: the two corners; the gain there is 1/2, because the filter runs twice.

    Raises:
        DataError: the upper corner is not below half the sampling rate.
    """
    check_band(rate_hz, band_hz)
    low_hz, high_hz = band_hz
    sections = scipy_signal.butter(
        BUTTERWORTH_ORDER, (low_hz, high_hz), "bandpass", fs=rate_hz, output="sos"
    )
    # One period of the lower corner on either side lets the start-up transient die out there.
    padding = min(signal_mv.shape[1] - 1, round(rate_hz / low_hz))
    return scipy_signal.sosfiltfilt(sections, signal_mv, axis=1, padlen=padding)


def check_band(rate_hz: float, band_hz: tuple[float, float]) -> None:
    """Raise DataError where the upper corner is not below half the sampling rate."""
    low_hz, high_hz = band_hz
    if high_hz >= rate_hz / 2:
        raise DataError(
            f"filter_hz {low_hz:g} to {high_hz:g} reaches half the recording's rate "
            f"({rate_hz:g} Hz / 2 = {rate_hz / 2:g} Hz)",
            hint=f"choose an upper corner below {rate_hz / 2:g} Hz",
        )


def resampling_ratio(rate_hz: float, target_hz: float) -> Fraction:
    """Return target over source rate as a fraction, e.g. 16/45 from 360 to 128 Hz.

    Raises:
        DataError: the rates have no ratio of whole numbers up to 1000.
    """
    exact = Fraction(target_hz) / Fraction(rate_hz)
    ratio = exact.limit_denominator(_LARGEST_FACTOR)
    if ratio.numerator == 0 or ratio.numerator > _LARGEST_FACTOR or abs(ratio / exact - 1) > 1e-9:
        raise DataError(
            f"{rate_hz:g} Hz cannot be resampled to {target_hz:g} Hz: their ratio has no whole "
            f"numbers up to {_LARGEST_FACTOR}",
            hint="choose a rate_hz such as 100, 125, 128, 250 or 360",
        )
    return ratio


def resample(signal_mv: NDArray[np.float64], ratio: Fraction) -> NDArray[np.float64]:
    """Resample float64 [lead, time] by `ratio` through a zero-phase polyphase low-pass filter."""
    if ratio == 1:
        return signal_mv
    # "line" takes the straight line between both ends away first: no step at the ends to ring.
    return scipy_signal.resample_poly(
        signal_mv, ratio.numerator, ratio.denominator, axis=1, padtype="line"
    )


def resampled_length(samples: int, ratio: Fraction) -> int:
    """Return how many samples `resample` makes of `samples`; a part of one counts as one."""
    return -(-samples * ratio.numerator // ratio.denominator)


def resampled_position(sample: NDArray[np.int64], ratio: Fraction) -> NDArray[np.int64]:
    """Return the sample nearest in time after resampling by `ratio`; halves go up."""
    return (2 * sample * ratio.numerator + ratio.denominator) // (2 * ratio.denominator)
