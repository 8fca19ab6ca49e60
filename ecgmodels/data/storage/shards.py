"""Writing and opening shards: uncompressed Arrow IPC files that are read without a copy.

A shard is one record batch, so that each column is one stretch of memory: a selection of records
that lie next to each other is a view of the file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from ecgmodels.data.segmentation.beats import RecordSegments
from ecgmodels.data.storage.manifest import Part, RecordEntry, ShardEntry
from ecgmodels.errors import DataError

SHARD_FOLDER = "shards"
LARGEST_SHARD_BYTES = 128 * 2**20
"""Of signal, in whole records: bounds the writer's memory."""


def shard_schema(leads: int, samples: int, features: Sequence[str]) -> pa.Schema:
    """Return the columns: signal_uv (row-major [lead, time]), label, identity, the features."""
    return pa.schema(
        [
            pa.field("signal_uv", pa.list_(pa.int16(), leads * samples), nullable=False),
            pa.field("label", pa.int64(), nullable=False),
            pa.field("record_id", pa.string(), nullable=False),
            pa.field("patient_id", pa.string(), nullable=False),
            pa.field("start_sample", pa.int64(), nullable=False),
            *(pa.field(name, pa.float32()) for name in features),
        ]
    )


class ShardWriter:
    """Collects records, in the order they are added, into shards of one part each."""

    def __init__(
        self, folder: Path, features: Sequence[str], largest_bytes: int = LARGEST_SHARD_BYTES
    ) -> None:
        self._folder = folder
        self._features = tuple(features)
        self._largest_bytes = largest_bytes
        self._pending: list[tuple[RecordEntry, RecordSegments]] = []
        self._part: Part = "development"
        self._entries: list[ShardEntry] = []

    def add(self, part: Part, entry: RecordEntry, segments: RecordSegments) -> None:
        """Add one record; writes a shard when the part ends or the record does not fit."""
        pending_bytes = sum(held.signal_uv.nbytes for _, held in self._pending)
        if part != self._part or pending_bytes + segments.signal_uv.nbytes > self._largest_bytes:
            self._flush()
        self._part = part
        self._pending.append((entry, segments))

    def close(self) -> tuple[ShardEntry, ...]:
        """Write what is left; return all shards in the order of their rows."""
        self._flush()
        return tuple(self._entries)

    def _flush(self) -> None:
        if not self._pending:
            return
        number = sum(entry.part == self._part for entry in self._entries)
        file = f"{SHARD_FOLDER}/{self._part}-{number:05d}.arrow"
        path = self._folder / file
        path.parent.mkdir(exist_ok=True)
        batch = _record_batch(self._pending, self._features)
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
            writer.write_batch(batch)
        sync_to_disk(path)
        self._entries.append(
            ShardEntry(
                file=file,
                part=self._part,
                records=tuple(entry.id for entry, _ in self._pending),
                rows=batch.num_rows,
                bytes=path.stat().st_size,
                sha256=sha256_of(path),
            )
        )
        self._pending = []


def open_shard(path: Path, rows: int) -> pa.RecordBatch:
    """Memory-map a shard.

    Raises:
        DataError: it is missing, not an Arrow file, or not of `rows` rows.
    """
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            batch = reader.get_batch(0) if reader.num_record_batches == 1 else None
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path} cannot be read as a shard: {' '.join(str(error).split())}",
            hint="copy the dataset again, or delete it and prepare it again",
        ) from error
    if batch is None or batch.num_rows != rows:
        found = "several batches" if batch is None else f"{batch.num_rows:,}"
        raise DataError(
            f"{path} should be one batch of {rows:,} rows, found {found}",
            hint="copy the dataset again, or delete it and prepare it again",
        )
    return batch


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


def _record_batch(
    records: Sequence[tuple[RecordEntry, RecordSegments]], features: Sequence[str]
) -> pa.RecordBatch:
    entries = [entry for entry, _ in records]
    lengths = [len(segments) for _, segments in records]
    signal = np.concatenate([segments.signal_uv for _, segments in records])
    columns = np.concatenate([segments.features for _, segments in records])
    leads, samples = signal.shape[1:]
    schema = shard_schema(leads, samples, features)
    arrays = [
        pa.FixedSizeListArray.from_arrays(pa.array(signal.reshape(-1)), type=schema[0].type),
        pa.array(np.concatenate([segments.label for _, segments in records])),
        pa.array(np.repeat([entry.id for entry in entries], lengths), pa.string()),
        pa.array(np.repeat([entry.patient_id for entry in entries], lengths), pa.string()),
        pa.array(np.concatenate([segments.start_sample for _, segments in records])),
    ]
    for values in columns.T:
        arrays.append(pa.array(np.ascontiguousarray(values), mask=np.isnan(values)))
    return pa.record_batch(arrays, schema=schema)
