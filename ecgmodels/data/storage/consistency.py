"""That a manifest and its table of records agree, and that no split leaks; all of it by column."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.storage.contents import (
    count_classes,
    find_duplicates,
    sum_totals,
    summarise_split,
)
from ecgmodels.data.storage.manifest import AGAIN, MANIFEST_NAME, Manifest
from ecgmodels.data.storage.record_table import PARTS, SIDES, RecordTable
from ecgmodels.errors import DataError


def check_splits(
    records: RecordTable, shared_patients: Sequence[Sequence[str]], where: str = ""
) -> None:
    """Assert of every split that no part is empty and no patient is in two parts.

    It takes milliseconds for a million records, and is done whenever a dataset is opened.

    Args:
        records: the table with its splits.
        shared_patients: groups of records of one patient that the customary split has on both
            sides of the test border; train and validation may not share them.
        where: the dataset, for the message.

    Raises:
        DataError: a part is empty, or two parts share an undeclared patient.
    """
    declared = {frozenset(group) for group in shared_patients}
    for name in records.splits:
        side = records.side(name)
        prefix = f"{where}: split '{name}'" if where else f"split '{name}'"
        # Whether a patient is in a part, [part, patient].
        flags = np.zeros(len(SIDES) * records.patient_count, dtype=bool)
        flags[side.astype(np.int64) * records.patient_count + records.patients] = True
        seen = flags.reshape(len(SIDES), -1)
        for number, part in enumerate(SIDES):
            if not seen[number].any():
                raise DataError(
                    f"{prefix} has no record in its {part} part",
                    hint="prepare more recordings, or choose another split",
                )
        train, validation, test = seen
        crossing = np.flatnonzero((train & validation) | (train & test) | (validation & test))
        if len(crossing):
            _check_crossing(prefix, records, side, crossing, declared)


def check_consistency(manifest: Manifest, records: RecordTable, folder: Path) -> None:
    """Raise DataError naming dataset.json where it contradicts itself or the table of records."""
    for contradiction, found in _CONTRADICTIONS.items():
        if found(manifest, records):
            raise DataError(
                f"{folder / MANIFEST_NAME} contradicts itself or {manifest.records.file}: "
                f"{contradiction}",
                hint=AGAIN,
            )


def _check_crossing(
    prefix: str,
    records: RecordTable,
    side: NDArray[np.uint8],
    crossing: NDArray[np.int64],
    declared: set[frozenset[str]],
) -> None:
    """Look at the patients in several parts, whose numbers are `crossing`, one by one."""
    rows = np.flatnonzero(np.isin(records.patients, crossing))
    placed: dict[str, dict[int, set[str]]] = {}
    for row in rows.tolist():
        patient = str(records.batch.column("patient")[row].as_py())
        placed.setdefault(patient, {}).setdefault(int(side[row]), set()).add(records.id_of(row))
    for one, other in combinations(range(len(SIDES)), 2):
        for patient in sorted(placed):
            here, there = placed[patient].get(one), placed[patient].get(other)
            if here is None or there is None:
                continue
            if SIDES[other] == "test" and here | there in declared:
                continue
            raise DataError(
                f"{prefix} has patient {patient} in {SIDES[one]} and {SIDES[other]} "
                f"(records {', '.join(sorted(here | there))})",
                hint="put all records of a patient into one part",
            )


def _wrong_rows(manifest: Manifest, records: RecordTable) -> bool:
    return len(records) != manifest.records.rows or len(records) != manifest.record_count


def _wrong_names(manifest: Manifest, records: RecordTable) -> bool:
    return (records.classes, records.features, records.splits) != (
        manifest.classes,
        manifest.features,
        tuple(manifest.splits),
    )


def _record_twice(manifest: Manifest, records: RecordTable) -> bool:
    return len(records.batch.column("id").dictionary_encode().dictionary) < len(records)


def _wrong_patients(manifest: Manifest, records: RecordTable) -> bool:
    names = records.batch.column("patient").dictionary
    used = np.zeros(len(names), dtype=bool)
    codes = records.patients
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(names):
        return True
    used[codes] = True
    distinct = len(names.dictionary_encode().dictionary)
    return not used.all() or distinct < len(names) or len(names) != manifest.patient_count


def _parts_out_of_order(manifest: Manifest, records: RecordTable) -> bool:
    part = records.numbers("part")
    ordered = bool((np.diff(part) >= 0).all()) and set(np.unique(part)) <= {0, 1}
    parts = [PARTS.index(shard.part) for shard in manifest.shards]
    return not ordered or parts != sorted(parts)


def _no_fixed_split(manifest: Manifest, records: RecordTable) -> bool:
    return bool(manifest.classes) != ("fixed" in manifest.splits)


def _splits_not_over_development(manifest: Manifest, records: RecordTable) -> bool:
    if not manifest.classes:
        return bool(manifest.splits) or not records.is_test.all()
    test = SIDES.index("test")
    return any(
        records.side(name).max(initial=0) > test
        or not np.array_equal(records.side(name) == test, records.is_test)
        for name in manifest.splits
    )


def _wrong_shards(manifest: Manifest, records: RecordTable) -> bool:
    """Whether a shard's rows are not the segments of its records, or a segment is in none."""
    end = 0
    for number, shard in enumerate(manifest.shards):
        first, stop = shard.first_record, shard.first_record + shard.records
        its = slice(first, stop)
        if not end <= first < stop <= len(records) or (
            shard.rows < 1
            or shard.rows != records.first_segment[stop] - records.first_segment[first]
            or (records.is_test[its] != (shard.part == "test")).any()
            or (records.samples[its] != shard.samples).any()
            or (records.numbers("shard")[its] != number).any()
        ):
            return True
        end = stop
    rows = sum(shard.rows for shard in manifest.shards)
    longest = max((shard.samples for shard in manifest.shards), default=0)
    return rows != records.first_segment[-1] or rows == 0 or longest != manifest.samples


def _wrong_split_counts(manifest: Manifest, records: RecordTable) -> bool:
    return any(
        entry != summarise_split(records, name, entry.normalisation)
        for name, entry in manifest.splits.items()
    )


_CONTRADICTIONS: dict[str, Callable[[Manifest, RecordTable], bool]] = {
    "they count different records": _wrong_rows,
    "they name different classes, features or splits": _wrong_names,
    "a record is listed twice": _record_twice,
    "patient_count is not the number of its patients": _wrong_patients,
    "development and test are not in order": _parts_out_of_order,
    "there is no fixed split, or one without classes": _no_fixed_split,
    "a split is not over the development records": _splits_not_over_development,
    "a shard's rows are not its records' segments": _wrong_shards,
    "records or patients of a split are miscounted": _wrong_split_counts,
    "class_counts are not its records'": lambda manifest, records: (
        manifest.class_counts != count_classes(records)
    ),
    "totals are not its records'": lambda manifest, records: manifest.totals != sum_totals(records),
    "duplicates are not its records'": lambda manifest, records: (
        manifest.duplicates != find_duplicates(records)
    ),
}
"""Each is only looked for where those before were not found."""
