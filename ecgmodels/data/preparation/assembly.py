"""From the records that were written to the table of records and the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from ecgmodels.data.databases import Database, Recordings
from ecgmodels.data.preparation.options import ResolvedOptions, window_samples
from ecgmodels.data.preparation.planning import LEAVE_OUT, Plan, folds_of, unscorable
from ecgmodels.data.preparation.splits import Split, check_classes, check_split
from ecgmodels.data.segmentation.features import non_causal_features
from ecgmodels.data.storage.consistency import check_consistency, check_splits
from ecgmodels.data.storage.contents import (
    count_classes,
    find_duplicates,
    sum_totals,
    summarise_split,
    training_normalisation,
)
from ecgmodels.data.storage.manifest import FORMAT_VERSION, Manifest, RecordsEntry
from ecgmodels.data.storage.record_table import RECORDS_NAME, RecordTable
from ecgmodels.data.storage.record_table_writer import write_record_table
from ecgmodels.data.storage.shard_writer import Written
from ecgmodels.data.storage.shards import sha256_of, sync_to_disk
from ecgmodels.errors import DataError


def assemble(
    folder: Path,
    database: Database,
    recordings: Recordings,
    options: ResolvedOptions,
    plan: Plan,
    written: Written,
    failed: Mapping[str, str],
) -> Manifest:
    """Write records.arrow with its splits; return the manifest, which is not written yet.

    Args:
        folder: the dataset, whose shards are written.
        database: what is prepared.
        recordings: opened for the options' task.
        options: as resolved.
        plan: the splits as long as no record failed.
        written: what did not fail.
        failed: record -> why.

    Raises:
        DataError: what is left has no segment, an empty part, or a part without a scored class.
    """
    plan, splits = _splits(recordings, options, plan, written.records, failed)
    records = written.records.with_splits(splits)
    shared = _shared_patients(recordings, options, failed)
    check_splits(records, shared)
    rate_hz = options.rate_hz or float(records.numbers("rate_hz")[0])
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        database=database.name,
        title=database.title,
        database_version=database.version,
        task=options.task,
        multi_label=recordings.task.multi_label,
        options=options,
        leads=options.leads,
        rate_hz=rate_hz,
        samples=max(shard.samples for shard in written.shards),
        samples_before=window_samples(options.window_ms, rate_hz)[0] if options.window_ms else None,
        uv_per_unit=1.0,
        classes=options.classes,
        scored_classes=plan.scored,
        unscored=dict(plan.unscored),
        features=options.features,
        non_causal_features=non_causal_features(options.features),
        patients_known=recordings.patients_known,
        record_count=len(records),
        patient_count=records.patient_count,
        class_counts=count_classes(records),
        totals=sum_totals(records),
        excluded=dict(recordings.excluded),
        failed=dict(failed),
        duplicates=find_duplicates(records),
        splits={
            name: summarise_split(
                records, name, training_normalisation(records, name, written.moments)
            )
            for name in splits
        },
        shared_patients=shared,
        notes=recordings.notes,
        records=_write_records(folder / RECORDS_NAME, records),
        shards=written.shards,
    )
    check_consistency(manifest, records, folder)
    return manifest


def _splits(
    recordings: Recordings,
    options: ResolvedOptions,
    plan: Plan,
    records: RecordTable,
    failed: Mapping[str, str],
) -> tuple[Plan, dict[str, Split]]:
    """Return the splits without the records that failed (none where nothing is labelled).

    A class that has become too rare by what failed or was rejected is no longer scored in the plan.
    """
    hint = LEAVE_OUT
    if failed:
        record_id, reason = next(iter(failed.items()))
        hint = f"mend the {len(failed)} records that failed ({record_id}: {reason}), or {hint}"
    if not records.segments.any():
        raise DataError("no record has a segment: " + _why(records), hint=hint)
    if options.split is None:
        return plan, {}
    fixed = plan.split.without(failed)
    shared = recordings.shared_patients(options.split)
    check_split(options.split, fixed, plan.patient_of, shared)
    counts = _counts(records)
    lost = unscorable(
        fixed,
        counts,
        plan.patient_of,
        plan.scored,
        folds=options.folds,
        multi_label=recordings.task.multi_label,
    )
    if len(lost) == len(plan.scored):
        check_classes(options.split, fixed, counts, plan.scored, hint=hint)
    scored = tuple(label for label in plan.scored if label not in lost)
    plan = replace(plan, scored=scored, unscored={**plan.unscored, **lost})
    folds = folds_of(options, fixed, counts, plan.patient_of, plan.scored)
    return plan, {"fixed": fixed, **folds}


def _counts(records: RecordTable) -> dict[str, dict[str, int]]:
    """Return record -> class -> segments."""
    columns = [records.class_counts(name) for name in records.classes]
    rows = np.stack(columns, axis=1).tolist()
    return {
        record: dict(zip(records.classes, row, strict=True))
        for record, row in zip(records.ids.tolist(), rows, strict=True)
    }


def _why(records: RecordTable) -> str:
    rejected = sum_totals(records).rejected
    return ", ".join(f"{reason} ({count:,})" for reason, count in rejected.items())


def _shared_patients(
    recordings: Recordings, options: ResolvedOptions, failed: Mapping[str, str]
) -> tuple[tuple[str, ...], ...]:
    """Return the groups of one patient on both sides of the test border, where none failed."""
    if options.split is None:
        return ()
    groups = recordings.shared_patients(options.split)
    return tuple(tuple(group) for group in groups if not failed.keys() & set(group))


def _write_records(path: Path, records: RecordTable) -> RecordsEntry:
    write_record_table(path, records)
    sync_to_disk(path)
    return RecordsEntry(
        file=path.name, rows=len(records), bytes=path.stat().st_size, sha256=sha256_of(path)
    )
