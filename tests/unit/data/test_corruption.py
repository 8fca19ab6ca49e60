"""Whatever is wrong with a dataset's files is found, named and refused."""

from __future__ import annotations

import json
import os
import pwd
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from ecgmodels.data import check_dataset, open_dataset
from ecgmodels.data.storage import verification
from ecgmodels.data.storage.record_table import open_record_table
from ecgmodels.errors import DataError
from tests.unit.data.spoiling import (
    DEVELOPMENT,
    LOOKS,
    RECORDS,
    TEST,
    change_manifest,
    flip_a_byte,
    rewrite,
    with_column,
)


@pytest.mark.parametrize("file", [RECORDS, DEVELOPMENT])
def test_a_flipped_byte_is_found_and_the_file_named(folder: Path, file: str) -> None:
    flip_a_byte(folder / file)
    for look in (open_dataset, check_dataset):
        with pytest.raises(DataError, match=rf"{file} is damaged: its SHA-256 is .*, expected"):
            look(folder)


@pytest.mark.parametrize("replaced", [False, True])
def test_a_flip_is_found_in_a_verified_file_that_kept_its_size_and_time(
    folder: Path, replaced: bool
) -> None:
    open_dataset(folder)
    path = folder / DEVELOPMENT
    status = path.stat()
    if replaced:  # as rsync does
        path.rename(path.with_suffix(".old"))
        path.write_bytes(path.with_suffix(".old").read_bytes())
    flip_a_byte(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    with pytest.raises(DataError, match=f"{DEVELOPMENT} is damaged"):
        open_dataset(folder)


def test_without_a_home_datasets_are_verified_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def unknown(_: int) -> pwd.struct_passwd:
        raise KeyError

    monkeypatch.delenv("ECGSEARCH_CACHE")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    verification.temporary_folder.cache_clear()
    with pytest.raises(RuntimeError):
        Path.home()
    open_dataset(folder)
    assert verification.cache_folder() == tmp_path / f"ecgsearch-{os.getuid()}"
    assert verification.cache_folder().stat().st_mode & 0o777 == 0o700
    flip_a_byte(folder / DEVELOPMENT)
    with pytest.raises(DataError, match=f"{DEVELOPMENT} is damaged"):
        open_dataset(folder)
    verification.cache_folder().chmod(0o777)  # where others may write, nothing is believed
    verification.temporary_folder.cache_clear()
    assert verification.cache_folder() != tmp_path / f"ecgsearch-{os.getuid()}"
    verification.temporary_folder.cache_clear()


def test_a_flipped_byte_anywhere_in_any_file_is_found(folder: Path) -> None:
    random = np.random.default_rng(0)
    for file in (RECORDS, DEVELOPMENT, TEST):
        intact = (folder / file).read_bytes()
        for position in random.integers(0, len(intact), 20).tolist():
            spoilt = bytearray(intact)
            spoilt[position] ^= 1 << int(random.integers(8))
            (folder / file).write_bytes(spoilt)
            with pytest.raises(DataError, match=f"{file} is damaged"):
                check_dataset(folder)
        (folder / file).write_bytes(intact)
    check_dataset(folder)


def test_a_damaged_test_shard_is_found_when_the_test_part_is_read(folder: Path) -> None:
    flip_a_byte(folder / TEST)
    dataset = open_dataset(folder)
    dataset.development()
    for look in (dataset.test, dataset.verify_test, lambda: check_dataset(folder)):
        with pytest.raises(DataError, match=f"{TEST} is damaged"):
            look()


def test_reading_the_development_part_never_opens_a_test_shard(folder: Path) -> None:
    (folder / TEST).write_bytes(b"\0" * (folder / TEST).stat().st_size)
    train, validation = open_dataset(folder).development()
    assert len(train) == len(validation) == 6


@pytest.mark.parametrize("file", [RECORDS, DEVELOPMENT, TEST])
def test_a_missing_file_is_named(folder: Path, file: str) -> None:
    (folder / file).unlink()
    for look in LOOKS:
        with pytest.raises(DataError, match=f"{file} is missing"):
            look(folder)


@pytest.mark.parametrize("file", [RECORDS, DEVELOPMENT, TEST])
def test_a_truncated_file_is_named_with_both_sizes(folder: Path, file: str) -> None:
    size = (folder / file).stat().st_size
    os.truncate(folder / file, size - 8)
    for look in LOOKS:
        with pytest.raises(DataError, match=f"{file} has {size - 8:,} bytes, expected {size:,}"):
            look(folder)


def test_taken_on_trust_a_shards_content_is_not_read(folder: Path) -> None:
    intact = open_dataset(folder, verify=False)
    flip_a_byte(folder / DEVELOPMENT)
    assert open_dataset(folder, verify=False).hash == intact.hash


def test_a_shard_of_garbage_is_refused_also_when_taken_on_trust(folder: Path) -> None:
    (folder / DEVELOPMENT).write_bytes(b"\0" * (folder / DEVELOPMENT).stat().st_size)
    dataset = open_dataset(folder, verify=False)
    with pytest.raises(DataError, match=f"{DEVELOPMENT} cannot be read as a shard"):
        dataset.development()


def test_a_newer_manifest_is_refused_with_the_advice_to_update(folder: Path) -> None:
    change_manifest(folder, lambda values: values.update(format_version=3, novelty=1))
    for look in LOOKS:
        with pytest.raises(
            DataError, match=r"dataset\.json has format version 3, this program reads version 2"
        ) as caught:
            look(folder)
        assert "update ecgsearch" in caught.value.hint


def test_an_older_manifest_is_refused_with_the_advice_to_prepare_again(folder: Path) -> None:
    change_manifest(folder, lambda values: values.update(format_version=1))
    with pytest.raises(DataError, match="has format version 1, this program reads") as caught:
        open_dataset(folder)
    assert "prepare the dataset again" in caught.value.hint


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values.update(rate_hz=values["rate_hz"] + 1),
        lambda values: values.update(leads=values["leads"][::-1]),
        lambda values: values.update(uv_per_unit=2.0),
        lambda values: values.update(title="Another"),
        lambda values: values.pop("hash"),
    ],
)
def test_a_manifest_that_was_changed_by_hand_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    path = folder / "dataset.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(DataError, match=r"dataset\.json was changed after it was written"):
        open_dataset(folder)


