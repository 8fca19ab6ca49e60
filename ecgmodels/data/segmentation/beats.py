"""Windows around beats, and the annotation that each beat stands for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.preparation.options import ResolvedOptions, window_samples
from ecgmodels.data.recordings.beat_matching import TOLERANCE_S, match_beats
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.segmentation.filters import resampled_position
from ecgmodels.data.segmentation.windows import Sieve, Windows
from ecgmodels.errors import DataError


def beats_of(record: Record, options: ResolvedOptions, detected: Beats | None) -> Beats | None:
    """Return the beats that the options ask for: detected, annotated, or None.

    Raises:
        DataError: annotated beats are asked for, and the record has no annotations.
    """
    if options.beats is None:
        return None
    if options.beats != "annotations":
        if detected is None:
            raise ValueError(f"options ask for beats by {options.beats}, none were handed over")
        return detected
    return _annotated(record)


def windows_around(
    beats: Beats, options: ResolvedOptions, rate_hz: float, ratio: Fraction
) -> Windows:
    """Return a window around each beat, after resampling to `rate_hz` by `ratio`."""
    assert options.window_ms is not None, "resolve gives beats a window"
    before, after = window_samples(options.window_ms, rate_hz)
    return Windows(
        start=resampled_position(beats.sample, ratio) - before,
        samples=before + after,
        beyond="edge",
    )


def annotations_of(
    record: Record, beats: Beats, options: ResolvedOptions, sieve: Sieve
) -> NDArray[np.str_]:
    """Return the annotation code of each beat, str [beat]; reject detections that have none.

    A detected beat takes the code of the annotated beat it is matched with, one to one and within
    150 ms. Annotated beats that nothing found are counted, too, unless in the seconds left out.
    """
    if options.beats == "annotations":
        return beats.symbol
    annotated = _annotated(record)
    found, matched = match_beats(beats.sample, annotated.sample, TOLERANCE_S * record.rate_hz)
    symbol = np.zeros(len(beats), dtype=annotated.symbol.dtype)
    symbol[found] = annotated.symbol[matched]
    unmatched = np.ones(len(beats), dtype=np.bool_)
    unmatched[found] = False
    sieve.reject(unmatched, f"no annotation within {1000 * TOLERANCE_S:g} ms")
    missed = annotated.sample >= (options.skip_first_s or 0.0) * record.rate_hz
    missed[matched] = False
    sieve.note("annotated beat not detected", int(missed.sum()))
    return symbol


def _annotated(record: Record) -> Beats:
    if record.beats is None:
        raise DataError(
            f"record {record.id} has no annotated beats",
            hint="find them with a detector: beats 'xqrs' or 'neurokit'",
        )
    return record.beats
