from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.records import Sex
from ecgmodels.data.storage.contents import (
    count_classes,
    count_patients,
    find_duplicates,
    sum_totals,
    summarise_split,
)
from ecgmodels.data.storage.normalisation import Normalisation
from ecgmodels.data.storage.record_table import RecordEntry, RecordTable, open_record_table
from ecgmodels.data.storage.record_table_writer import RecordTableBuilder, write_record_table
from ecgmodels.errors import DataError
from tests.unit.data.made_datasets import CLASSES, FEATURES, make_record, make_records

UNUSED = Normalisation(signal_mean_uv=(), signal_std_uv=(), feature_mean=(), feature_std=())
counts = st.integers(0, 2**31 - 1)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
entries = st.builds(
    RecordEntry,
    id=words,
    patient_id=words,
    leads=st.lists(words, max_size=3).map(tuple),
    age=st.none() | st.floats(0, 120),
    sex=st.none() | st.sampled_from(get_args(Sex)),
    duration_s=st.floats(0, 1e6),
    rate_hz=st.floats(1, 1e4),
    part=st.sampled_from(["development", "test"]),
    samples=counts,
    segments=counts,
    class_counts=st.tuples(counts, counts),
    missing=st.tuples(counts),
    rejected=st.dictionaries(words, st.integers(0, 2**40), max_size=3),
    padded=counts,
    clipped_samples=st.integers(0, 2**40),
    bridged_samples=st.integers(0, 2**40),
    flat_leads=st.lists(words, max_size=3).map(tuple),
    signal_sha256=st.binary(min_size=32, max_size=32).map(bytes.hex),
)


def build_table(
    records: list[RecordEntry],
    classes: tuple[str, ...] = CLASSES,
    features: tuple[str, ...] = FEATURES,
) -> RecordTable:
    """Return a table with the records in the order given."""
    builder = RecordTableBuilder(classes, features)
    for record in records:
        builder.add(record.part, record)
    rows = np.arange(len(records))
    return builder.build(rows, np.zeros(len(records), dtype=np.int32))


def table_of(**options: int) -> RecordTable:
    return build_table([record.entry for record in make_records(**options)])


@settings(max_examples=60, deadline=None)
@given(records=st.lists(entries, max_size=6))
def test_records_read_back_equal_those_written(
    records: list[RecordEntry], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("table") / "records.arrow"
    write_record_table(path, build_table(records, ("a", "b"), ("age",)))
    table = open_record_table(path)
    assert list(table) == records
    assert [table.entry(row) for row in range(len(table))] == records
    assert [table.id_of(row) for row in range(len(table))] == [record.id for record in records]
    assert table.classes == ("a", "b")
    assert table.features == ("age",)


def test_a_table_of_thousands_of_records_is_put_in_the_order_asked_for(tmp_path: Path) -> None:
    entry = make_record(1).entry
    number = 9000
    builder = RecordTableBuilder(CLASSES, FEATURES)
    for index in range(number):
        builder.add("test", replace(entry, id=f"r{index}", patient_id=f"p{index // 2}"))
    order = np.arange(number)[::-1].copy()
    write_record_table(
        tmp_path / "t.arrow", builder.build(order, np.arange(number, dtype=np.int32))
    )
    table = open_record_table(tmp_path / "t.arrow")
    assert table.ids.tolist() == [f"r{index}" for index in reversed(range(number))]
    assert table.patient_names[table.patients].tolist() == [
        f"p{index // 2}" for index in reversed(range(number))
    ]
    assert table.patient_count == number // 2
    assert table.is_test.all()


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_record_table(tmp_path / name, table_of(development=40, test=9))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_columns_are_numbers_with_unknown_marked() -> None:
    table = table_of(development=5, test=1)
    assert np.isnan(table.numbers("age")).tolist() == [True, False, False, False, True, False]
    assert table.numbers("sex").tolist() == [-1, 0, 1, -1, 0, 1]
    assert table.is_test.tolist() == [False] * 5 + [True]
    assert table.first_segment.tolist() == [0, 3, 6, 9, 12, 15, 18]


def test_splits_become_columns_and_pass_over_records_that_failed() -> None:
    split = Split(train=("r0", "r2"), validation=("failed", "r1"), test=("r3",))
    table = table_of(development=3, test=1).with_splits({"fixed": split})
    assert table.splits == ("fixed",)
    assert table.side("fixed").tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Split(train=("r0",), validation=("r1",), test=("r3",)), "every record once"),
        (Split(train=("r0", "r1"), validation=("r1", "r2"), test=("r3",)), "every record once"),
        (Split(train=("r0",), validation=("r1",), test=("r2", "r3")), "tests on other records"),
    ],
)
def test_a_split_over_other_records_is_a_mistake(split: Split, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        table_of(development=3, test=1).with_splits({"fixed": split})


def test_counts_are_those_of_the_single_records() -> None:
    records = [record.entry for record in make_records(development=5, test=2)]
    split = Split(train=("r0", "r1", "r2"), validation=("r3", "r4"), test=("r5", "r6"))
    table = build_table(records).with_splits({"fixed": split})
    assert count_classes(table)["validation"] == {
        name: sum(record.class_counts[i] for record in records[3:5])
        for i, name in enumerate(CLASSES)
    }
    totals = sum_totals(table)
    assert totals.rejected == {
        "invalid samples": sum(sum(record.rejected.values()) for record in records)
    }
    assert totals.flat_leads == {"II": 1}
    assert totals.segments == 21
    assert totals.clipped_samples == sum(record.clipped_samples for record in records)
    summary = summarise_split(table, "fixed", UNUSED)
    assert summary.records == {"train": 3, "validation": 2, "test": 2}


def test_patients_are_counted_once() -> None:
    records = [record.entry for record in make_records(development=4, test=0)]
    table = build_table([replace(record, patient_id="p") for record in records[:3]] + records[3:])
    assert table.patient_count == 2
    assert count_patients(table, np.array([True, True, True, False])) == 1


def test_recordings_with_equal_signals_are_found() -> None:
    records = [record.entry for record in make_records(development=5, test=1)]
    copy = records[1].signal_sha256
    records[3] = replace(records[3], signal_sha256=copy)
    records[5] = replace(records[5], signal_sha256=copy)
    assert find_duplicates(build_table(records)) == (("r1", "r3", "r5"),)
    assert find_duplicates(build_table(records[:3])) == ()


@pytest.mark.parametrize(
    "change",
    [
        lambda batch: batch.drop_columns(["age"]),
        lambda batch: batch.set_column(0, "id", pa.array([None] * batch.num_rows, pa.string())),
        lambda batch: batch.set_column(0, "id", pa.array(range(batch.num_rows))),
    ],
)
def test_a_table_with_other_columns_is_refused(change: object, tmp_path: Path) -> None:
    assert callable(change)
    write_record_table(tmp_path / "t.arrow", RecordTable(batch=change(table_of().batch)))
    with pytest.raises(DataError, match=r"t\.arrow cannot be read as a table of records"):
        open_record_table(tmp_path / "t.arrow")


@pytest.mark.parametrize("content", [b"", b"ARROW1\0\0", b"\0" * 4000, b"records" * 1000])
def test_a_file_of_something_else_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "t.arrow").write_bytes(content)
    with pytest.raises(DataError, match="cannot be read as a table of records"):
        open_record_table(tmp_path / "t.arrow")
