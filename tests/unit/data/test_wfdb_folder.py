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


def test_a_record_without_a_lead_that_most_have_cannot_be_read_and_is_named(
    tmp_path: Path,
) -> None:
    write_wfdb_folder(tmp_path)
    write_record(tmp_path, "ward1/a01", seed=0, leads=("II", "V6"))  # the first one
    recordings = opened(tmp_path)
    assert recordings.leads == ("II", "V1")
    with pytest.raises(DataError, match=r"record ward1/a01 has no lead V1; its leads are II, V6"):
        recordings.read("ward1/a01")
    assert recordings.read("ward1/a02").leads == ("II", "V1")


def test_a_record_with_a_lead_twice_is_named(tmp_path: Path) -> None:
    write_wfdb_folder(tmp_path)
    write_record(tmp_path, "ward2/b03", seed=0, leads=("II", "V1", "V6"))
    header = tmp_path / "ward2" / "b03.hea"
    header.write_text(header.read_text().replace("V6", "v1"))
    with pytest.raises(DataError, match="record ward2/b03 has the lead V1 2 times"):
        opened(tmp_path).read("ward2/b03")


def test_common_leads_are_those_that_every_record_has(tmp_path: Path) -> None:
    write_wfdb_folder(tmp_path)
    write_record(tmp_path, "ward2/b03", seed=0, leads=("ii", "V6"))
    recordings = opened(tmp_path, common_leads=True)
    assert recordings.leads == ("II",)
    assert recordings.read("ward2/b03").signal_mv.shape[0] == 1


def test_records_without_any_lead_in_common_are_refused(tmp_path: Path) -> None:
    write_wfdb_folder(tmp_path)
    write_record(tmp_path, "ward2/b03", seed=0, leads=("V5", "V6"))
    with pytest.raises(DataError, match=r"the 8 recordings in .* have no lead in common"):
        _ = opened(tmp_path, common_leads=True).leads


def test_a_header_that_cannot_be_read_fails_its_record_alone(tmp_path: Path) -> None:
    write_wfdb_folder(tmp_path)
    (tmp_path / "ward1" / "a02.hea").write_text("nonsense", encoding="utf-8")
    recordings = opened(tmp_path)
    assert recordings.leads == ("V1", "II")
    with pytest.raises(DataError, match=r"a02\.hea"):
        recordings.read("ward1/a02")


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
    recordings = opened(with_table(tmp_path, "record,label\na,AF\nb,no\n"))
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
    (tmp_path / "t.csv").write_bytes(b"\xef\xbb\xbfrecord,label\r\na,AF\r\nb,no\r\n")
    assert opened(tmp_path).read("a").labels == ("AF",)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,label\na,x\n", "has no column 'record'"),
        ("record\na\n", "has neither 'label' nor 'labels'"),
        ("record,label,labels\na,x,y\nb,y,x\n", "has both 'label' and 'labels'"),
        ("record,label,label\na,x,y\n", "has two columns 'label'"),
        ("record,label\n", "has no rows"),
        ("record,label\na,x\n./a,y\n", "lists record a twice"),
        ("", "is empty"),
        ("record;label\na;x\n", "is separated by semicolons, expected commas"),
        ("record\tlabel\na\tx\n", "is separated by tabs"),
        (",record,label\n0,a,x\n", "column 1 of 3 has no name"),
        ("record,label,\na,x,\n", "column 3 of 3 has no name"),
        ("record,label\na,x,y\n", "line 2: 3 cells, expected 2"),
        ('record,label\na,"x\n', "line 2: not CSV"),
        ("record,label\na,x\nb,x\n", "the column 'label' holds x, expected at least two"),
        ("record,labels\na,;\n", "the column 'labels' holds nothing"),
        ('record,labels\na,"x,y"\n', "record a: the label 'x,y' holds one of"),
        ("record,label,Age\na,x,5\nb,y,6\n", "has a column 'Age', did you mean 'age'"),
        ("record,label,patient_id\na,x,5\nb,y,6\n", "did you mean 'patient'"),
        ("record,label,Gender\na,x,F\nb,y,M\n", "did you mean 'sex'"),
        ("Record,label\na,x\n", "did you mean 'record'"),
        ("record,label,height\na,x,1e300\nb,y,1\n", "column 'height' holds 1e.300"),
        ("record,label,h\na,x,1\nb,y,2\nc,y,n/a\n", "'h' holds numbers, and also 'n/a'"),
        ("record,label\n,x\n", "row 1: 'record' is empty"),
        ("record,label\n../a,x\n", r"'\.\./a' is not a path below"),
        ("record,label,patient\na,x,\n", "record a: the column 'patient' is empty"),
        ("record,label,age\na,x,old\n", "record a: age is 'old'"),
        ("record,label,age\na,x,300\n", "record a: age is '300'"),
        ("record,label,sex\na,x,1\n", "record a: sex is '1'"),
        ("record,label,split\na,x,dev\nb,y,train\n", "record a: split is 'dev'"),
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


def test_a_byte_that_is_not_utf8_is_shown_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("record,label\na,gut\nb,müde\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"t\.csv, line 3: byte 0xfc is not UTF-8"):
        opened(tmp_path).record_ids  # noqa: B018


def test_columns_of_its_own_cannot_be_ignored(tmp_path: Path) -> None:
    with_table(tmp_path, "record,label,age\na,x,1\n")
    with pytest.raises(DataError, match="ignore names 'age', which is not a feature's column"):
        opened(tmp_path, ignore=("age",)).record_ids  # noqa: B018


def test_a_split_without_one_of_its_parts_names_table_and_part(tmp_path: Path) -> None:
    with_table(tmp_path, "record,label,split\na,x,train\nb,y,test\n")
    with pytest.raises(DataError, match=r"records\.csv: no recording .* the split 'validation'"):
        opened(tmp_path).official_split("table")


def test_parquet_keeps_nullable_numbers_lists_and_whole_labels(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "record": ["a", "b", "c"],
            "labels": [["AF", "LBBB"], [], None],
            "height": pd.array([170, None, 180], dtype="Int64"),
        }
    )
    table.to_parquet(tmp_path / "t.parquet")
    for name in "abc":
        write_record(tmp_path, name, seed=1)
    recordings = opened(tmp_path)
    assert recordings.record_ids == ("a", "b")
    assert recordings.read("a").labels == ("AF", "LBBB")
    assert recordings.read("b").labels == ()
    assert math.isnan(recordings.read("b").extra["height"])
    pd.DataFrame({"record": ["a", "b"], "label": [0.0, 1.0]}).to_parquet(tmp_path / "t.parquet")
    assert opened(tmp_path).task.classes == ("0", "1")


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
    with_table(tmp_path, "\n".join((HEADER, *LINES)) + "\n")
    with pytest.raises(DataError, match=r"holds none of the records.*ward1/a01\.hea"):
        _ = opened(tmp_path).leads
