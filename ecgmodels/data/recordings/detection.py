"""Finding the beats of a recording that nobody annotated, from all of its leads.

A published detector looks at every lead by itself. Which lead is believed is decided anew every
few seconds by how far its beats stand out of whatever else is there, so that noise on one
electrode costs nothing while another one is quiet. docs/detection.md has what this achieves.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from ecgmodels.configs import nearest_hint
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.segmentation.filters import bandpass, resample
from ecgmodels.errors import DataError

Detector = Literal["xqrs", "neurokit"]
RATES_HZ = (50.0, 100_000.0)
"""At the lowest a QRS complex of 80 ms has four samples; no recorder reaches the highest."""
SHORTEST_S = 1.0
"""In anything shorter nothing is found: the filter's period alone is 0.2 s."""

# Everything below was chosen on MIT-BIH, where the figures hardly change with any of it.
_QRS_BAND_HZ = (5.0, 40.0)
_DETECTION_HZ = 250.0  # XQRS has a wavelet of fixed samples, which fits rates of 250 to 360 Hz
_WINDOW_S = 5.0  # a lead is believed for so long
_BEAT_RADIUS_S = 0.06  # half a QRS complex: where a beat's height is looked for
_APART_S = 0.12  # what is further from every beat than this is background
_REFRACTORY_S = 0.2  # no two beats are closer, XQRS's own
_NEIGHBOURS = 17  # beats that a beat's height is compared with
_LOWEST_BEAT = 0.15  # of its neighbours' upper quartile; P waves without a beat are lower
_SECOND_LEAD_MARGIN = 1.75  # what the second best lead must have to add a beat,
_SECOND_LEAD_HEIGHT = 0.5  # how high that beat must be among its neighbours,
_SECOND_LEAD_APART_S = 0.25  # and how far from any other
_SNAP_S = 0.1  # the R peak is looked for so far around
_RELIABLE_MARGIN = 1.5  # from where on a lead's own peaks are beats
_LONGEST_BRIDGE_S = 0.1  # of invalid samples; no beat is looked for in a longer gap


def detect_beats(record: Record, detector: Detector) -> Beats:
    """Return the beats that a detector finds, at the largest deflection of each QRS complex.

    Each beat is placed on the first lead that shows the beats well, as MIT-BIH's annotators did,
    and elsewhere on the best one. Beats look ahead: a sample counts as a beat by what is around it.

    Args:
        record: any number of leads, of which invalid samples are bridged here alone.
        detector: "xqrs" (wfdb's) or "neurokit" (NeuroKit2's default, Brammer 2020).

    Returns:
        Beats with samples that are ascending, unique and inside the record, symbols empty. There
        are none in flat leads, in long gaps, and in less than `SHORTEST_S`.

    Raises:
        DataError: no such detector, neurokit2 is not installed, the library fails on a lead, or the
            rate is outside `RATES_HZ`.
    """
    find = _find_detector(detector)
    check_rate(record)
    if record.signal_mv.shape[1] < SHORTEST_S * record.rate_hz or not len(record.leads):
        return _beats(np.zeros(0, dtype=np.int64))

    signal_mv, gap = bridge_leads(record.signal_mv, record.rate_hz)
    band_hz = (_QRS_BAND_HZ[0], min(_QRS_BAND_HZ[1], 0.45 * record.rate_hz))
    qrs = bandpass(signal_mv, record.rate_hz, band_hz)
    ratio = Fraction(_DETECTION_HZ / record.rate_hz).limit_denominator(1000)
    resampled = resample(qrs, ratio)
    windows = _windows(resampled.shape[1])
    leads = []
    for name, lead, lead_gap in zip(record.leads, resampled, gap, strict=True):
        index = np.minimum(np.arange(len(lead)) / float(ratio), len(lead_gap) - 1).astype(np.int64)
        where = f"record {record.id}, lead {name}: the detector {detector} failed"
        leads.append(_examine(lead, lead_gap[index], windows, find, where))
    beats, lead_of_beat = _combine(leads, windows)
    sample = np.minimum(np.rint(beats / float(ratio)).astype(np.int64), qrs.shape[1] - 1)
    return _beats(_snap(np.where(gap, 0.0, np.abs(qrs)), sample, lead_of_beat, record.rate_hz))


