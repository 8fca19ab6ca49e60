"""Preparing records in parallel, handed over in order."""

from __future__ import annotations

import multiprocessing
import os
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ecgmodels.data.databases import find_database
from ecgmodels.data.preparation.options import ResolvedOptions
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.segmentation.beats import RecordSegments, segment_record
from ecgmodels.data.storage.manifest import RecordEntry
from ecgmodels.data.storage.normalisation import Moments, moments_of
from ecgmodels.errors import DataError


@dataclass(frozen=True, kw_only=True)
class RecordSummary:
    """What is kept of a record once its segments are in a shard."""

    entry: RecordEntry
    rate_hz: float
    moments: Moments


@dataclass(frozen=True, kw_only=True, eq=False)
class PreparedRecord:
    """What a worker hands back."""

    summary: RecordSummary
    segments: RecordSegments


def prepare_records(
    database: str,
    source: Path,
    records: Sequence[str],
    options: ResolvedOptions,
    processes: int | None,
) -> Generator[PreparedRecord]:
    """Yield the prepared records in the order asked for, few ahead of the consumer.

    Raises:
        DataError: a record cannot be prepared, or a worker process died.
    """
    workers = min(processes or _available_cores(), len(records))
    if workers == 1:
        for record in records:
            yield prepare_record(database, source, record, options)
        return
    # Never a plain fork: the parent may have threads (Ray, torch) that hold locks. The fork server
    # imports this module once, for all workers of all calls.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, "wfdb"])
    to_start = deque(records)
    started: deque[tuple[str, Future[PreparedRecord]]] = deque()
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        try:
            while to_start or started:
                while to_start and len(started) < 2 * workers:
                    record = to_start.popleft()
                    future = pool.submit(prepare_record, database, source, record, options)
                    started.append((record, future))
                record, future = started.popleft()
                yield future.result()
        except BrokenProcessPool as error:
            raise DataError(
                f"a worker process died at or soon after record {record}",
                hint="try processes=1 (it may have run out of memory); in a script, call prepare "
                'under `if __name__ == "__main__":`',
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def prepare_record(
    database: str, source: Path, record_id: str, options: ResolvedOptions
) -> PreparedRecord:
    """Read and segment one record; runs in a worker process."""
    found = find_database(database)
    record = _select_leads(found.read(source, record_id), found.leads, options.leads)
    segments = segment_record(record, options, found.mappings[options.mapping])
    labels = np.bincount(segments.label, minlength=len(options.classes)).tolist()
    missing = np.isnan(segments.features).sum(axis=0).tolist()
    entry = RecordEntry(
        id=record.id,
        patient_id=record.patient_id,
        leads=record.leads,
        age=record.age,
        sex=record.sex,
        classes=dict(zip(options.classes, labels, strict=True)),
        missing=dict(zip(options.features, missing, strict=True)),
        rejected=dict(segments.rejected),
        padded=segments.padded,
        clipped_samples=segments.clipped_samples,
        bridged_samples=segments.bridged_samples,
    )
    summary = RecordSummary(
        entry=entry,
        rate_hz=options.rate_hz or record.rate_hz,
        moments=moments_of(segments.signal_uv, segments.features),
    )
    return PreparedRecord(summary=summary, segments=segments)


def _select_leads(record: Record, canonical: Sequence[str], wanted: Sequence[str]) -> Record:
    order = [canonical.index(name) for name in wanted]
    return replace(
        record,
        signal_mv=record.signal_mv[order],
        leads=tuple(record.leads[index] for index in order),
    )


def _available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):  # what a container or scheduler lets this process use
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
