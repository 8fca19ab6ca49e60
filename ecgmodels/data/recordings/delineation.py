"""The P wave before each beat: whether there is one, and the PR interval.

A P wave is a bump that stands at the same distance before the QRS complex from beat to beat, while
fibrillatory waves and noise do not. So each beat is compared with the median of its neighbours,
over all leads. docs/detection.md has what this achieves, and what else was tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgmodels.data.recordings.beat_windows import (
    RATE_HZ,
    BeatTiming,
    median_of,
    nearest_typical,
    samples_of,
    time_beats,
)
from ecgmodels.data.recordings.detection import bridge_leads, check_rate
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.segmentation.features import PWaves
from ecgmodels.data.segmentation.filters import resample

EVIDENCE = ("likeness", "share", "contrast", "room", "fall_after", "fall_before")
"""What the decision is made from, see `p_wave_evidence`."""

# Logistic regression on all of LUDB and MIT-BIH (`python benchmarks/delineation.py --fit`). The
# figures in docs/detection.md are of records that had no part in the weights that judged them.
_WEIGHTS = np.array([2.379, 1.730, 3.705, 11.304, -1.230, -0.631])
_INTERCEPT = -6.984

_SMOOTHING_S = 0.010  # standard deviation of a Gaussian: unlike a filter's edge it rings nowhere
_FURTHEST_S, _NEAREST_S = 0.28, 0.036  # the peak of a P wave before the beginning of the QRS
_BUMP_S = 0.07  # from the peak of a bump to where it is compared with: more than half a P wave
_PEAK_RADIUS_S = 0.048
_REACH = samples_of(0.40), samples_of(0.10)  # of the windows, before and after the beginning
_GUARD_S = 0.016  # before the beginning of the QRS, whose foot would be a bump
_MOST_LAG_S = 0.04  # how much the PR interval may differ from the neighbours'
_LEAST_NEIGHBOURS = 3  # with fewer, their median is one beat with its noise
_BLOCK, _BLOCK_MARGIN = 2000, 40  # beats at a time, so that a day in twelve leads fits in memory


def find_p_waves(record: Record, beats: Beats) -> PWaves:
    """Tell for each beat whether a P wave goes before it, and how long the PR interval is.

    A beat's neighbours on both sides decide with it, so the answer is not causal.

    Args:
        record: any number of leads.
        beats: of this record, annotated or detected.

    Returns:
        For each beat. Unknown at the record's ends, in long gaps, and where there are fewer than
        four beats.

    Raises:
        DataError: the rate is outside `detection.RATES_HZ`.
    """
    found = _examine(record, beats)
    present = found.known & (found.evidence @ _WEIGHTS + _INTERCEPT > 0)
    return PWaves(
        present=present,
        known=found.known,
        pr_interval_s=np.where(present, found.pr_interval_s, np.nan),
    )


def p_wave_evidence(record: Record, beats: Beats) -> NDArray[np.float64]:
    """Return float64 [beat, evidence], NaN where nothing can be told; the more, the more likely.

    likeness: correlation of the beat with its neighbours' bump, at most 40 ms aside
    share: logarithm of the beat's bump over its neighbours', up to log 0.5: half is good enough
    contrast: logarithm of the bump's height over the noise of single beats, up to log 4
    room: seconds between the end of the T wave before and the QRS
    fall_after, fall_before: height on either side over the peak's; less is likelier
    """
    found = _examine(record, beats)
    return np.where(found.known[:, None], found.evidence, np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Found:
    """evidence: float64 [beat, evidence]; known: bool [beat]; pr_interval_s: float64 [beat]."""

    evidence: NDArray[np.float64]
    known: NDArray[np.bool_]
    pr_interval_s: NDArray[np.float64]


def _examine(record: Record, beats: Beats) -> _Found:
    check_rate(record)
    count = len(beats)
    evidence = np.zeros((count, len(EVIDENCE)))
    known = np.zeros(count, dtype=np.bool_)
    pr_interval_s = np.full(count, np.nan)
    usable = np.isfinite(record.signal_mv).any(axis=1)
    has_slope = record.signal_mv.shape[1] > max(1.0, 2 * record.rate_hz / RATE_HZ)
    if count > _LEAST_NEIGHBOURS and usable.any() and has_slope:
        signal_mv, gap = bridge_leads(record.signal_mv[usable], record.rate_hz)
        ratio = Fraction(RATE_HZ / record.rate_hz).limit_denominator(1000)
        signal = resample(signal_mv, ratio)
        beat = np.rint(beats.sample * float(ratio)).astype(np.int64)
        timing = time_beats(signal, beat)
        for start in range(0, count, _BLOCK):
            stop = min(start + _BLOCK, count)
            first = max(0, start - _BLOCK_MARGIN)
            found = _examine_beats(signal, timing.part(first, stop + _BLOCK_MARGIN))
            evidence[start:stop] = found[0][start - first : stop - first]
            pr_interval_s[start:stop] = found[1][start - first : stop - first]
        known = _is_known(timing, np.any(gap, axis=0), float(ratio))
    return _Found(evidence=evidence, known=known, pr_interval_s=pr_interval_s)


def _is_known(timing: BeatTiming, gap: NDArray[np.bool_], ratio: float) -> NDArray[np.bool_]:
    """Return bool [beat]: the window before the beat is inside the record and has no long gap."""
    start = np.maximum(timing.onset - samples_of(_FURTHEST_S), timing.earliest)
    first, last = (start / ratio).astype(np.int64), (timing.onset / ratio).astype(np.int64)
    inside = (first >= 0) & (last < len(gap))
    sums = np.concatenate([[0], np.cumsum(gap)])
    touched = sums[last.clip(0, len(gap))] > sums[first.clip(0, len(gap))]
    others = timing.typical.sum() - timing.typical
    return inside & ~touched & (others >= _LEAST_NEIGHBOURS)


def _examine_beats(
    signal: NDArray[np.float64], timing: BeatTiming
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return evidence, float64 [beat, evidence], and PR interval in seconds, float64 [beat]."""
    neighbours = nearest_typical(timing.typical)
    waves = _waves(signal, timing)
    bumps, seen = _bumps(waves, timing)
    usual = np.nan_to_num(median_of(bumps, neighbours)) * seen[:, None]
    bumps = np.nan_to_num(bumps)
    deviation = np.sqrt(np.sum((bumps - usual) ** 2, axis=2) / seen.sum(axis=1, keepdims=True))
    noise = np.nan_to_num(median_of(deviation, neighbours), nan=1.0) + 1e-5
    usual, bumps = usual / noise[:, :, None], bumps / noise[:, :, None]

    height = np.sqrt(np.mean(usual**2, axis=1))
    searched = _offsets()[None] <= -samples_of(_NEAREST_S)
    peak = np.where(searched, height, -1.0).argmax(axis=1)
    contrast = np.take_along_axis(height, peak[:, None], axis=1)[:, 0]
    likeness, share, lag = _compare(bumps, usual, peak)
    fall_before, fall_after = _falls(usual, peak, seen)
    evidence = np.stack(
        [
            likeness,
            np.log(share.clip(0.05, 0.5)),
            np.log(contrast.clip(0.1, 4.0)),
            timing.room_s.clip(-0.1, 0.4),
            fall_after.clip(-1.5, 1.5),
            fall_before.clip(-1.5, 1.5),
        ],
        axis=1,
    )
    start = _p_onset(waves, neighbours, noise, _offsets()[peak])
    return evidence, -(start + lag) / RATE_HZ


