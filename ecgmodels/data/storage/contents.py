"""What the manifest says of the records, counted from their table; all of it by column."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ecgmodels.data.storage.columns import view_of
from ecgmodels.data.storage.manifest import SplitEntry, Totals
from ecgmodels.data.storage.normalisation import Moments, Normalisation, normalisation_over
from ecgmodels.data.storage.record_table import SIDES, RecordTable


def sum_totals(records: RecordTable) -> Totals:
    """Return the sums over all records."""
    return Totals(
        segments=int(records.segments.sum(dtype=np.int64)),
        rejected=_sum_by_name(records.batch.column("rejected")),
        padded=int(records.numbers("padded").sum(dtype=np.int64)),
        clipped_samples=int(records.numbers("clipped_samples").sum()),
        bridged_samples=int(records.numbers("bridged_samples").sum()),
        flat_leads=_count(records.batch.column("flat_leads").flatten()),
    )


def count_classes(records: RecordTable) -> dict[str, dict[str, int]]:
    """Return part of the fixed split -> class -> segments; all is "test" without a split."""
    parts = parts_of(records, "fixed") if records.splits else {"test": records.is_test}
    return {
        part: {
            name: int(records.class_counts(name).sum(where=chosen, dtype=np.int64))
            for name in records.classes
        }
        for part, chosen in parts.items()
    }


def parts_of(records: RecordTable, split: str) -> dict[str, NDArray[np.bool_]]:
    """Return part of the split -> bool [record]: whether the record is in it."""
    side = records.side(split)
    return {name: side == number for number, name in enumerate(SIDES)}


def count_patients(records: RecordTable, chosen: NDArray[np.bool_]) -> int:
    """Return how many patients the chosen records (bool [record]) are of."""
    seen = np.zeros(records.patient_count, dtype=bool)
    seen[records.patients[chosen]] = True
    return int(seen.sum())


def summarise_split(records: RecordTable, split: str, normalisation: Normalisation) -> SplitEntry:
    """Return a split's entry in the manifest."""
    parts = parts_of(records, split)
    return SplitEntry(
        normalisation=normalisation,
        records={part: int(chosen.sum()) for part, chosen in parts.items()},
        patients={part: count_patients(records, chosen) for part, chosen in parts.items()},
    )


def training_normalisation(records: RecordTable, split: str, moments: Moments) -> Normalisation:
    """Return the statistics of a split's training records; `moments` are those of all records."""
    return normalisation_over([moments[records.side(split) == SIDES.index("train")]])


def find_duplicates(records: RecordTable) -> tuple[tuple[str, ...], ...]:
    """Return the groups of records whose signals are identical, each in the order of the rows."""
    codes = view_of(records.batch.column("signal_sha256").dictionary_encode())
    copied = np.flatnonzero(np.bincount(codes, minlength=1)[codes] > 1)
    groups: dict[int, list[str]] = {}
    for row in copied.tolist():
        groups.setdefault(int(codes[row]), []).append(records.id_of(row))
    return tuple(tuple(group) for group in groups.values())


def _sum_by_name(column: pa.MapArray) -> dict[str, int]:
    names = column.keys.dictionary_encode()
    sums = np.zeros(len(names.dictionary), dtype=np.int64)
    np.add.at(sums, view_of(names), view_of(column.items))
    return _sorted(names.dictionary.to_pylist(), sums.tolist())


def _count(names: pa.StringArray) -> dict[str, int]:
    counted = pc.value_counts(names)
    return _sorted(counted.field(0).to_pylist(), counted.field(1).to_pylist())


def _sorted(names: Sequence[Any], counts: Sequence[Any]) -> dict[str, int]:
    return dict(sorted(zip(names, counts, strict=True)))
