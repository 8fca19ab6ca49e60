"""From one record to its segments: bridged, filtered, resampled, cut, labelled, in microvolts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.databases.base import Task
from ecgmodels.data.preparation.options import ResolvedOptions
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.segmentation.amplitude import check_amplitude, is_flat
from ecgmodels.data.segmentation.beats import annotations_of, beats_of, windows_around
from ecgmodels.data.segmentation.crops import crops_of
from ecgmodels.data.segmentation.features import FeatureContext, PWaves, compute_features
from ecgmodels.data.segmentation.filters import (
    bandpass,
    check_band,
    resample,
    resampled_length,
    resampling_ratio,
)
from ecgmodels.data.segmentation.gaps import bridge_gaps
from ecgmodels.data.segmentation.labels import Labels, label_beats, label_recording
from ecgmodels.data.segmentation.record_segments import RecordSegments
from ecgmodels.data.segmentation.windows import Sieve, Windows, cut, touches
from ecgmodels.errors import DataError

LARGEST_UV = 32_767
MAX_CLIPPED = 0.0001
"""Largest share of clipped samples; more means that the unit is wrong, or the electrode was off."""


LARGEST_BYTES = 2**30
"""Of a record's segments: a day of twelve leads at 500 Hz in crops that do not overlap is as much,
and what is computed on the way takes several times that, in each worker process."""


def segment_record(
    record: Record,
    options: ResolvedOptions,
    task: Task,
    beats: Beats | None = None,
    p_waves: PWaves | None = None,
) -> RecordSegments:
    """Filter and resample a whole record, then cut windows around its beats, or crops.

    Args:
        record: its leads are those that the segments get.
        options: what to cut.
        task: what the labels mean.
        beats: those that the detector of the options found; not needed for annotated ones.
        p_waves: of the beats (detected or annotated), where a feature needs them.

    Raises:
        DataError: the amplitude is implausible, too much is clipped, the segments are too large, a
            rate does not fit, or annotated beats are asked for and there are none.
    """
    ratio = _ratio(record, options)
    check_amplitude(record)
    signal_mv, unusable, bridged_samples = bridge_gaps(
        record.signal_mv, record.rate_hz, options.max_bridged_s
    )
    chosen = beats_of(record, options, beats)
    length = resampled_length(signal_mv.shape[1], ratio)
    windows = _windows(record, options, chosen, ratio, length)
    start, stop = windows.in_recording(ratio, signal_mv.shape[1])
    beyond = windows.reach_beyond(length)

    sieve = Sieve(len(windows))
    sieve.reject(bool(is_flat(record.signal_mv).all()), "every lead flat or invalid")
    label = _labels(record, options, task, chosen, sieve)
    sieve.reject(touches(unusable, start, stop), "invalid samples")
    if options.edges == "drop":
        sieve.reject(beyond, "window over the record's end")
    if options.short == "drop":
        sieve.reject(beyond, "recording shorter than a crop")

    _check_size(record, int(sieve.kept.sum()), windows.samples, length if ratio > 1 else 0)
    signal_uv, clipped_samples = _cut(record, signal_mv, options, ratio, windows, sieve)
    context = FeatureContext(record=record, beats=chosen, start=start, stop=stop, p_waves=p_waves)
    kept = sieve.kept
    return RecordSegments(
        signal_uv=signal_uv,
        valid_samples=windows.valid_samples(length)[kept],
        label=label[kept],
        start_sample=windows.start[kept],
        features=compute_features(context, options.features)[kept],
        rejected=sieve.rejected,
        padded=int(beyond[kept].sum()),
        clipped_samples=clipped_samples,
        bridged_samples=bridged_samples,
    )


def _ratio(record: Record, options: ResolvedOptions) -> Fraction:
    """Return the segments' rate over the record's; refuse a record that cannot be resampled."""
    if not record.signal_mv.size:
        raise DataError(
            f"record {record.id} holds no samples", hint="copy the recording again from its source"
        )
    try:
        if options.filter_hz is not None:
            check_band(record.rate_hz, options.filter_hz)
        return resampling_ratio(record.rate_hz, options.rate_hz or record.rate_hz)
    except DataError as error:
        raise DataError(f"record {record.id}: {error}", hint=error.hint) from error


def _windows(
    record: Record,
    options: ResolvedOptions,
    beats: Beats | None,
    ratio: Fraction,
    length: int,
) -> Windows:
    """Return where segments may lie in the record of `length` samples at their rate."""
    rate_hz = options.rate_hz or record.rate_hz
    if options.segments == "crops":
        return crops_of(length, options, rate_hz)
    assert beats is not None, "resolve gives windows around beats a source of beats"
    return windows_around(beats, options, rate_hz, ratio)


def _labels(
    record: Record, options: ResolvedOptions, task: Task, beats: Beats | None, sieve: Sieve
) -> Labels:
    """Return a label for each window; reject those that have none."""
    if options.segments == "beats" and beats is not None:
        skipped_s = options.skip_first_s or 0.0
        early = beats.sample < skipped_s * record.rate_hz
        sieve.reject(early, f"beat in the first {skipped_s:g} s")
        sieve.note("no beat found", int(len(beats) == 0))
        if task.labels == "beat" and task.classes:
            symbol = annotations_of(record, beats, options, sieve)
            return label_beats(symbol, task, options.classes, sieve)
    if not task.classes:
        return np.full(len(sieve.kept), -1, dtype=np.int64)
    return label_recording(record, task, options.classes, sieve)


def _check_size(record: Record, segments: int, samples: int, resampled: int) -> None:
    """Raise DataError where segments, or the record at a higher rate, would take too much memory.

    Args:
        record: it has the leads of the segments.
        segments: those that are left.
        samples: of each lead and segment.
        resampled: samples of each lead at the segments' rate; 0 where it is not the higher one.
    """
    leads = len(record.leads)
    for what, count, length in (("segments", segments, samples), ("signal", 1, resampled)):
        size = 2 * count * leads * length  # int16
        if size > LARGEST_BYTES:
            raise DataError(
                f"record {record.id}: its {what} would take {size / 2**30:,.1f} GiB "
                f"(segments x leads x samples: {count:,} x {leads} x {length:,}), at most "
                f"{LARGEST_BYTES / 2**30:g} GiB are allowed",
                hint="take shorter segments, a longer stride, a lower rate_hz or fewer leads",
            )


def _cut(
    record: Record,
    signal_mv: NDArray[np.float64],
    options: ResolvedOptions,
    ratio: Fraction,
    windows: Windows,
    sieve: Sieve,
) -> tuple[NDArray[np.int16], int]:
    """Return the segments, int16 [segment, lead, time], and how many samples were clipped."""
    if not sieve.kept.any():
        return np.empty((0, len(signal_mv), windows.samples), dtype=np.int16), 0
    if options.filter_hz is not None:
        signal_mv = bandpass(signal_mv, record.rate_hz, options.filter_hz)
    signal_uv = np.rint(1000 * resample(signal_mv, ratio))
    too_large = np.abs(signal_uv) > LARGEST_UV
    # Integers from here on: where crops overlap, segments are many times the recording.
    whole = np.clip(signal_uv, -LARGEST_UV, LARGEST_UV).astype(np.int16)
    segments: NDArray[np.int16] = cut(whole, windows, sieve.kept)
    clipped = int(cut(too_large, windows, sieve.kept).sum()) if too_large.any() else 0
    if clipped > MAX_CLIPPED * segments.size:
        raise DataError(
            f"record {record.id}: {clipped:,} of {segments.size:,} samples are beyond "
            f"{LARGEST_UV / 1000:g} mV, at most {MAX_CLIPPED:.2%} may be",
            hint="correct gain and unit in the record's header, or filter the baseline away "
            "(filter_hz)",
        )
    return segments, clipped