def _offsets() -> NDArray[np.int64]:
    """Return the samples before the QRS complex at which bumps are measured, int64 [offset]."""
    return np.arange(-samples_of(_FURTHEST_S), -samples_of(0.016) + 1)


def _waves(signal: NDArray[np.float64], timing: BeatTiming) -> NDArray[np.float64]:
    """Return the smoothed signal around the beginning of each QRS complex, [beat, lead, sample].

    Neither T wave nor QRS complex comes in: on both sides the signal is taken to go on level, and
    is smoothed after that.
    """
    before, after = _REACH
    at = timing.onset[:, None] + np.arange(-before, after + 1)
    at = np.clip(at, timing.earliest[:, None], timing.onset[:, None] - samples_of(_GUARD_S))
    waves = signal[:, at.clip(0, signal.shape[1] - 1)].transpose(1, 0, 2)
    return ndimage.gaussian_filter1d(waves, _SMOOTHING_S * RATE_HZ, axis=2, mode="nearest")


def _bumps(
    waves: NDArray[np.float64], timing: BeatTiming
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return how high each sample stands above those `_BUMP_S` before and after.

    Returns:
        float64 [beat, lead, offset], NaN before the window begins, and bool [beat, offset], where
        it is not.
    """
    offsets, distance = _offsets(), samples_of(_BUMP_S)
    centre = offsets + _REACH[0]
    bumps = (
        waves[:, :, centre] - (waves[:, :, centre - distance] + waves[:, :, centre + distance]) / 2
    )
    seen = timing.onset[:, None] + offsets >= timing.earliest[:, None] + 2
    return np.where(seen[:, None], bumps, np.nan), seen


def _compare(
    bumps: NDArray[np.float64], usual: NDArray[np.float64], peak: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Hold each beat against the usual bump around its peak, at the lag where both agree best.

    Returns:
        Correlation, and size relative to the usual bump, float64 [beat]; and the lag in samples,
        int64 [beat].
    """
    radius, most = samples_of(_PEAK_RADIUS_S), samples_of(_MOST_LAG_S)
    size = bumps.shape[2]
    around = peak[:, None] + np.arange(-radius, radius + 1)
    reference = _at(usual, around)
    energy = np.sum(reference**2, axis=(1, 2))
    best = np.full(len(bumps), -np.inf)
    best_energy, best_lag = np.ones(len(bumps)), np.zeros(len(bumps), dtype=np.int64)
    for lag in range(-most, most + 1):
        moved = _at(bumps, np.where((around >= 0) & (around < size), around + lag, -1))
        product = np.sum(reference * moved, axis=(1, 2))
        better = product > best
        best_energy[better] = np.sum(moved[better] ** 2, axis=(1, 2))
        best[better], best_lag[better] = product[better], lag
    likeness = best / np.sqrt(energy * best_energy + 1e-9)
    return likeness, best / (energy + 1e-9), best_lag


def _at(values: NDArray[np.float64], offset: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return values [beat, lead, offset] at int64 [beat, k]: [beat, lead, k], 0 outside."""
    size = values.shape[2]
    taken = np.take_along_axis(values, offset.clip(0, size - 1)[:, None], axis=2)
    return np.where(((offset >= 0) & (offset < size))[:, None], taken, 0.0)


def _falls(
    usual: NDArray[np.float64], peak: NDArray[np.int64], seen: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the heights before and after the peak over the peak's own, each float64 [beat].

    A P wave falls off on both sides; the foot of a QRS complex or the end of a T wave on one.
    """
    radius = samples_of(_PEAK_RADIUS_S)
    before = np.maximum(peak - radius, seen.argmax(axis=1))
    after = np.minimum(peak + radius, usual.shape[2] - 1)
    top, left, right = (_at(usual, place[:, None])[:, :, 0] for place in (peak, before, after))
    energy = np.sum(top**2, axis=1) + 1e-12
    return np.sum(top * left, axis=1) / energy, np.sum(top * right, axis=1) / energy


def _p_onset(
    waves: NDArray[np.float64],
    neighbours: NDArray[np.int64],
    noise: NDArray[np.float64],
    peak: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return where the P wave begins, float64 [beat], samples from the beginning of the QRS.

    It is where the steepness of the median beat, in all leads together, falls to half of the
    P wave's steepest, the share without a bias on LUDB's twelve leads.
    """
    offsets = np.arange(-samples_of(0.36), 1)
    waves = waves[:, :, offsets + _REACH[0]]
    waves = waves - waves[:, :, -1:]
    with_itself = np.concatenate([neighbours, np.arange(len(waves))[:, None]], axis=1)
    slope = np.gradient(median_of(waves, with_itself), axis=2) / noise[:, :, None]
    steepness = np.sqrt(np.mean(slope**2, axis=1))
    onset = np.empty(len(waves))
    for beat, top in enumerate((peak - offsets[0]).tolist()):
        rise = steepness[beat, max(0, top - samples_of(0.09)) : top + 1]
        steepest = top + 1 - len(rise) + int(rise.argmax())
        before = steepness[beat, max(0, steepest - samples_of(0.12)) : steepest + 1]
        quiet = np.quantile(before, 0.1)
        threshold = quiet + 0.5 * (steepness[beat, steepest] - quiet)
        low = np.flatnonzero(before <= threshold)
        onset[beat] = offsets[steepest - len(before) + 1 + (low[-1] if len(low) else 0)]
    return onset
