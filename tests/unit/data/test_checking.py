"""What only `check_dataset` can find: files that agree with their checksums and are wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ecgmodels.data import check_dataset, open_dataset
from ecgmodels.errors import DataError
from tests.unit.data.made_datasets import (
    make_record,
    make_records,
    write_dataset,
)
from tests.unit.data.spoiling import (
    DEVELOPMENT,
    RECORDS,
    TEST,
    change_manifest,
    read_batch,
    rewrite,
    with_column,
)


def test_statistics_changed_without_contradiction_are_caught_by_the_check(folder: Path) -> None:
    def change(values: dict[str, Any]) -> None:
        values["splits"]["fold-0"]["normalisation"]["signal_std_uv"][0] *= 2

    change_manifest(folder, change)
    open_dataset(folder)
    with pytest.raises(DataError, match="disagrees with the shards: the normalisation of split"):
        check_dataset(folder)


def spoil_label(batch: pa.RecordBatch) -> pa.RecordBatch:
    label = batch.column("label").to_numpy().copy()
    label[0] = (label[0] + 1) % 3
    return with_column(batch, "label", pa.array(label))


def spoil_label_range(batch: pa.RecordBatch) -> pa.RecordBatch:
    return with_column(batch, "label", pa.array(np.full(batch.num_rows, 3)))


def spoil_feature(batch: pa.RecordBatch) -> pa.RecordBatch:
    return with_column(batch, "age", pa.nulls(batch.num_rows, pa.float32()))


def spoil_record(batch: pa.RecordBatch) -> pa.RecordBatch:
    record = np.sort(batch.column("record").to_numpy() ^ 1)
    return with_column(batch, "record", pa.array(record))


def spoil_valid(batch: pa.RecordBatch) -> pa.RecordBatch:
    return with_column(batch, "valid_samples", pa.array([65] * batch.num_rows, pa.int32()))


def spoil_padding(batch: pa.RecordBatch) -> pa.RecordBatch:
    return with_column(batch, "valid_samples", pa.array([9] * batch.num_rows, pa.int32()))


@pytest.mark.parametrize(
    ("file", "spoil", "message"),
    [
        (DEVELOPMENT, spoil_label, r"record r0, column 'class:N'"),
        (TEST, spoil_label, r"record r4, column 'class:"),
        (TEST, spoil_label_range, "column 'label' in row 0"),
        (DEVELOPMENT, spoil_feature, r"record r\d, column 'missing:age'"),
        (TEST, lambda batch: batch.slice(1).slice(0, 5), "should be one batch of 6 rows, found 5"),
        (TEST, lambda batch: batch.drop_columns(["age"]), "of 6 rows, found other columns"),
        (TEST, spoil_valid, "column 'valid_samples' in row 0"),
        (TEST, spoil_padding, "row 0 is not 0 beyond its valid samples"),
    ],
)
def test_a_shard_that_says_something_else_than_the_table_is_caught_by_the_check(
    folder: Path, file: str, spoil: Callable[[pa.RecordBatch], pa.RecordBatch], message: str
) -> None:
    rewrite(folder, file, spoil(read_batch(folder / file)))
    open_dataset(folder)
    with pytest.raises(DataError, match=rf"{file}.*{message}"):
        check_dataset(folder)


def test_rows_attributed_to_another_record_are_caught_by_the_check(folder: Path) -> None:
    batch = read_batch(folder / TEST)
    record = batch.column("record").to_numpy()[::-1].copy()
    rewrite(folder, TEST, with_column(batch, "record", pa.array(record)))
    with pytest.raises(DataError, match=f"{TEST} disagrees with {RECORDS}: column 'record'"):
        check_dataset(folder)


def test_labels_of_several_classes_are_checked_too(tmp_path: Path) -> None:
    write_dataset(tmp_path, make_records(multi_label=True), multi_label=True)
    check_dataset(tmp_path)
    batch = read_batch(tmp_path / TEST)
    values = batch.column("label").flatten().to_numpy().copy()
    values[4] ^= 1
    column = pa.FixedSizeListArray.from_arrays(pa.array(values), type=batch.column("label").type)
    rewrite(tmp_path, TEST, with_column(batch, "label", column))
    with pytest.raises(DataError, match="record r4, column 'class:S'"):
        check_dataset(tmp_path)


def test_the_check_counts_what_it_went_through(tmp_path: Path) -> None:
    records = [make_record(n, part="test" if n > 6 else "development") for n in range(9)]
    write_dataset(tmp_path, records, largest_bytes=2000)
    check = check_dataset(tmp_path)
    assert (check.records, check.patients, check.segments) == (9, 9, 27)
    assert check.shards == len(list(tmp_path.rglob("shards/*.arrow"))) > 3
    assert str(check).startswith(f"{tmp_path} is sound: 27 segments of 9 records")
