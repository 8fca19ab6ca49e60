"""Checking a dataset from its bytes up, and saying in words what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.storage.dataset import Dataset, Segments, open_dataset
from ecgmodels.data.storage.manifest import MANIFEST_NAME, Manifest, RecordEntry
from ecgmodels.data.storage.normalisation import Moments, moments_of, normalisation_over
from ecgmodels.data.storage.verification import check_checksums
from ecgmodels.errors import DataError


@dataclass(frozen=True, kw_only=True)
class DatasetCheck:
    """What `check_dataset` went through and found sound."""

    path: Path
    hash: str
    records: int
    patients: int
    segments: int
    shards: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"{self.path} is sound: {self.segments:,} segments of {self.records} records "
            f"({self.patients} patients) in {self.shards} shards of {self.bytes:,} bytes, "
            f"hash {self.hash}"
        )


def check_dataset(path: str | Path) -> DatasetCheck:
    """Compute every checksum anew, and every number of the manifest from the shards.

    Raises:
        DataError: names the file that is wrong.
    """
    dataset = open_dataset(path, verify=False)
    manifest = dataset.manifest
    check_checksums(dataset.path, manifest.shards, remember=False)
    moments = _check_rows(dataset)
    for name, split in manifest.splits.items():
        computed = normalisation_over(moments[record] for record in split.train)
        if computed != split.normalisation:
            _contradiction(dataset, f"the normalisation of split '{name}'")
    return DatasetCheck(
        path=dataset.path,
        hash=dataset.hash,
        records=len(manifest.records),
        patients=len(set(manifest.patient_of.values())),
        segments=sum(record.segments for record in manifest.records),
        shards=len(manifest.shards),
        bytes=sum(shard.bytes for shard in manifest.shards),
    )


def describe_dataset(path: str | Path) -> str:
    """Return a dataset's description in plain text; opens no shard.

    Raises:
        DataError: the manifest is not valid, or a shard is missing or of the wrong size.
    """
    dataset = open_dataset(path, verify=False)
    manifest = dataset.manifest
    records = manifest.records
    blocks = [
        _headline(dataset),
        _table(
            ["part", "records", "patients", *manifest.classes, "segments"],
            [
                _part_row(part, [record for record in records if record.id in ids], manifest)
                for part, ids in manifest.split("fixed").parts.items()
            ],
        ),
        _features(manifest),
        _counted("excluded records", Counter(manifest.excluded.values())),
        _counted("beats without a segment", _sum_rejected(records)),
        _counted(
            "segments over a record's end, padded", {"": sum(record.padded for record in records)}
        ),
        _counted("clipped samples", {"": sum(record.clipped_samples for record in records)}),
        _counted(
            "invalid samples interpolated",
            {"": sum(record.bridged_samples for record in records)},
        ),
        "splits: " + ", ".join(manifest.splits),
        *(
            f"note: records {' and '.join(group)} are of one patient, and on both sides of the "
            "test border; the split is customary"
            for group in manifest.shared_patients
        ),
        f"hash: {dataset.hash}",
    ]
    return "\n".join(block for block in blocks if block)


def _check_rows(dataset: Dataset) -> dict[str, Moments]:
    """Compare each record's rows with its entry; return its moments."""
    development = dataset.development("fixed")
    moments = {}
    for segments in (*development, dataset.test()):
        for record in dataset.manifest.records:
            rows = np.flatnonzero(segments.record_id == record.id)
            if len(rows):
                moments[record.id] = _check_record(dataset, record, segments, rows)
    for record in dataset.manifest.records:
        if record.id not in moments:
            if record.segments:
                _contradiction(dataset, f"record {record.id}: segments")
            empty = np.empty((0, len(dataset.leads), dataset.samples), dtype=np.int16)
            moments[record.id] = moments_of(empty, np.empty((0, len(dataset.features)), np.float32))
    return moments


def _check_record(
    dataset: Dataset, record: RecordEntry, segments: Segments, rows: NDArray[np.int64]
) -> Moments:
    labels = np.bincount(segments.label[rows], minlength=len(dataset.classes)).tolist()
    missing = np.isnan(segments.features[rows]).sum(axis=0).tolist()
    if labels != list(record.classes.values()):
        _contradiction(dataset, f"record {record.id}: classes")
    if missing != list(record.missing.values()):
        _contradiction(dataset, f"record {record.id}: missing features")
    if set(segments.patient_id[rows].tolist()) != {record.patient_id}:
        _contradiction(dataset, f"record {record.id}: patient_id")
    return moments_of(segments.signal_uv[rows], segments.features[rows])


def _contradiction(dataset: Dataset, what: str) -> NoReturn:
    raise DataError(
        f"{dataset.path / MANIFEST_NAME} disagrees with the shards: {what}",
        hint="the manifest was changed after it was written; prepare the dataset again",
    )


def _headline(dataset: Dataset) -> str:
    manifest = dataset.manifest
    options = manifest.options
    before_ms, after_ms = options.window_ms
    patients = len(set(manifest.patient_of.values()))
    recorded = Counter(record.leads for record in manifest.records)
    leads = "; ".join(f"{' '.join(names)} in {count}" for names, count in recorded.most_common())
    band = options.filter_hz
    return "\n".join(
        [
            f"{manifest.title} {manifest.database_version} ({manifest.database}), {dataset.path}",
            f"records: {len(manifest.records)} of {patients} patients",
            f"leads: {', '.join(manifest.leads)} (recorded as {leads})",
            f"window: {before_ms:g} ms before to {after_ms:g} ms after the beat, "
            f"{manifest.samples} samples at {manifest.rate_hz:g} Hz, int16 microvolts",
            f"filter: {f'{band[0]:g} to {band[1]:g} Hz, zero phase' if band else 'none'}",
            f"labels: mapping '{options.mapping}', split '{options.split}', scored classes "
            + ", ".join(manifest.scored_classes),
        ]
    )


def _part_row(part: str, records: Sequence[RecordEntry], manifest: Manifest) -> list[str]:
    counts = [sum(record.classes[name] for record in records) for name in manifest.classes]
    patients = len({record.patient_id for record in records})
    return [part, *(f"{number:,}" for number in (len(records), patients, *counts, sum(counts)))]


def _features(manifest: Manifest) -> str:
    lines = []
    for name in manifest.features:
        missing = sum(record.missing[name] for record in manifest.records)
        causal = ", not causal" if name in manifest.non_causal_features else ""
        lines.append(f"  {name}: missing in {missing:,} segments{causal}")
    return "\n".join(["features:", *lines]) if lines else "features: none"


def _sum_rejected(records: Iterable[RecordEntry]) -> Counter[str]:
    rejected: Counter[str] = Counter()
    for record in records:
        rejected.update(record.rejected)
    return rejected


def _counted(title: str, counts: Mapping[str, int]) -> str:
    listed = [
        f"{count:,} ({reason})" if reason else f"{count:,}" for reason, count in counts.items()
    ]
    return f"{title}: {', '.join(listed) if listed else 'none'}"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[column]) for row in (header, *rows)) for column in range(len(header))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in (header, *rows)
    )
