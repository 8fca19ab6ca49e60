"""Invalid samples: short gaps are bridged, long ones are marked so that no segment holds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MAX_BRIDGED_S = 0.1
"""Longest gap bridged by a straight line: about the length of a QRS complex."""


def bridge_gaps(
    signal_mv: NDArray[np.float64], rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Interpolate NaN linearly along time, and say which samples may not be used all the same.

    Gaps at the ends of a recording take the nearest valid sample; a lead without any is 0.

    Args:
        signal_mv: float64 [lead, time], NaN = invalid.
        rate_hz: sampling rate.

    Returns:
        The signal without NaN, float64 [lead, time]; bool [time], True inside a gap longer than
        `MAX_BRIDGED_S` in any lead; and the number of samples bridged in shorter gaps.
    """
    unusable = np.zeros(signal_mv.shape[1], dtype=np.bool_)
    invalid = np.isnan(signal_mv)
    if not invalid.any():
        return signal_mv, unusable, 0
    bridged = signal_mv.copy()
    bridged_samples = 0
    time = np.arange(signal_mv.shape[1])
    for lead, gap in zip(bridged, invalid, strict=True):
        lead[gap] = np.interp(time[gap], time[~gap], lead[~gap]) if not gap.all() else 0.0
        for start, stop in _runs(gap):
            if stop - start > MAX_BRIDGED_S * rate_hz:
                unusable[start:stop] = True
            else:
                bridged_samples += stop - start
    return bridged, unusable, bridged_samples


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the half-open ranges in which `mask` is True."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
