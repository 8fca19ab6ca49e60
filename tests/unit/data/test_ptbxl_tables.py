"""What PTB-XL's tables say, on made-up folders of its form."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ecgmodels.data.databases.ptbxl import PTBXL, PTBXLSettings
from ecgmodels.errors import DataError
from tests.unit.data.ptbxl_folder import Folder, write_recording


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.mark.parametrize(
    ("cell", "age", "censored"),
    [("300.0", 90.0, 1.0), ("89.0", 89.0, 0.0), ("95.0", 95.0, 0.0), ("", None, math.nan)],
)
def test_age_300_means_over_89(
    folder: Folder, cell: str, age: float | None, censored: float
) -> None:
    record = folder.add(age=cell).open().read("1")
    assert record.age == age
    np.testing.assert_equal(record.extra["age_censored"], censored)


@pytest.mark.parametrize(("cell", "sex"), [("0", "male"), ("1", "female"), ("", None)])
def test_sex_0_is_male_and_1_female(folder: Folder, cell: str, sex: str | None) -> None:
    assert folder.add(sex=cell).open().read("1").sex == sex


@pytest.mark.parametrize(
    ("min_likelihood", "labels"),
    [(0.0, {"NORM", "MI"}), (15.0, {"NORM"}), (50.0, {"NORM"}), (100.0, set())],
)
def test_a_diagnosis_counts_from_the_least_likelihood_on(
    folder: Folder, min_likelihood: float, labels: set[str]
) -> None:
    folder.add(scp_codes="{'NORM': 80.0, 'IMI': 0.0, 'SR': 0.0}")
    opened = folder.open(min_likelihood=min_likelihood)
    assert set(opened.class_counts("1")) == labels
    reason = "no diagnostic statement of likelihood 100 or more"
    assert opened.excluded == ({} if labels else {"1": reason})


def test_rhythm_and_form_count_whatever_the_likelihood_of_diagnoses(folder: Folder) -> None:
    """Their likelihood of 0 means unknown."""
    folder.add(scp_codes="{'NORM': 35.0, 'ABQRS': 0.0, 'SR': 0.0}")
    opened = folder.open("all", min_likelihood=50.0)
    assert set(opened.class_counts("1")) == {"ABQRS", "SR"}
    for task in ("rhythm", "form"):
        with pytest.raises(DataError, match=f"min_likelihood is 50 for the task {task}"):
            folder.open(task, min_likelihood=50.0)


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        ("superclass", "no diagnostic statement"),
        ("subclass", "no diagnostic statement"),
        ("diagnostic", "no diagnostic statement"),
        ("form", "no form statement"),
        ("rhythm", "no rhythm statement"),
        ("all", "no statement"),
    ],
)
def test_recordings_without_a_label_of_the_task_are_left_out(
    folder: Folder, task: str, reason: str
) -> None:
    folder.add(scp_codes="{'NDT': 100.0, 'SR': 0.0}").add(scp_codes="{}")
    opened = folder.open(task)
    assert opened.record_ids == ("1",)
    assert opened.excluded == {"2": reason}


def test_a_recording_without_a_file_at_the_rate_is_left_out(folder: Folder) -> None:
    folder.add().add()
    write_recording(folder.path / "records500/00000/00002_hr", 500)
    opened = folder.open(source_rate_hz=500)
    assert opened.record_ids == ("2",)
    assert opened.excluded == {"1": "no file at 500 Hz"}
    assert opened.read("2").rate_hz == 500


def test_a_byte_order_mark_and_crlf_make_no_difference(folder: Folder) -> None:
    opened = folder.add(age="300").add().open()
    table = folder.path / "ptbxl_database.csv"
    table.write_bytes(b"\xef\xbb\xbf" + table.read_bytes().replace(b"\n", b"\r\n"))
    assert opened.record_ids == ("1", "2")
    assert opened.read("1").age == 90
    assert opened.official_split("strat-fold").train == ("1", "2")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"source_rate_hz": 250}, "source_rate_hz is 250, expected 100 or 500"),
        ({"min_likelihood": -1}, "min_likelihood is -1, expected 0 to 100"),
        ({"min_likelihood": 101}, "min_likelihood is 101, expected 0 to 100"),
        ({"min_likelihood": math.nan}, "min_likelihood is nan, expected 0 to 100"),
        ({"min_likelihood": "half"}, "min_likelihood is half, expected 0 to 100"),
    ],
)
def test_settings_out_of_range_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        PTBXLSettings(**settings)


def test_equal_settings_are_written_alike() -> None:
    assert (
        PTBXLSettings(min_likelihood=50).to_dict() == PTBXLSettings(min_likelihood=50.0).to_dict()
    )
    assert isinstance(PTBXLSettings(min_likelihood=50).to_dict()["min_likelihood"], float)


def test_settings_go_to_a_dictionary_and_back() -> None:
    settings = PTBXLSettings(source_rate_hz=500, min_likelihood=50.0)
    assert PTBXL.settings.from_dict(settings.to_dict()) == settings
