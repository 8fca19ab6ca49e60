"""The segments of some records, as arrays over the shards that hold them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgmodels.data.storage.manifest import Manifest, ShardEntry
from ecgmodels.data.storage.record_table import RecordTable
from ecgmodels.data.storage.shards import (
    features_of,
    label_of,
    signal_of,
    start_sample_of,
    valid_samples_of,
)
from ecgmodels.data.storage.signal import ShardedSignal

Rows = slice | NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """Segments of some records, in the order of the shards.

    signal_uv: int16 [segment, lead, time], microvolts; a read-only view of the shard where the
        segments lie next to each other in one, else a `ShardedSignal` over several. All are as
        long as the dataset's longest.
    valid_samples: int32 [segment]; samples beyond them are 0 and not the recording's.
    label: int64 [segment], index into the dataset's classes, -1 where nothing is labelled; or
        uint8 [segment, class], 1 for each class of the segment, where there may be several.
    features: float32 [segment, feature], NaN = missing.
    record: int32 [segment], row in the dataset's table of records.
    start_sample: int64 [segment], in the record at the dataset's rate; negative where padded.
    records: the dataset's table of records.
    """

    signal_uv: NDArray[np.int16] | ShardedSignal
    valid_samples: NDArray[np.int32]
    label: NDArray[np.int64] | NDArray[np.uint8]
    features: NDArray[np.float32]
    record: NDArray[np.int32]
    start_sample: NDArray[np.int64]
    records: RecordTable

    def __len__(self) -> int:
        return len(self.label)

    @property
    def record_id(self) -> NDArray[np.str_]:
        """str [segment], made when it is asked for."""
        return self.records.ids[self.record]

    @property
    def patient_id(self) -> NDArray[np.str_]:
        """str [segment], made when it is asked for."""
        return self.records.patient_names[self.records.patients[self.record]]


def read_segments(
    manifest: Manifest,
    records: RecordTable,
    shards: Sequence[tuple[ShardEntry, pa.RecordBatch]],
    chosen: NDArray[np.bool_],
) -> Segments:
    """Return the segments of the chosen records.

    Args:
        manifest: of the dataset.
        records: its table.
        shards: the opened shards that hold the chosen records, in the order of their rows; one
            without rows where none does.
        chosen: bool [record].
    """
    batches = [batch for _, batch in shards]
    rows = [_rows_of(records, shard, chosen) for shard, _ in shards]
    signals = [signal_of(batch, len(manifest.leads)) for batch in batches]

    def column(read: Callable[[pa.RecordBatch], NDArray[Any]]) -> NDArray[Any]:
        pieces = [read(batch)[own] for batch, own in zip(batches, rows, strict=True)]
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    return Segments(
        signal_uv=_signal(signals, rows, manifest.samples),
        valid_samples=column(valid_samples_of),
        label=column(label_of),
        features=column(features_of),
        record=np.repeat(np.flatnonzero(chosen).astype(np.int32), records.segments[chosen]),
        start_sample=column(start_sample_of),
        records=records,
    )


def _rows_of(records: RecordTable, shard: ShardEntry, chosen: NDArray[np.bool_]) -> Rows:
    """Return a shard's rows of the chosen records; a slice where they lie next to each other."""
    its = slice(shard.first_record, shard.first_record + shard.records)
    if chosen[its].all():
        return slice(0, shard.rows)
    rows = np.flatnonzero(np.repeat(chosen[its], records.segments[its]))
    if not len(rows):
        return slice(0, 0)
    first, stop = int(rows[0]), int(rows[-1]) + 1
    return slice(first, stop) if stop - first == len(rows) else rows


def _signal(
    signals: Sequence[NDArray[np.int16]], rows: Sequence[Rows], samples: int
) -> NDArray[np.int16] | ShardedSignal:
    if len(signals) == 1 and isinstance(rows[0], slice) and signals[0].shape[2] == samples:
        return signals[0][rows[0]]
    own = [
        np.arange(len(signal), dtype=np.int64)[chosen]
        for signal, chosen in zip(signals, rows, strict=True)
    ]
    shards = tuple(signals)
    if max(signal.shape[2] for signal in signals) < samples:
        # A shard without rows says how long the dataset's segments are.
        shards += (np.empty((0, signals[0].shape[1], samples), dtype=np.int16),)
    return ShardedSignal(
        shards=shards,
        shard=np.repeat(np.arange(len(own), dtype=np.int32), [len(some) for some in own]),
        row=np.concatenate(own),
    )
