"""What a worker does with a group of records: read, find beats, segment, summarise."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgmodels.configs import Config
from ecgmodels.data.databases import Recordings, open_recordings
from ecgmodels.data.preparation.options import ResolvedOptions
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.segmentation.amplitude import flat_leads
from ecgmodels.data.segmentation.beats import beats_of
from ecgmodels.data.segmentation.features import PWaves, needs_p_waves
from ecgmodels.data.segmentation.record_segments import RecordSegments
from ecgmodels.data.segmentation.segment import segment_record
from ecgmodels.data.storage.record_table import RecordEntry
from ecgmodels.errors import DataError

Group = tuple[str, ...]
"""Records that are prepared by one worker, one after the other."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker must know, beside the names of the records; it travels with each group."""

    database: str
    source: Path
    settings: Config
    options: ResolvedOptions
    run: str
    """Tells one preparation from the next: tables may have changed in between."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedRecord:
    """A record that went well; which part it belongs to is not the worker's to say."""

    entry: RecordEntry
    segments: RecordSegments

    @property
    def id(self) -> str:
        """The record's name."""
        return self.entry.id


@dataclass(frozen=True, kw_only=True)
class FailedRecord:
    """A record that could not be prepared, and why."""

    id: str
    error: DataError


Outcome = PreparedRecord | FailedRecord


def prepare_group(job: Job, group: Group) -> list[Outcome]:
    """Prepare some records, one after the other.

    Raises:
        Exception: anything but a fault of the recording or the machine; a note names the record.
    """
    return [prepare_record(job, record_id) for record_id in group]


def prepare_record(job: Job, record_id: str) -> Outcome:
    """Read and segment one record; what is wrong with it is an outcome like another."""
    try:
        recordings = _opened(job.run, job.database, job.source, job.options.task, job.settings)
        return _prepare(recordings, record_id, job.options)
    except DataError as error:
        return FailedRecord(id=record_id, error=error)
    except (OSError, MemoryError) as error:
        return FailedRecord(
            id=record_id,
            error=DataError(
                f"record {record_id} cannot be prepared: {error or 'out of memory'}",
                hint="check that its files can be read; where memory is short, take fewer "
                "processes",
            ),
        )
    except Exception as error:
        error.add_note(f"while preparing record {record_id} of {job.database}")
        raise


@lru_cache(maxsize=1)
def _opened(run: str, database: str, source: Path, task: str, settings: Config) -> Recordings:
    """Open a database once a worker and run: its tables are read when they are first needed."""
    return open_recordings(database, source, task, settings)


def _prepare(recordings: Recordings, record_id: str, options: ResolvedOptions) -> PreparedRecord:
    as_read = recordings.read(record_id)
    record = _select_leads(as_read, recordings.leads, options.leads)
    detected = _detect_beats(record, options)
    p_waves = _find_p_waves(record, detected, options)
    segments = segment_record(record, options, recordings.task, detected, p_waves)
    entry = RecordEntry(
        id=record.id,
        patient_id=record.patient_id,
        leads=record.leads,
        age=record.age,
        sex=record.sex,
        duration_s=record.signal_mv.shape[1] / record.rate_hz,
        rate_hz=record.rate_hz,
        part="development",
        samples=segments.signal_uv.shape[2],
        segments=len(segments),
        class_counts=_count_classes(segments, len(options.classes)),
        missing=tuple(np.isnan(segments.features).sum(axis=0).tolist()),
        rejected=dict(segments.rejected),
        padded=segments.padded,
        clipped_samples=segments.clipped_samples,
        bridged_samples=segments.bridged_samples,
        flat_leads=flat_leads(record, options.leads),
        signal_sha256=signal_sha256(as_read.signal_mv),
    )
    return PreparedRecord(entry=entry, segments=segments)


def signal_sha256(signal_mv: NDArray[np.float64]) -> str:
    """Return the SHA-256 (hex) of a signal in whole microvolts, int16 [lead, time].

    Equal recordings have equal ones also where they were stored in other formats.
    """
    limits = np.iinfo(np.int16)
    signal_uv = np.clip(np.rint(1000 * signal_mv), limits.min + 1, limits.max)
    digest = hashlib.sha256(str(signal_uv.shape).encode())
    digest.update(np.nan_to_num(signal_uv, copy=False, nan=limits.min).astype("<i2").tobytes())
    return digest.hexdigest()


def _count_classes(segments: RecordSegments, classes: int) -> tuple[int, ...]:
    label = segments.label
    if label.ndim == 2:
        return tuple(label.sum(axis=0, dtype=np.int64).tolist())
    return tuple(np.bincount(label[label >= 0], minlength=classes).tolist())


def _detect_beats(record: Record, options: ResolvedOptions) -> Beats | None:
    """Return the beats that a detector finds, where the options ask for one."""
    if options.beats is None or options.beats == "annotations":
        return None
    from ecgmodels.data.recordings.detection import detect_beats

    return detect_beats(record, options.beats)


def _find_p_waves(
    record: Record, detected: Beats | None, options: ResolvedOptions
) -> PWaves | None:
    """Return the P waves of the beats, where a feature needs them."""
    if not needs_p_waves(options):
        return None
    from ecgmodels.data.recordings.delineation import find_p_waves

    beats = beats_of(record, options, detected)
    assert beats is not None, "resolve gives features of P waves a source of beats"
    return find_p_waves(record, beats)


def _select_leads(record: Record, canonical: Sequence[str], wanted: Sequence[str]) -> Record:
    order = [canonical.index(name) for name in wanted]
    return replace(
        record,
        signal_mv=record.signal_mv[order],
        leads=tuple(record.leads[index] for index in order),
    )