def check_rate(record: Record) -> None:
    """Raise DataError where the rate is outside `RATES_HZ`."""
    lowest, highest = RATES_HZ
    if not lowest <= record.rate_hz <= highest:
        raise DataError(
            f"record {record.id} is sampled at {record.rate_hz:g} Hz, expected {lowest:g} to "
            f"{highest:g} Hz to find beats in",
            hint="correct the rate in the record's header, or leave the record out",
        )


def bridge_leads(
    signal_mv: NDArray[np.float64], rate_hz: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the signal with straight lines over invalid samples, and where gaps are long.

    float64 and bool, both [lead, time]; the bool is False where a gap is up to
    `_LONGEST_BRIDGE_S`. Unlike `segmentation.gaps`, each lead is judged by itself.
    """
    invalid = ~np.isfinite(signal_mv)
    if not invalid.any():
        return signal_mv, invalid
    bridged = signal_mv.copy()
    time = np.arange(signal_mv.shape[1])
    for lead, missing in zip(bridged, invalid, strict=True):
        valid = ~missing
        lead[missing] = np.interp(time[missing], time[valid], lead[valid]) if valid.any() else 0.0
    # Opening leaves only the runs that are at least as long as the structuring element.
    shortest = int(_LONGEST_BRIDGE_S * rate_hz) + 1
    return bridged, ndimage.binary_opening(invalid, np.ones((1, shortest)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Lead:
    """What a detector found in one lead, samples at `_DETECTION_HZ`."""

    beats: NDArray[np.int64]
    relative_height: NDArray[np.float64]
    """Of each beat: its height over the upper quartile of its neighbours'."""
    margin: NDArray[np.float64]
    """Of each window: height of the low beats over the height of the background between them."""


def _examine(
    lead: NDArray[np.float64],
    gap: NDArray[np.bool_],
    windows: NDArray[np.int64],
    find: Callable[[NDArray[np.float64]], NDArray[np.int64]],
    failure: str,
) -> _Lead:
    """Run the detector over one band-passed lead, float64 [time], and judge what it found."""
    height = np.abs(lead)
    tallest = ndimage.maximum_filter1d(height, 2 * _samples(_BEAT_RADIUS_S) + 1)
    beats = np.zeros(0, dtype=np.int64)
    if height.max() > 1e-6:  # a flat lead is not quite 0 after filtering; 1e-6 mV is no ECG
        # NeuroKit2 looks for peaks upwards.
        upwards = np.quantile(lead, 0.995) + np.quantile(lead, 0.005) >= 0
        try:
            found = find(lead if upwards else -lead)
        except Exception as error:
            raise DataError(
                f"{failure} ({type(error).__name__}: {' '.join(str(error).split())[:150]})",
                hint="try the other detector, or leave the lead out",
            ) from error
        beats = np.unique(found)
        beats = beats[~gap[beats]]
    relative_height = _relative_height(tallest[beats])
    beats = beats[relative_height >= _LOWEST_BEAT]

    background = np.ones(len(lead), dtype=np.bool_)
    for beat in beats.tolist():
        background[max(0, beat - _samples(_APART_S)) : beat + _samples(_APART_S)] = False
    margin = np.zeros(len(windows) - 1)
    for window, (start, stop) in enumerate(pairwise(windows.tolist())):
        here = beats[np.searchsorted(beats, start) : np.searchsorted(beats, stop)]
        between = height[start:stop][background[start:stop]]
        if len(here) and len(between):
            margin[window] = np.quantile(tallest[here], 0.2) / (np.quantile(between, 0.99) + 1e-9)
        if gap[start:stop].any():
            margin[window] *= 1e-6  # behind every lead without a gap here
    return _Lead(beats=beats, relative_height=_relative_height(tallest[beats]), margin=margin)


def _relative_height(height: NDArray[np.float64]) -> NDArray[np.float64]:
    # The upper quartile: half of all detections can be P waves that no beat follows (record 231).
    if not len(height):
        return height
    return height / ndimage.percentile_filter(height, 75, size=_NEIGHBOURS, mode="mirror")


def _combine(
    leads: list[_Lead], windows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the beats, int64 [beat], and the index of the lead that each is to be placed on."""
    margin = np.stack([lead.margin for lead in leads])  # [lead, window]
    ranking = np.argsort(-margin, axis=0, kind="stable")
    best, second = ranking[0], ranking[min(1, len(leads) - 1)]
    beats, added = [], []
    for index, lead in enumerate(leads):
        window = np.searchsorted(windows, lead.beats, side="right") - 1
        beats.append(lead.beats[best[window] == index])
        clear = (second[window] == index) & (lead.margin[window] >= _SECOND_LEAD_MARGIN)
        added.append(lead.beats[clear & (lead.relative_height >= _SECOND_LEAD_HEIGHT)])
    found = _not_too_close(np.sort(np.concatenate(beats)), _samples(_REFRACTORY_S))
    missed = np.sort(np.concatenate(added))
    missed = missed[_distance(missed, found) > _samples(_SECOND_LEAD_APART_S)]
    found = _not_too_close(np.sort(np.concatenate([found, missed])), _samples(_REFRACTORY_S))

    typical = np.median(margin, axis=1)
    reliable = np.flatnonzero(typical >= _RELIABLE_MARGIN)
    reference = int(reliable[0] if len(reliable) else np.argmax(typical))
    window = np.searchsorted(windows, found, side="right") - 1
    reference_shows_it = margin[reference, window] >= 1
    return found, np.where(reference_shows_it, reference, best[window])


def _snap(
    height: NDArray[np.float64],
    sample: NDArray[np.int64],
    lead_of_beat: NDArray[np.int64],
    rate_hz: float,
) -> NDArray[np.int64]:
    """Move each beat to the largest height, float64 [lead, time], around it on its lead."""
    radius = round(_SNAP_S * rate_hz)
    around = sample[:, None] + np.arange(-radius, radius + 1)
    around = around.clip(0, height.shape[1] - 1)
    heights = height[lead_of_beat[:, None], around]
    peak = np.take_along_axis(around, heights.argmax(axis=1)[:, None], axis=1)[:, 0]
    peak = peak[heights.max(axis=1, initial=0.0) > 0]  # it is 0 in gaps
    return _not_too_close(np.sort(peak), round(_REFRACTORY_S * rate_hz))


def _windows(samples: int) -> NDArray[np.int64]:
    """Return the boundaries of windows of about `_WINDOW_S`, int64 [window + 1]."""
    count = max(1, round(samples / _samples(_WINDOW_S)))
    return np.linspace(0, samples, count + 1).astype(np.int64)


def _not_too_close(ascending: NDArray[np.int64], least: int) -> NDArray[np.int64]:
    """Leave out what follows the last one kept by less than `least` samples."""
    kept: list[int] = []
    for sample in ascending.tolist():
        if not kept or sample - kept[-1] >= least:
            kept.append(sample)
    return np.array(kept, dtype=np.int64)


def _distance(sample: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return float64 [sample], the distance to the nearest of `others` (ascending)."""
    bounded = np.concatenate([[-np.inf], others, [np.inf]])
    after = np.searchsorted(others, sample) + 1
    return np.minimum(bounded[after] - sample, sample - bounded[after - 1])


def _samples(seconds: float) -> int:
    return round(seconds * _DETECTION_HZ)


def _beats(sample: NDArray[np.int64]) -> Beats:
    return Beats(sample=sample, symbol=np.full(len(sample), "", dtype=np.str_))


def _find_detector(name: str) -> Callable[[NDArray[np.float64]], NDArray[np.int64]]:
    """Return the function from a band-passed lead at `_DETECTION_HZ` to its beats."""
    if name == "xqrs":
        return _xqrs
    if name != "neurokit":
        raise DataError(
            f"there is no detector called '{name}'", hint=nearest_hint(name, ("xqrs", "neurokit"))
        )
    try:
        import neurokit2  # noqa: F401
    except ImportError as error:
        raise DataError(
            "the detector neurokit needs the package neurokit2, which is not installed",
            hint="pip install neurokit2, or choose the detector xqrs",
        ) from error
    return _neurokit


def _xqrs(lead: NDArray[np.float64]) -> NDArray[np.int64]:
    from wfdb.processing import XQRS

    detection = XQRS(sig=lead, fs=_DETECTION_HZ)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        detection.detect(verbose=False)
    return np.asarray(detection.qrs_inds, dtype=np.int64)


def _neurokit(lead: NDArray[np.float64]) -> NDArray[np.int64]:
    import neurokit2

    rate_hz = int(_DETECTION_HZ)
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        cleaned = neurokit2.ecg_clean(lead, sampling_rate=rate_hz)
        found = neurokit2.ecg_findpeaks(cleaned, sampling_rate=rate_hz)
    return np.asarray(found["ECG_R_Peaks"], dtype=np.int64)
