"""A user's own folder: the table is read cell by cell, and mistakes in it are named."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ecgmodels.data.databases import Recordings, open_recordings
from ecgmodels.data.databases.wfdb_folder import WFDBFolderSettings
from ecgmodels.errors import DataError
from tests.wfdb_folder import HEADER, LINES, write_record, write_wfdb_folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_wfdb_folder(tmp_path_factory.mktemp("own"))


def opened(folder: Path, task: str = "records", **settings: object) -> Recordings:
    return open_recordings("wfdb-folder", folder, task, WFDBFolderSettings(**settings))


def with_table(folder: Path, text: str, name: str = "records.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_the_table_says_who_and_what_a_recording_is(folder: Path) -> None:
    recordings = opened(folder)
    assert recordings.record_ids == tuple(line.split(",")[0] for line in LINES)
    assert recordings.task.classes == ("AF", "normal")
    assert not recordings.task.multi_label
    assert recordings.patients_known
    assert recordings.patient_of("ward1/a01") == recordings.patient_of("ward1/a02") == "P1"
    record = recordings.read("ward2/b01")
    assert (record.labels, record.age, record.sex) == (("AF",), 55.0, "male")
    assert recordings.read("ward1/a03").age is None
    assert recordings.read("ward2/b02").sex is None


def test_leads_are_those_of_the_first_record_in_whatever_order_others_store_them(
    folder: Path,
) -> None:
    recordings = opened(folder)
    assert recordings.leads == ("V1", "II")
    for record_id in recordings.record_ids:
        peaks = recordings.read(record_id).signal_mv.max(axis=1)
        assert peaks[1] > 1.5 * peaks[0]


def test_only_leads_that_every_record_has_are_kept(tmp_path: Path) -> None:
    write_wfdb_folder(tmp_path)
    write_record(tmp_path, "ward2/b03", seed=0, leads=("ii", "V6"))
    assert opened(tmp_path).leads == ("II",)


def test_records_without_a_common_lead_are_named(tmp_path: Path) -> None:
    write_wfdb_folder(tmp_path)
    write_record(tmp_path, "ward2/b03", seed=0, leads=("V5", "V6"))
    with pytest.raises(DataError, match=r"ward2/b03 has the leads V5, V6"):
        _ = opened(tmp_path).leads


def test_further_columns_become_features(folder: Path) -> None:
    recordings = opened(folder)
    assert recordings.extra_features == ("site=A", "site=B", "height_cm")
    assert dict(recordings.read("ward2/b01").extra) == {
        "site=A": 0.0,
        "site=B": 1.0,
        "height_cm": 181.5,
    }
    assert math.isnan(recordings.read("ward1/a03").extra["height_cm"])
    assert math.isnan(recordings.read("ward2/b03").extra["site=A"])


def test_ignored_columns_do_not_become_features(folder: Path) -> None:
    assert opened(folder, ignore=("site",)).extra_features == ("height_cm",)


def test_several_labels_stand_between_semicolons(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_record(tmp_path, name, seed=1)
    with_table(tmp_path, "record,labels\na,AF; LBBB\nb,\nc,AF;;AF\n")
    recordings = opened(tmp_path)
    assert recordings.task.multi_label
    assert recordings.task.classes == ("AF", "LBBB")
    assert recordings.read("a").labels == ("AF", "LBBB")
    assert recordings.read("c").labels == ("AF",)
    assert recordings.excluded == {"b": "no label in records.csv"}


def test_without_patients_each_recording_counts_as_one(tmp_path: Path) -> None:
    write_record(tmp_path, "a", seed=1)
    recordings = opened(with_table(tmp_path, "record,label\na,AF\n"))
    assert not recordings.patients_known
    assert recordings.patient_of("a") == "a"


def test_recordings_that_the_table_does_not_list_are_left_out_by_name(tmp_path: Path) -> None:
    write_wfdb_folder(tmp_path)
    write_record(tmp_path, "ward9/extra", seed=0)
    assert opened(tmp_path).excluded == {"ward9/extra": "not listed in records.csv"}


def test_a_column_split_is_the_official_split(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        write_record(tmp_path, name, seed=1)
    with_table(tmp_path, "record,label,split\na,x,test\nb,y,train\nc,x,validation\n")
    recordings = opened(tmp_path)
    assert recordings.official_splits == ("table",)
    split = recordings.official_split("table")
    assert (split.train, split.validation, split.test) == (("b",), ("c",), ("a",))


def test_beats_come_from_annotation_files(folder: Path) -> None:
    recordings = opened(folder, "beats")
    assert recordings.task.classes == ("N", "S", "V", "F", "Q")
    record = recordings.read("ward1/a01")
    assert record.labels is None
    assert record.beats is not None
    assert recordings.class_counts("ward1/a01") == {"N": 8, "S": 2, "V": 2}


def test_unlabelled_recordings_need_no_label_column(tmp_path: Path) -> None:
    write_record(tmp_path, "a", seed=1)
    recordings = opened(with_table(tmp_path, "record,age\na,50\n"), "unlabelled")
    assert recordings.task.classes == ()
    assert recordings.read("a").labels is None


def test_a_parquet_table_is_read_like_csv(folder: Path, tmp_path: Path) -> None:
    for name in ("7", "8"):
        write_record(tmp_path, name, seed=1)
    table = pd.DataFrame(
        {"record": [7, 8], "label": ["x", "y"], "age": [50.0, np.nan], "smoker": [True, False]}
    )
    table.to_parquet(tmp_path / "t.parquet")
    recordings = opened(tmp_path)
    assert recordings.record_ids == ("7", "8")
    assert recordings.read("8").age is None
    assert dict(recordings.read("7").extra) == {"smoker": 1.0}


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    write_record(tmp_path, "a", seed=1)
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfrecord,label\r\na,AF\r\n")
    assert opened(tmp_path).read("a").labels == ("AF",)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,label\na,x\n", "has no column 'record'"),
        ("record\na\n", "has neither 'label' nor 'labels'"),
        ("record,label,labels\na,x,y\n", "has both 'label' and 'labels'"),
        ("record,label,label\na,x,y\n", "has two columns 'label'"),
        ("record,label\n", "has no rows"),
        ("record,label\na,x\na,y\n", "lists record a twice"),
        ("record,label\n,x\n", "row 1: 'record' is empty"),
        ("record,label\n../a,x\n", r"'\.\./a' is not a path below"),
        ("record,label,patient\na,x,\n", "record a: the column 'patient' is empty"),
        ("record,label,age\na,x,old\n", "record a: age is 'old'"),
        ("record,label,age\na,x,300\n", "record a: age is '300'"),
        ("record,label,sex\na,x,1\n", "record a: sex is '1'"),
        ("record,label,split\na,x,dev\n", "record a: split is 'dev'"),
        ("record,label,rr_ratio\na,x,1\n", "column 'rr_ratio' has the name of a feature"),
    ],
)
def test_a_mistake_in_the_table_is_named(tmp_path: Path, table: str, message: str) -> None:
    write_record(tmp_path, "a", seed=1)
    with pytest.raises(DataError, match=message) as raised:
        opened(with_table(tmp_path, table)).record_ids  # noqa: B018
    assert "records.csv" in str(raised.value)


def test_a_number_that_is_none_is_shown(tmp_path: Path) -> None:
    rows = "".join(f"r{number},x,{number}\n" for number in range(30))
    with_table(tmp_path, f"record,label,height\n{rows}z,x,tall\n")
    with pytest.raises(DataError, match="'height' holds numbers, and also 'tall'"):
        opened(tmp_path).record_ids  # noqa: B018


def test_free_text_is_not_taken_for_a_category(tmp_path: Path) -> None:
    rows = "".join(f"r{number},x,note {number}\n" for number in range(30))
    with_table(tmp_path, f"record,label,report\n{rows}")
    with pytest.raises(DataError, match="'report' has 30 different words") as raised:
        opened(tmp_path).record_ids  # noqa: B018
    assert "--ignore report" in raised.value.hint


def test_which_table_is_meant_must_be_clear(tmp_path: Path) -> None:
    write_wfdb_folder(tmp_path)
    (tmp_path / "second.csv").write_text("record,label\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"found records\.csv, second\.csv"):
        opened(tmp_path).record_ids  # noqa: B018
    assert len(opened(tmp_path, table="records.csv").record_ids) == len(LINES)


def test_a_folder_without_the_listed_records_is_refused(tmp_path: Path) -> None:
    with_table(tmp_path, HEADER + "\n" + LINES[0] + "\n")
    with pytest.raises(DataError, match=r"holds none of the records.*ward1/a01\.hea"):
        _ = opened(tmp_path).leads
