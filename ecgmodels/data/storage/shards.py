"""Shards: uncompressed Arrow IPC files that are read without a copy.

A shard is one record batch, so that each column is one stretch of memory: a selection of records
that lie next to each other is a view of the file. All segments of a shard have one length.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgmodels.data.storage.columns import filled, view_of
from ecgmodels.errors import DataError

SHARD_FOLDER = "shards"


def shard_schema(
    leads: int, samples: int, features: Sequence[str], *, classes: int | None = None
) -> pa.Schema:
    """Return the columns of a shard.

    Args:
        leads: number of leads; `signal_uv` is row-major [lead, time].
        samples: a lead and segment.
        features: their names; a null is unknown.
        classes: their number where a segment may have several, else None.
    """
    label = pa.int64() if classes is None else pa.list_(pa.uint8(), classes)
    return pa.schema(
        [
            pa.field("signal_uv", pa.list_(pa.int16(), leads * samples), nullable=False),
            pa.field("valid_samples", pa.int32(), nullable=False),
            pa.field("label", label, nullable=False),
            pa.field("record", pa.int32(), nullable=False),
            pa.field("start_sample", pa.int64(), nullable=False),
            *(pa.field(name, pa.float32()) for name in features),
        ]
    )


def open_shard(path: Path, rows: int, schema: pa.Schema) -> pa.RecordBatch:
    """Memory-map a shard.

    Raises:
        DataError: it is missing, not an Arrow file, or not of `rows` rows with these columns.
    """
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            batch = reader.get_batch(0) if reader.num_record_batches == 1 else None
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"{path} cannot be read as a shard: {' '.join(str(error).split())}",
            hint="copy the dataset again, or delete it and prepare it again",
        ) from error
    if batch is None or batch.num_rows != rows or not batch.schema.equals(schema):
        found = "other columns"
        if batch is None:
            found = "several batches"
        elif batch.num_rows != rows:
            found = f"{batch.num_rows:,}"
        raise DataError(
            f"{path} should be one batch of {rows:,} rows, found {found}",
            hint="copy the dataset again, or delete it and prepare it again",
        )
    return batch


def signal_of(batch: pa.RecordBatch, leads: int) -> NDArray[np.int16]:
    """Return the signal of a shard, int16 [row, lead, time], as a view of the file."""
    values = view_of(batch.column(0))
    return values.reshape(len(values), leads, values.shape[1] // leads)


def valid_samples_of(batch: pa.RecordBatch) -> NDArray[np.int32]:
    """Return int32 [row], as a view."""
    return view_of(batch.column(1))


def label_of(batch: pa.RecordBatch) -> NDArray[np.int64] | NDArray[np.uint8]:
    """Return int64 [row], or uint8 [row, class] where there may be several, as a view."""
    return view_of(batch.column(2))


def record_of(batch: pa.RecordBatch) -> NDArray[np.int32]:
    """Return int32 [row], the row of each segment's record in records.arrow, as a view."""
    return view_of(batch.column(3))


def start_sample_of(batch: pa.RecordBatch) -> NDArray[np.int64]:
    """Return int64 [row], as a view."""
    return view_of(batch.column(4))


def features_of(batch: pa.RecordBatch) -> NDArray[np.float32]:
    """Return float32 [row, feature], NaN unknown."""
    # By position: a database's own feature may be called like one of the other columns.
    columns = batch.columns[5:]
    features = np.empty((batch.num_rows, len(columns)), dtype=np.float32)
    for index, column in enumerate(columns):
        features[:, index] = filled(column, np.nan)
    return features


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_to_disk(path: Path) -> None:
    """Have the operating system write a file or folder out (fsync)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
