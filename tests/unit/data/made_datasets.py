"""Datasets made from random numbers, without recordings: what the storage is tested on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ecgmodels.data.preparation.options import ResolvedOptions
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.segmentation.record_segments import RecordSegments
from ecgmodels.data.storage.contents import (
    count_classes,
    find_duplicates,
    sum_totals,
    summarise_split,
    training_normalisation,
)
from ecgmodels.data.storage.manifest import (
    FORMAT_VERSION,
    Manifest,
    RecordsEntry,
    write_manifest,
)
from ecgmodels.data.storage.record_table import RECORDS_NAME, Part, RecordEntry
from ecgmodels.data.storage.record_table_writer import write_record_table
from ecgmodels.data.storage.shard_writer import LARGEST_SHARD_BYTES, ShardWriter, Written
from ecgmodels.data.storage.shards import sha256_of

LEADS = ("I", "II")
CLASSES = ("N", "S", "V")
FEATURES = ("age", "rr_next_s")


@dataclass(frozen=True, kw_only=True, eq=False)
class MadeRecord:
    """A record as the pipeline hands it to the writer."""

    part: Part
    entry: RecordEntry
    segments: RecordSegments


def make_record(
    number: int,
    *,
    part: Part = "development",
    segments: int = 3,
    samples: int = 64,
    valid: int | None = None,
    classes: Sequence[str] = CLASSES,
    multi_label: bool = False,
    features: Sequence[str] = FEATURES,
    **replaced: Any,
) -> MadeRecord:
    """Return a record `r<number>` of patient `p<number>` whose content its number decides.

    Segment labels take turns, so that three segments have one of each class; `valid` samples of
    the first segment are the recording's, of the others all. Keywords that are left replace
    fields of the entry.
    """
    random = np.random.default_rng(number)
    signal_uv = random.normal(0, 300, (segments, len(LEADS), samples)).astype(np.int16)
    valid_samples = np.full(segments, samples, dtype=np.int32)
    if valid is not None and segments:
        valid_samples[0] = valid
        signal_uv[0, :, valid:] = 0
    values = random.normal(0, 1, (segments, len(features))).astype(np.float32)
    values[random.random(values.shape) < 0.2] = np.nan
    label: Any
    if multi_label:
        label = random.integers(0, 2, (1, len(classes))).repeat(segments, axis=0).astype(np.uint8)
        counts = label.sum(axis=0, dtype=int)
    else:
        label = np.full(segments, -1, dtype=np.int64)
        if classes:
            label = (np.arange(segments) + number) % len(classes)
        counts = np.bincount(label[label >= 0], minlength=len(classes))
    cut = RecordSegments(
        signal_uv=signal_uv,
        valid_samples=valid_samples,
        label=label,
        start_sample=np.arange(segments, dtype=np.int64) * samples - 5,
        features=values,
        rejected={"invalid samples": number % 3} if number % 3 else {},
        padded=number % 2,
        clipped_samples=number,
        bridged_samples=2 * number,
    )
    entry = RecordEntry(
        id=f"r{number}",
        patient_id=f"p{number}",
        leads=("I", "V5" if number % 2 else "II"),
        age=None if number % 4 == 0 else 50.0 + number,
        sex=(None, "female", "male")[number % 3],
        duration_s=10.0 + number,
        rate_hz=500.0,
        part=part,
        samples=samples,
        segments=segments,
        class_counts=tuple(counts.tolist()),
        missing=tuple(np.isnan(values).sum(axis=0).tolist()),
        rejected=cut.rejected,
        padded=cut.padded,
        clipped_samples=cut.clipped_samples,
        bridged_samples=cut.bridged_samples,
        flat_leads=("II",) if number % 5 == 4 else (),
        signal_sha256=f"{number:064x}",
    )
    return MadeRecord(part=part, entry=replace(entry, **replaced), segments=cut)


def make_records(development: int = 4, test: int = 2, **options: Any) -> list[MadeRecord]:
    """Return records `r0`, `r1`, ..., those of the test part last."""
    return [
        make_record(number, part="development" if number < development else "test", **options)
        for number in range(development + test)
    ]


def write_shards(
    folder: Path,
    records: Sequence[MadeRecord],
    *,
    classes: Sequence[str] = CLASSES,
    features: Sequence[str] = FEATURES,
    multi_label: bool = False,
    largest_bytes: int = LARGEST_SHARD_BYTES,
) -> Written:
    """Write the shards of the records, added in the order given."""
    folder.mkdir(parents=True, exist_ok=True)
    writer = ShardWriter(
        folder,
        classes=classes,
        features=features,
        multi_label=multi_label,
        largest_bytes=largest_bytes,
    )
    for record in records:
        writer.add(record.part, record.entry, record.segments)
    return writer.close()


def alternating_split(records: Sequence[MadeRecord], validation: int = 0) -> Split:
    """Return a split that validates on every other development record, from `validation` on."""
    development = [record.entry.id for record in records if record.part == "development"]
    return Split(
        train=tuple(name for i, name in enumerate(development) if i % 2 != validation),
        validation=tuple(name for i, name in enumerate(development) if i % 2 == validation),
        test=tuple(record.entry.id for record in records if record.part == "test"),
    )


def write_dataset(
    folder: Path,
    records: Sequence[MadeRecord],
    *,
    classes: Sequence[str] = CLASSES,
    features: Sequence[str] = FEATURES,
    multi_label: bool = False,
    largest_bytes: int = LARGEST_SHARD_BYTES,
    splits: Mapping[str, Split] | None = None,
    options: Mapping[str, Any] | None = None,
    **replaced: Any,
) -> Manifest:
    """Write a whole dataset; keywords that are left replace fields of the manifest."""
    written = write_shards(
        folder,
        records,
        classes=classes,
        features=features,
        multi_label=multi_label,
        largest_bytes=largest_bytes,
    )
    if splits is None:
        splits = {
            "fixed": alternating_split(records),
            "fold-0": alternating_split(records, validation=1),
        }
    if not classes:
        splits = {}
    table = written.records.with_splits(splits)
    path = folder / RECORDS_NAME
    write_record_table(path, table)
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        database="made-up",
        title="Made-up numbers",
        database_version="1",
        task="rhythm",
        multi_label=multi_label,
        options=make_options(classes=tuple(classes), features=tuple(features), **(options or {})),
        leads=LEADS,
        rate_hz=100.0,
        samples=max(shard.samples for shard in written.shards),
        samples_before=None,
        uv_per_unit=1.0,
        classes=tuple(classes),
        scored_classes=tuple(classes),
        unscored={},
        notes=(),
        features=tuple(features),
        non_causal_features=tuple(name for name in features if name == "rr_next_s"),
        patients_known=True,
        record_count=len(table),
        patient_count=table.patient_count,
        class_counts=count_classes(table),
        totals=sum_totals(table),
        excluded={},
        failed={},
        duplicates=find_duplicates(table),
        splits={
            name: summarise_split(table, name, training_normalisation(table, name, written.moments))
            for name in splits
        },
        shared_patients=(),
        records=RecordsEntry(
            file=path.name, rows=len(table), bytes=path.stat().st_size, sha256=sha256_of(path)
        ),
        shards=written.shards,
    )
    manifest = replace(manifest, **replaced)
    write_manifest(folder, manifest)
    return manifest


def make_options(**replaced: Any) -> ResolvedOptions:
    """Return options as a preparation of crops would leave them."""
    values: dict[str, Any] = {
        "task": "rhythm",
        "segments": "crops",
        "beats": None,
        "window_ms": None,
        "edges": None,
        "skip_first_s": None,
        "crop_s": 10.0,
        "stride_s": 10.0,
        "short": "pad",
        "rate_hz": 100.0,
        "filter_hz": (0.5, 40.0),
        "max_bridged_s": 0.1,
        "leads": LEADS,
        "classes": CLASSES,
        "features": FEATURES,
        "split": "official",
        "folds": 1,
        "seed": 0,
        "score": "mean",
    }
    return ResolvedOptions(**(values | replaced))
