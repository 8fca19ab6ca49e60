"""Writing records.arrow: rows are collected as records come, and put in order at the end."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ecgmodels.data.storage.record_table import (
    NULLABLE,
    PARTS,
    SEXES,
    Part,
    RecordEntry,
    RecordTable,
    plain_schema,
)

_CHUNK_ROWS = 4096


class RecordTableBuilder:
    """Collects records in the order they come, at some 200 bytes each."""

    def __init__(self, classes: Iterable[str], features: Iterable[str]) -> None:
        self._classes = tuple(classes)
        self._features = tuple(features)
        self._schema = plain_schema(self._classes, self._features)
        self._rows: list[dict[str, Any]] = []
        self._chunks: list[pa.RecordBatch] = []

    def add(self, part: Part, entry: RecordEntry) -> None:
        """Add a record to a part.

        Raises:
            ValueError: its counts are not of the classes and features.
        """
        row = {
            "id": entry.id,
            "patient": entry.patient_id,
            "part": part,
            "age": entry.age,
            "sex": entry.sex,
            "duration_s": entry.duration_s,
            "rate_hz": entry.rate_hz,
            "samples": entry.samples,
            "segments": entry.segments,
            "padded": entry.padded,
            "clipped_samples": entry.clipped_samples,
            "bridged_samples": entry.bridged_samples,
            "leads": entry.leads,
            "flat_leads": entry.flat_leads,
            "rejected": sorted(entry.rejected.items()),
            "signal_sha256": bytes.fromhex(entry.signal_sha256),
        }
        for name, count in zip(self._classes, entry.class_counts, strict=True):
            row[f"class:{name}"] = count
        for name, count in zip(self._features, entry.missing, strict=True):
            row[f"missing:{name}"] = count
        self._rows.append(row)
        if len(self._rows) == _CHUNK_ROWS:
            self._pack()

    def build(self, order: NDArray[np.int64], shard: NDArray[np.int32]) -> RecordTable:
        """Return the table.

        Args:
            order: int64 [record], the arrival numbers of the records in the order of the rows.
            shard: int32 [record], the number of the shard that each row's segments lie in.
        """
        self._pack()
        table = pa.Table.from_batches(self._chunks, self._schema).take(pa.array(order))
        columns = {name: _joined(table.column(name)) for name in table.schema.names}
        columns["patient"] = columns["patient"].dictionary_encode()
        columns["part"] = _coded(columns["part"], PARTS)
        columns["sex"] = _coded(columns["sex"], SEXES)
        age = columns["age"].to_numpy(zero_copy_only=False)
        columns["age"] = pa.array(age, mask=np.isnan(age))
        columns["shard"] = pa.array(shard)
        fields = [
            pa.field(name, array.type, nullable=name in NULLABLE) for name, array in columns.items()
        ]
        return RecordTable(batch=pa.record_batch(list(columns.values()), schema=pa.schema(fields)))

    def _pack(self) -> None:
        self._chunks.append(pa.RecordBatch.from_pylist(self._rows, schema=self._schema))
        self._rows = []


def write_record_table(path: Path, table: RecordTable) -> None:
    """Write the table as an Arrow IPC file of one batch; equal tables give equal bytes."""
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, table.batch.schema) as writer:
        writer.write_batch(table.batch)


def _joined(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks != 1 else column.chunk(0)


def _coded(values: pa.StringArray, names: Iterable[str]) -> pa.DictionaryArray:
    """Encode strings as int8 positions in `names`, whichever of them occur."""
    dictionary = pa.array(list(names), pa.string())
    codes = pc.index_in(values, value_set=dictionary).fill_null(-1).to_numpy().astype(np.int8)
    indices = pa.array(np.maximum(codes, 0), mask=codes < 0)
    return cast(pa.DictionaryArray, pa.DictionaryArray.from_arrays(indices, dictionary))
