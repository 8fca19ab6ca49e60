"""Invalid samples: short gaps are bridged, long ones are marked so that no segment holds them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def bridge_gaps(
    signal_mv: NDArray[np.float64], rate_hz: float, max_bridged_s: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], int]:
    """Interpolate NaN linearly along time, and say which samples may not be used all the same.

    Gaps at the ends of a recording take the nearest valid sample. A lead without any valid sample
    is 0 throughout and marks nothing: the other leads are as good as they were.

    Args:
        signal_mv: float64 [lead, time], NaN = invalid.
        rate_hz: sampling rate.
        max_bridged_s: longest gap that is trusted once it is bridged.

    Returns:
        The signal without NaN, float64 [lead, time]; bool [time], True inside a longer gap in any
        lead; and the number of samples bridged in the others.
    """
    unusable = np.zeros(signal_mv.shape[1], dtype=np.bool_)
    invalid = np.isnan(signal_mv)
    if not invalid.any():
        return signal_mv, unusable, 0
    bridged = signal_mv.copy()
    bridged_samples = 0
    longest = max_bridged_s * rate_hz + 1e-6  # as floats, 0.29 s at 100 Hz are less than 29
    time = np.arange(signal_mv.shape[1])
    for lead, gap in zip(bridged, invalid, strict=True):
        if gap.all():
            lead[:] = 0.0
            continue
        lead[gap] = np.interp(time[gap], time[~gap], lead[~gap])
        for start, stop in _runs(gap):
            if stop - start > longest:
                unusable[start:stop] = True
            else:
                bridged_samples += stop - start
    return bridged, unusable, bridged_samples


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the half-open ranges in which `mask` is True."""
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]
