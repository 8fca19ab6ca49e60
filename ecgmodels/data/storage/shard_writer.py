"""Writing shards as records come: by part and by length, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgmodels.data.storage.manifest import ShardEntry
from ecgmodels.data.storage.normalisation import Moments, moments_of
from ecgmodels.data.storage.record_table import NO_SHARD, PARTS, Part, RecordEntry, RecordTable
from ecgmodels.data.storage.record_table_writer import RecordTableBuilder
from ecgmodels.data.storage.shards import SHARD_FOLDER, sha256_of, shard_schema, sync_to_disk

if TYPE_CHECKING:
    from ecgmodels.data.segmentation.record_segments import RecordSegments

LARGEST_SHARD_BYTES = 128 * 2**20
"""Of signal, in whole records: bounds the writer's memory."""

_Bucket = tuple[Part, int]
"""Part and samples a lead."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Written:
    """What a `ShardWriter` made: the records are in the order of the shards' rows."""

    shards: tuple[ShardEntry, ...]
    records: RecordTable
    """Without splits as yet."""
    moments: Moments
    """Sums over each record, one a row of `records`."""


@dataclass
class _Waiting:
    """Records of one part and length, with the numbers in which they arrived."""

    bytes: int = 0
    arrivals: list[int] = field(default_factory=list)
    segments: list[RecordSegments] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Flushed:
    """Records written together; without a file where none of them has a segment."""

    bucket: _Bucket
    path: Path | None
    arrivals: NDArray[np.int64]
    lengths: NDArray[np.int64]


