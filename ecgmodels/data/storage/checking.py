"""Checking a dataset from its bytes up, shard by shard."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgmodels.data.storage.consistency import check_consistency
from ecgmodels.data.storage.dataset import Dataset, open_dataset_in
from ecgmodels.data.storage.files import open_files
from ecgmodels.data.storage.manifest import AGAIN, MANIFEST_NAME, ShardEntry
from ecgmodels.data.storage.normalisation import Moments, moments_of, normalisation_over
from ecgmodels.data.storage.record_table import SIDES
from ecgmodels.data.storage.shards import (
    features_of,
    label_of,
    record_of,
    signal_of,
    valid_samples_of,
)
from ecgmodels.errors import DataError


@dataclass(frozen=True, kw_only=True)
class DatasetCheck:
    """What `check_dataset` went through and found sound."""

    location: str
    hash: str
    records: int
    patients: int
    segments: int
    shards: int
    bytes: int

    def __str__(self) -> str:
        return (
            f"{self.location} is sound: {self.segments:,} segments of {self.records:,} records "
            f"({self.patients:,} patients) in {self.shards:,} shards of {self.bytes:,} bytes, "
            f"hash {self.hash}"
        )


def check_dataset(path: str | Path) -> DatasetCheck:
    """Compute every checksum anew, and every number of manifest and table from the shards.

    Takes the memory of one shard's columns, and some 100 bytes a record.

    Raises:
        DataError: names the file that is wrong.
    """
    files = open_files(path, verify=False)
    manifest = files.manifest
    files.verify_all([manifest.records, *manifest.shards])
    dataset = open_dataset_in(files, str(path))
    check_consistency(manifest, dataset.records, files.folder)
    moments = [_check_shard(dataset, shard) for shard in manifest.shards]
    _check_normalisation(dataset, moments)
    return DatasetCheck(
        location=files.name,
        hash=dataset.hash,
        records=manifest.record_count,
        patients=manifest.patient_count,
        segments=manifest.totals.segments,
        shards=len(manifest.shards),
        bytes=sum(shard.bytes for shard in manifest.shards),
    )


def _check_normalisation(dataset: Dataset, moments: list[Moments]) -> None:
    with_segments, joined = dataset.records.segments > 0, Moments.join(moments)
    for name, split in dataset.manifest.splits.items():
        training = dataset.records.side(name)[with_segments] == SIDES.index("train")
        if normalisation_over([joined[training]]) != split.normalisation:
            raise DataError(
                f"{dataset.path / MANIFEST_NAME} disagrees with the shards: "
                f"the normalisation of split '{name}'",
                hint=AGAIN,
            )


def _check_shard(dataset: Dataset, shard: ShardEntry) -> Moments:
    """Compare a shard's rows with the table; return the moments of its records with segments."""
    batch = dataset.open_shard(shard)
    rows = np.arange(shard.first_record, shard.first_record + shard.records)
    segments = dataset.records.segments[rows]
    _compare_column(dataset, shard, "record", record_of(batch) == np.repeat(rows, segments))
    signal_uv, valid_samples = signal_of(batch, len(dataset.leads)), valid_samples_of(batch)
    _compare_column(
        dataset,
        shard,
        "valid_samples",
        (valid_samples >= 1) & (valid_samples <= shard.samples),
    )
    padded = np.flatnonzero(valid_samples < shard.samples)
    for row in padded.tolist():
        if signal_uv[row, :, valid_samples[row] :].any():
            _contradiction(dataset, shard, f"row {row} is not 0 beyond its valid samples")
    rows = rows[segments > 0]
    first = dataset.records.first_segment[rows] - dataset.records.first_segment[rows[0]]
    features = features_of(batch)
    _compare_records(dataset, shard, rows, "class", _count_labels(dataset, shard, batch, first))
    _compare_records(
        dataset, shard, rows, "missing", np.add.reduceat(np.isnan(features), first, dtype=np.int64)
    )
    return moments_of(signal_uv, valid_samples, features, first)


def _count_labels(
    dataset: Dataset, shard: ShardEntry, batch: pa.RecordBatch, first: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return int64 [record, class], segments; `first` is where each record's segments begin."""
    label, classes = label_of(batch), len(dataset.classes)
    has: NDArray[Any]
    if dataset.multi_label:
        has = label
        _compare_column(dataset, shard, "label", np.all(label <= 1, axis=1))
    else:
        least = 0 if classes else -1
        has = label[:, None] == np.arange(classes)
        _compare_column(
            dataset, shard, "label", (label >= least) & (label < least + max(1, classes))
        )
    return np.add.reduceat(has, first, dtype=np.int64)


def _compare_column(dataset: Dataset, shard: ShardEntry, column: str, right: NDArray[Any]) -> None:
    if not right.all():
        _contradiction(dataset, shard, f"column '{column}' in row {int(np.argmin(right))}")


def _compare_records(
    dataset: Dataset,
    shard: ShardEntry,
    rows: NDArray[np.int64],
    kind: str,
    found: NDArray[np.int64],
) -> None:
    """Compare int [record, name] with the table's columns `kind:name`."""
    names = dataset.classes if kind == "class" else dataset.features
    for index, name in enumerate(names):
        right = dataset.records.numbers(f"{kind}:{name}")[rows] == found[:, index]
        if not right.all():
            record = dataset.records.id_of(int(rows[np.argmin(right)]))
            _contradiction(dataset, shard, f"record {record}, column '{kind}:{name}'")


def _contradiction(dataset: Dataset, shard: ShardEntry, what: str) -> None:
    raise DataError(
        f"{dataset.path / shard.file} disagrees with {dataset.manifest.records.file}: {what}",
        hint="one of them was changed, and the manifest after it; " + AGAIN,
    )
