"""Beat-centred segments of one record, as int16 microvolts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.preparation.options import ResolvedOptions, window_samples
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.segmentation.features import compute_features
from ecgmodels.data.segmentation.filters import (
    bandpass,
    resample,
    resampled_position,
    resampling_ratio,
)
from ecgmodels.data.segmentation.gaps import bridge_gaps
from ecgmodels.errors import DataError

LARGEST_UV = 32_767
MAX_CLIPPED = 0.0001
"""Largest share of clipped samples; more means that the unit is wrong, or the electrode was off."""

# A surface ECG's median distance from its median is 0.02 to 0.5 mV. Microvolts or ADC units read as
# millivolts are above this range, volts read as millivolts (and unconnected leads) below.
PLAUSIBLE_MV = (0.001, 10.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordSegments:
    """The segments of one record, in the order of time.

    signal_uv: int16 [segment, lead, time], microvolts.
    label: int64 [segment], index into the classes.
    start_sample: int64 [segment], in the record at the segments' rate; negative where padded.
    features: float32 [segment, feature], NaN = unknown.
    rejected: reason -> beats without a segment.
    padded: segments that reach over an end of the record.
    clipped_samples: samples beyond int16.
    bridged_samples: invalid samples interpolated in the record.
    """

    signal_uv: NDArray[np.int16]
    label: NDArray[np.int64]
    start_sample: NDArray[np.int64]
    features: NDArray[np.float32]
    rejected: Mapping[str, int]
    padded: int
    clipped_samples: int
    bridged_samples: int

    def __len__(self) -> int:
        return len(self.label)


def segment_record(
    record: Record, options: ResolvedOptions, mapping: Mapping[str, str]
) -> RecordSegments:
    """Filter and resample a whole record, then cut a window around each beat of a kept class.

    Args:
        record: its leads are those that the segments get.
        options: what to cut.
        mapping: annotation code -> class.

    Raises:
        DataError: the amplitude is implausible, too much is clipped, or a rate does not fit.
    """
    check_amplitude(record)
    signal_mv, unusable, bridged_samples = bridge_gaps(record.signal_mv, record.rate_hz)
    if options.filter_hz is not None:
        signal_mv = bandpass(signal_mv, record.rate_hz, options.filter_hz)
    ratio = resampling_ratio(record.rate_hz, options.rate_hz or record.rate_hz)
    signal_uv = 1000 * resample(signal_mv, ratio)

    before, after = window_samples(options.window_ms, options.rate_hz or record.rate_hz)
    start = resampled_position(record.beats.sample, ratio) - before
    over_edge = (start < 0) | (start + before + after > signal_uv.shape[1])

    rejected: Counter[str] = Counter()
    label, kept = _label(record, options.classes, mapping, rejected)
    kept = _reject(
        kept, _touches(unusable, start, before + after, ratio), "invalid samples", rejected
    )
    if options.edges == "drop":
        kept = _reject(kept, over_edge, "window over the record's end", rejected)

    windows = np.rint(_windows(signal_uv, start[kept], before, after))
    clipped_samples = _check_clipping(record.id, windows)
    return RecordSegments(
        signal_uv=np.clip(windows, -LARGEST_UV, LARGEST_UV).astype(np.int16),
        label=label[kept],
        start_sample=start[kept],
        features=compute_features(record, options.features)[kept],
        rejected=dict(sorted(rejected.items())),
        padded=int(over_edge[kept].sum()),
        clipped_samples=clipped_samples,
        bridged_samples=bridged_samples,
    )


def check_amplitude(record: Record) -> None:
    """Raise DataError where the median absolute value around the median is no ECG's in mV."""
    for name, lead in zip(record.leads, record.signal_mv, strict=True):
        valid = lead[~np.isnan(lead)]
        if not len(valid):
            continue  # every segment of it is rejected, and counted
        value = float(np.median(np.abs(valid - np.median(valid))))
        if not PLAUSIBLE_MV[0] <= value <= PLAUSIBLE_MV[1]:
            raise DataError(
                f"record {record.id}, lead {name}: the median absolute value is {value:.4g} mV, "
                f"expected {PLAUSIBLE_MV[0]:g} to {PLAUSIBLE_MV[1]:g} mV",
                hint="correct gain and unit in the record's header (microvolts read as "
                "millivolts are 1000 times too large), or leave the lead out",
            )


def _label(
    record: Record, classes: tuple[str, ...], mapping: Mapping[str, str], rejected: Counter[str]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return label int64 [beat] (-1 = not kept) and kept bool [beat]; count what is not kept."""
    label = np.full(len(record.beats), -1, dtype=np.int64)
    for symbol in np.unique(record.beats.symbol).tolist():
        beats = record.beats.symbol == symbol
        name = mapping.get(symbol)
        if name in classes:
            label[beats] = classes.index(name)
        elif name is None:
            rejected[f"code {symbol} has no class"] += int(beats.sum())
        else:
            rejected[f"class {name} left out"] += int(beats.sum())
    return label, label >= 0


def _reject(
    kept: NDArray[np.bool_], bad: NDArray[np.bool_], reason: str, rejected: Counter[str]
) -> NDArray[np.bool_]:
    count = int((kept & bad).sum())
    if count:
        rejected[reason] = count
    return kept & ~bad


def _touches(
    unusable: NDArray[np.bool_], start: NDArray[np.int64], samples: int, ratio: Fraction
) -> NDArray[np.bool_]:
    """Return bool [beat]: the window holds an unusable sample of the record's own rate."""
    sums = np.concatenate([[0], np.cumsum(unusable)])
    first = np.clip(start * ratio.denominator // ratio.numerator, 0, len(unusable))
    end = start + samples
    last = np.clip(-(-end * ratio.denominator // ratio.numerator), 0, len(unusable))
    return sums[last] > sums[first]


def _windows(
    signal_uv: NDArray[np.float64], start: NDArray[np.int64], before: int, after: int
) -> NDArray[np.float64]:
    """Return float64 [segment, lead, time]; beyond its ends the signal repeats its end samples."""
    padded = np.pad(signal_uv, ((0, 0), (before, after)), mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, before + after, axis=1)
    return np.ascontiguousarray(views[:, start + before].transpose(1, 0, 2))


def _check_clipping(record_id: str, windows: NDArray[np.float64]) -> int:
    clipped = int((np.abs(windows) > LARGEST_UV).sum())
    if clipped > MAX_CLIPPED * windows.size:
        raise DataError(
            f"record {record_id}: {clipped:,} of {windows.size:,} samples are beyond "
            f"{LARGEST_UV / 1000:g} mV, at most {MAX_CLIPPED:.2%} may be",
            hint="correct gain and unit in the record's header, or filter the baseline away "
            "(filter_hz)",
        )
    return clipped