class ShardWriter:
    """Collects records, in the order they are added, into shards of one part and length each.

    Records that wait for their shard to fill are at most `largest_bytes` of signal (or one
    record): then the largest group of them is written. The same records in the same order give
    the same files.

    The rows of records.arrow are sorted by part (development, then test) and length; otherwise
    they are in the order in which records were added.
    """

    def __init__(
        self,
        folder: Path,
        *,
        classes: Sequence[str],
        features: Sequence[str],
        multi_label: bool = False,
        largest_bytes: int = LARGEST_SHARD_BYTES,
    ) -> None:
        """Write into `folder`, which exists.

        Args:
            classes: their names, of which `RecordEntry.class_counts` are; none if unlabelled.
            features: their names, in the order of the segments' features.
            multi_label: segments have a uint8 [class] for label.
        """
        self._folder = folder
        self._features = tuple(features)
        self._label_classes = len(classes) if multi_label else None
        self._largest_bytes = largest_bytes
        self._table = RecordTableBuilder(classes, features)
        self._moments: list[Moments] = []
        self._joined_moments: list[Moments] = []
        self._arrived = 0
        self._waiting: dict[_Bucket, _Waiting] = {}
        self._flushed: list[_Flushed] = []

    def add(self, part: Part, entry: RecordEntry, segments: RecordSegments) -> None:
        """Add one record to a part (whatever `entry.part` says).

        Raises:
            ValueError: the entry does not describe the segments.
        """
        samples, size = segments.signal_uv.shape[2], segments.signal_uv.nbytes
        if (entry.segments, entry.samples) != (len(segments), samples):
            raise ValueError(f"record {entry.id}: the entry is not of these segments")
        waiting = self._waiting
        while waiting and sum(one.bytes for one in waiting.values()) + size > self._largest_bytes:
            # Ties go by part and length, so that the same records give the same shards.
            self._flush(max(waiting, key=lambda bucket: (waiting[bucket].bytes, bucket)))
        self._table.add(part, entry)
        self._add_moments(moments_of(segments.signal_uv, segments.valid_samples, segments.features))
        bucket = waiting.setdefault((part, samples), _Waiting())
        bucket.bytes += size
        bucket.arrivals.append(self._arrived)
        bucket.segments.append(segments)
        self._arrived += 1

    def close(self) -> Written:
        """Write what is left, and give every shard its final name, rows and checksum.

        Raises:
            ValueError: no record was added.
        """
        for bucket in sorted(self._waiting):
            self._flush(bucket)
        if not self._arrived:
            raise ValueError("a dataset needs at least one record")
        # Stable: shards of one part and length stay in the order they were written.
        ordered = sorted(
            self._flushed, key=lambda flushed: (PARTS.index(flushed.bucket[0]), flushed.bucket[1])
        )
        order = np.concatenate([flushed.arrivals for flushed in ordered])
        shard = np.full(len(order), NO_SHARD, dtype=np.int32)
        shards: list[tuple[_Flushed, str, int]] = []
        numbers = dict.fromkeys(PARTS, 0)
        first = 0
        for flushed in ordered:
            if flushed.path is not None:
                part = flushed.bucket[0]
                name = f"{SHARD_FOLDER}/{part}-{numbers[part]:05d}.arrow"
                numbers[part] += 1
                shard[first : first + len(flushed.arrivals)] = len(shards)
                shards.append((flushed, name, first))
            first += len(flushed.arrivals)
        with ThreadPoolExecutor(max_workers=4) as pool:  # hashing lets other threads run
            entries = tuple(pool.map(self._finish, *zip(*shards, strict=True))) if shards else ()
        return Written(
            shards=entries,
            records=self._table.build(order, shard),
            moments=Moments.join(self._joined_moments + self._moments)[order],
        )

    def _add_moments(self, moments: Moments) -> None:
        self._moments.append(moments)
        if len(self._moments) == 4096:  # many small arrays take five times the room of a few
            self._joined_moments.append(Moments.join(self._moments))
            self._moments = []

    def _flush(self, bucket: _Bucket) -> None:
        waiting = self._waiting.pop(bucket)
        lengths = np.array([len(segments) for segments in waiting.segments])
        path = None
        if lengths.any():
            folder = self._folder / SHARD_FOLDER
            folder.mkdir(exist_ok=True)
            path = folder / f"unnamed-{len(self._flushed):05d}.arrow"
            batch = self._record_batch(waiting.segments)
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, batch.schema) as writer:
                writer.write_batch(batch)
        self._flushed.append(
            _Flushed(bucket=bucket, path=path, arrivals=np.array(waiting.arrivals), lengths=lengths)
        )

    def _record_batch(self, records: Sequence[RecordSegments]) -> pa.RecordBatch:
        signal = np.concatenate([segments.signal_uv for segments in records])
        label = np.concatenate([segments.label for segments in records])
        _, leads, samples = signal.shape
        schema = shard_schema(leads, samples, self._features, classes=self._label_classes)
        arrays = [
            _fixed_lists(signal, schema.field(0).type),
            pa.array(np.concatenate([segments.valid_samples for segments in records])),
            pa.array(label) if label.ndim == 1 else _fixed_lists(label, schema.field(2).type),
            pa.array(np.zeros(len(signal), dtype=np.int32)),  # known in the end: `_finish`
            pa.array(np.concatenate([segments.start_sample for segments in records])),
        ]
        for values in np.concatenate([segments.features for segments in records]).T:
            arrays.append(pa.array(np.ascontiguousarray(values), mask=np.isnan(values)))
        return pa.record_batch(arrays, schema=schema)

    def _finish(self, flushed: _Flushed, name: str, first_record: int) -> ShardEntry:
        """Fill in the column of record rows, rename the shard, and sum it up."""
        assert flushed.path is not None
        path = self._folder / name
        flushed.path.rename(path)
        rows = np.arange(first_record, first_record + len(flushed.lengths), dtype=np.int32)
        _fill_in_records(path, np.repeat(rows, flushed.lengths))
        sync_to_disk(path)
        return ShardEntry(
            file=name,
            part=flushed.bucket[0],
            samples=flushed.bucket[1],
            first_record=first_record,
            records=len(flushed.lengths),
            rows=int(flushed.lengths.sum()),
            bytes=path.stat().st_size,
            sha256=sha256_of(path),
        )


def _fixed_lists(values: NDArray[np.int16] | NDArray[np.uint8], kind: pa.DataType) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), type=kind)


def _fill_in_records(path: Path, record: NDArray[np.int32]) -> None:
    """Overwrite the values of the column `record` in a shard; nothing else of it changes."""
    with pa.memory_map(str(path), "r+") as file:
        column = pa.ipc.open_file(file).get_batch(0).column(3)
        file.seek(0)
        start = column.buffers()[1].address - file.read_buffer().address
        file.seek(start)
        file.write(record.tobytes())