def test_a_flipped_bit_anywhere_in_the_manifest_is_found(folder: Path) -> None:
    path = folder / "dataset.json"
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        if json_or_none(path) == json.loads(whole):
            continue  # white space, or another spelling of the same number
        with pytest.raises(DataError, match=r"dataset\.json"):
            open_dataset(folder)


def json_or_none(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "[]", "{}", "7", "{", "\0", '{"format_version": "2"}']
)
def test_a_manifest_of_something_else_is_named(folder: Path, text: str) -> None:
    (folder / "dataset.json").write_text(text)
    with pytest.raises(DataError, match=r"dataset\.json"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(extra=1), "extra: Unexpected keyword argument"),
        (lambda v: v["options"].update(extra=1), r"options\.extra: Unexpected keyword argument"),
        (lambda v: v.pop("rate_hz"), "rate_hz: Field required"),
        (lambda v: v.update(samples="128"), "samples: Input should be a valid integer"),
        (lambda v: v["shards"][0].update(rows=1.5), r"shards\.0\.rows"),
        (lambda v: v["shards"][0].update(file="../../x"), r"names the file '\.\./\.\./x'"),
        (lambda v: v["records"].update(file="/etc/passwd"), "names the file '/etc/passwd'"),
        (lambda v: v["records"].update(rows=5), "they count different records"),
        (lambda v: v.update(record_count=5), "they count different records"),
        (lambda v: v.update(patient_count=5), "patient_count is not the number"),
        (lambda v: v.update(classes=["N", "V", "S"]), "name different classes"),
        (lambda v: v["splits"].pop("fold-0"), "name different classes, features or splits"),
        (lambda v: v["shards"][0].update(rows=1), "rows are not its records' segments"),
        (lambda v: v["shards"][0].update(records=3), "rows are not its records' segments"),
        (lambda v: v["shards"].pop(), "rows are not its records' segments"),
        (lambda v: v["shards"].reverse(), "development and test are not in order"),
        (lambda v: v.update(samples=65), "rows are not its records' segments"),
        (lambda v: v["splits"]["fixed"]["records"].update(train=3), "are miscounted"),
        (lambda v: v["splits"]["fold-0"]["patients"].update(test=1), "are miscounted"),
        (lambda v: v["class_counts"]["test"].update(S=1), "class_counts are not its records'"),
        (lambda v: v["totals"].update(padded=7), "totals are not its records'"),
        (lambda v: v.update(duplicates=[["r0", "r1"]]), "duplicates are not its records'"),
    ],
)
def test_a_manifest_that_is_not_whole_or_contradicts_the_table_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    change_manifest(folder, change)
    for look in LOOKS:
        with pytest.raises(DataError, match=rf"dataset\.json.*{message}"):
            look(folder)


def test_a_contradiction_is_found_although_the_files_were_verified_before(folder: Path) -> None:
    open_dataset(folder)
    change_manifest(folder, lambda values: values["totals"].update(padded=7))
    with pytest.raises(DataError, match="totals are not its records'"):
        open_dataset(folder)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("id", ["r0", "r1", "r2", "r2", "r4", "r5"], "a record is listed twice"),
        ("split:fixed", [1, 0, 1, 2, 2, 2], "not over the development records"),
        ("split:fixed", [1, 0, 1, 3, 2, 2], "not over the development records"),
        ("samples", [64, 64, 64, 32, 64, 64], "rows are not its records' segments"),
        ("segments", [3, 3, 3, 4, 2, 3], "rows are not its records' segments"),
        ("shard", [0, 0, 0, 1, 1, 1], "rows are not its records' segments"),
    ],
)
def test_a_table_that_contradicts_the_manifest_is_refused(
    folder: Path, name: str, values: list[Any], message: str
) -> None:
    batch = open_record_table(folder / RECORDS).batch
    column = pa.array(values, batch.schema.field(name).type)
    rewrite(folder, RECORDS, with_column(batch, name, column))
    for look in LOOKS:
        with pytest.raises(DataError, match=message):
            look(folder)


def test_a_patient_listed_twice_in_the_table_is_found(folder: Path) -> None:
    batch = open_record_table(folder / RECORDS).batch
    names = ["p0", "p1", "p2", "p3", "p0", "p5"]
    column = pa.DictionaryArray.from_arrays(pa.array(range(6), pa.int32()), pa.array(names))
    rewrite(folder, RECORDS, with_column(batch, "patient", column))
    with pytest.raises(DataError, match="patient_count is not the number of its patients"):
        open_dataset(folder)
