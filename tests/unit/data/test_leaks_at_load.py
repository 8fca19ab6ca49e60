"""A patient on two sides of a split is found whenever a dataset is opened."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ecgmodels.data import describe_dataset, open_dataset
from ecgmodels.data.preparation.splits import Split, check_split
from ecgmodels.errors import DataError
from tests.unit.data.made_datasets import (
    MadeRecord,
    make_records,
    write_dataset,
)
from tests.unit.data.spoiling import LOOKS


def same_patient(records: list[MadeRecord], *ids: str) -> list[MadeRecord]:
    return [
        replace(record, entry=replace(record.entry, patient_id="the-same"))
        if record.entry.id in ids
        else record
        for record in records
    ]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (("r0", "r1"), "split 'fixed' has patient the-same in train and validation"),
        (("r1", "r4"), "split 'fixed' has patient the-same in train and test"),
        (("r2", "r5", "r4"), "split 'fixed' has patient the-same in validation and test"),
        (("r1", "r3", "r2"), "split 'fixed' has patient the-same in train and validation"),
    ],
)
def test_a_patient_in_two_parts_is_found_at_load_and_named_with_the_records(
    tmp_path: Path, ids: tuple[str, ...], message: str
) -> None:
    write_dataset(tmp_path, same_patient(make_records(4, 2), *ids))
    for look in LOOKS:
        with pytest.raises(DataError, match=message) as caught:
            look(tmp_path)
        assert f"(records {', '.join(sorted(ids))})" in str(caught.value)
    with pytest.raises(DataError, match=message):  # also once all of it was verified
        open_dataset(tmp_path)


def test_a_leak_in_a_fold_alone_is_found(tmp_path: Path) -> None:
    whole = Split(train=("r0", "r1"), validation=("r2", "r3"), test=("r4", "r5"))
    torn = Split(train=("r0", "r2"), validation=("r1", "r3"), test=("r4", "r5"))
    records = same_patient(make_records(4, 2), "r0", "r1")
    write_dataset(tmp_path, records, splits={"fixed": whole, "fold-0": torn})
    with pytest.raises(DataError, match="split 'fold-0' has patient the-same in train and valid"):
        open_dataset(tmp_path)


def test_the_message_at_load_is_that_at_preparation(tmp_path: Path) -> None:
    records = same_patient(make_records(4, 2), "r1", "r4")
    write_dataset(tmp_path, records)
    split = Split(train=("r1", "r3"), validation=("r0", "r2"), test=("r4", "r5"))
    patients = {record.entry.id: record.entry.patient_id for record in records}
    with pytest.raises(DataError) as prepared:
        check_split("fixed", split, patients)
    with pytest.raises(DataError) as loaded:
        open_dataset(tmp_path)
    assert str(loaded.value) == f"{tmp_path}: {prepared.value}"


def test_a_declared_patient_may_be_on_both_sides_of_the_test_border(tmp_path: Path) -> None:
    records = same_patient(make_records(4, 2), "r1", "r4")
    write_dataset(tmp_path / "declared", records, shared_patients=(("r1", "r4"),))
    open_dataset(tmp_path / "declared")
    note = "records r1 and r4 are of one patient, and on both sides of the test border"
    assert note in describe_dataset(tmp_path / "declared")
    records = same_patient(make_records(4, 2), "r0", "r1")
    write_dataset(tmp_path / "inner", records, shared_patients=(("r0", "r1"),))
    with pytest.raises(DataError, match="patient the-same in train and validation"):
        open_dataset(tmp_path / "inner")


def test_an_empty_part_is_found(tmp_path: Path) -> None:
    split = Split(train=("r0", "r1", "r2", "r3"), validation=(), test=("r4", "r5"))
    write_dataset(tmp_path, make_records(4, 2), splits={"fixed": split})
    with pytest.raises(DataError, match="split 'fixed' has no record in its validation part"):
        open_dataset(tmp_path)
