"""Where beats begin, where the waves before them end, and which beats are each other's like."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

RATE_HZ = 250.0
"""The rate of every signal here: P waves are measured to 4 ms."""
NEIGHBOURS = 16
"""Beats that one is compared with."""
LEAST_WINDOW_S = 0.12
"""Before the QRS complex, looked at also where a T wave reaches into it."""

# Bazett: QT grows with sqrt(RR). 0.40 s at an RR of 1 s is a QTc in the middle of the normal.
_T_END_S = 0.40


@dataclass(frozen=True, kw_only=True, eq=False)
class BeatTiming:
    """Of each beat, at `RATE_HZ`.

    onset: int64 [beat], the beginning of the QRS complex.
    earliest: int64 [beat], where the T wave before is over, or `LEAST_WINDOW_S` before the QRS.
    room_s: float64 [beat], from the end of the T wave to the QRS; negative where they overlap.
    typical: bool [beat], not premature.
    """

    onset: NDArray[np.int64]
    earliest: NDArray[np.int64]
    room_s: NDArray[np.float64]
    typical: NDArray[np.bool_]

    def part(self, start: int, stop: int) -> BeatTiming:
        """Return the timing of the beats `start` to `stop`."""
        return BeatTiming(
            onset=self.onset[start:stop],
            earliest=self.earliest[start:stop],
            room_s=self.room_s[start:stop],
            typical=self.typical[start:stop],
        )


def time_beats(signal: NDArray[np.float64], beat: NDArray[np.int64]) -> BeatTiming:
    """Measure the surroundings of each beat.

    Args:
        signal: float64 [lead, time] at `RATE_HZ`, without NaN.
        beat: int64 [beat], samples, ascending, at least two.
    """
    onset = _qrs_onset(signal, beat)
    rr_s = np.diff(beat) / RATE_HZ
    rr_s = np.concatenate([[np.median(rr_s)], rr_s])
    # After a change of rate the QT interval follows late: the longer of two RR intervals counts.
    longer_s = np.maximum(rr_s, np.concatenate([rr_s[:1], rr_s[:-1]])).clip(0.25, 1.2)
    t_end = beat - (rr_s - _T_END_S * np.sqrt(longer_s)) * RATE_HZ
    usual_s = ndimage.percentile_filter(rr_s, 60, size=NEIGHBOURS + 1, mode="nearest")
    return BeatTiming(
        onset=onset,
        earliest=np.minimum(t_end.astype(np.int64), onset - samples_of(LEAST_WINDOW_S)),
        room_s=(onset - t_end) / RATE_HZ,
        # In bigeminy every other beat is premature, hence not the median of RR.
        typical=rr_s >= 0.85 * usual_s,
    )


def _qrs_onset(signal: NDArray[np.float64], beat: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return where the steepness of all leads together rises above 0.08 of its peak.

    Of shares from 0.06 to 0.15, after smoothing by 4 to 10 ms, it is the one nearest to LUDB's
    marks in all twelve leads, in II and in V1.
    """
    before, after, radius = samples_of(0.14), samples_of(0.08), samples_of(0.06)
    smooth = ndimage.gaussian_filter1d(signal, 0.008 * RATE_HZ, axis=1)
    slope = np.gradient(smooth, axis=1)
    slope /= np.sqrt(np.mean(slope**2, axis=1, keepdims=True)) + 1e-9
    steepness = ndimage.uniform_filter1d(np.sqrt(np.mean(slope**2, axis=0)), 3)
    around = beat[:, None] + np.arange(-before, after + 1)
    steepness = steepness[around.clip(0, signal.shape[1] - 1)]
    peak = before - radius + steepness[:, before - radius : before + radius + 1].argmax(axis=1)
    quiet = np.quantile(steepness[:, :before], 0.1, axis=1)
    top = np.take_along_axis(steepness, peak[:, None], axis=1)[:, 0]
    low = steepness < (quiet + 0.08 * (top - quiet))[:, None]
    low &= np.arange(low.shape[1]) < peak[:, None]
    last_low = np.where(
        low.any(axis=1), low.shape[1] - 1 - low[:, ::-1].argmax(axis=1), before - samples_of(0.05)
    )
    return beat - before + last_low + 1


def nearest_typical(typical: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return int64 [beat, neighbour], the nearest typical beats; -1 where there are fewer."""
    candidates = np.flatnonzero(typical)
    neighbours = np.full((len(typical), NEIGHBOURS), -1)
    for beat, place in enumerate(np.searchsorted(candidates, np.arange(len(typical))).tolist()):
        near = candidates[max(0, place - NEIGHBOURS) : place + NEIGHBOURS + 1]
        near = near[near != beat]
        near = near[np.argsort(np.abs(near - beat), kind="stable")[:NEIGHBOURS]]
        neighbours[beat, : len(near)] = near
    return neighbours


def median_of(values: NDArray[np.float64], neighbours: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the median of `values` [beat, ...] over each beat's neighbours, without NaN."""
    padded = np.concatenate([values, np.full((1, *values.shape[1:]), np.nan)])  # -1 takes the NaN
    medians = np.empty_like(values)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN gives NaN
        for start in range(0, len(values), 256):
            part = slice(start, start + 256)
            medians[part] = np.nanmedian(padded[neighbours[part]], axis=1)
    return medians


def samples_of(seconds: float) -> int:
    """Return the whole number of samples at `RATE_HZ` nearest to a time."""
    return round(seconds * RATE_HZ)
