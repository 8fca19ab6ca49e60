"""PTB-XL's own recordings against pandas' reading of its tables and WFDB's of its signals."""

from __future__ import annotations

import ast
import math
import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from ecgmodels.data.databases import open_recordings
from ecgmodels.data.databases.ptbxl import PTBXLSettings
from tests.unit.data.ptbxl_folder import LEADS

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def source() -> Path:
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not (root / "ptbxl").is_dir():
        pytest.skip(f"no PTB-XL in {root} (set ECG_DATA_ROOT)")
    return root / "ptbxl"


@pytest.fixture(scope="module")
def frame(source: Path) -> pd.DataFrame:
    frame = pd.read_csv(source / "ptbxl_database.csv", index_col="ecg_id")
    frame["codes"] = frame["scp_codes"].map(ast.literal_eval)
    return frame


@pytest.fixture(scope="module")
def statements(source: Path) -> pd.DataFrame:
    return pd.read_csv(source / "scp_statements.csv", index_col=0)


def test_ids_1_to_250_are_there_at_100_hz_and_1_to_40_at_500_hz(source: Path) -> None:
    opened = open_recordings("ptbxl", source, "all")
    assert opened.record_ids == tuple(str(number) for number in range(1, 251))
    assert opened.excluded == {}
    opened = open_recordings("ptbxl", source, "all", PTBXLSettings(source_rate_hz=500))
    assert opened.record_ids == tuple(str(number) for number in range(1, 41))
    assert len(opened.excluded) == 210
    assert set(opened.excluded.values()) == {"no file at 500 Hz"}


@pytest.mark.parametrize(
    ("task", "classes"),
    [
        ("superclass", 5),
        ("subclass", 23),
        ("diagnostic", 44),
        ("form", 19),
        ("rhythm", 12),
        ("all", 71),
    ],
)
def test_tasks_have_the_benchmarks_classes(source: Path, task: str, classes: int) -> None:
    """Strodthoff et al. 2021, table I."""
    opened = open_recordings("ptbxl", source, task)
    assert len(opened.task.classes) == classes
    assert opened.task.scored_classes == opened.task.default_classes == opened.task.classes
    assert opened.task.multi_label


def test_the_customary_task_is_the_superclasses_in_their_customary_order(source: Path) -> None:
    task = open_recordings("ptbxl", source).task
    assert task.name == "superclass"
    assert task.classes == ("NORM", "MI", "STTC", "CD", "HYP")


def test_labels_are_those_that_pandas_derives_and_others_are_left_out(
    source: Path, frame: pd.DataFrame, statements: pd.DataFrame
) -> None:
    diagnostic = statements[statements["diagnostic"] == 1]
    classes = {
        "superclass": diagnostic["diagnostic_class"].to_dict(),
        "subclass": diagnostic["diagnostic_subclass"].to_dict(),
        "diagnostic": {code: code for code in diagnostic.index},
        "form": {code: code for code in statements[statements["form"] == 1].index},
        "rhythm": {code: code for code in statements[statements["rhythm"] == 1].index},
        "all": {code: code for code in statements.index},
    }
    unlabelled = {"form": 209, "rhythm": 8, "all": 0}
    for task, class_of in classes.items():
        opened = open_recordings("ptbxl", source, task)
        found = {name: set(opened.class_counts(name)) for name in opened.record_ids}
        expected = {
            str(number): {class_of[code] for code in codes if code in class_of}
            for number, codes in frame["codes"].items()
        }
        assert found == {name: labels for name, labels in expected.items() if labels}
        assert set(opened.excluded) == {name for name, labels in expected.items() if not labels}
        assert len(opened.excluded) == unlabelled.get(task, 8)


@pytest.mark.parametrize(
    ("record_id", "task", "labels"),
    [
        ("1", "superclass", {"NORM"}),
        ("1", "all", {"NORM", "LVOLT", "SR"}),  # the last two with likelihood 0
        ("8", "superclass", {"MI"}),
        ("8", "subclass", {"IMI"}),
        ("8", "form", {"ABQRS"}),
        ("39", "diagnostic", {"IMI", "LNGQT", "NST_", "DIG"}),
        ("39", "superclass", {"MI", "STTC"}),
        ("39", "form", {"LNGQT", "NST_", "DIG", "ABQRS"}),
        ("100", "rhythm", {"SARRH"}),
    ],
)
def test_a_recording_carries_its_labels(
    source: Path, record_id: str, task: str, labels: set[str]
) -> None:
    found = open_recordings("ptbxl", source, task).read(record_id).labels
    assert found is not None
    assert set(found) == labels


def test_people_are_those_of_the_table(source: Path, frame: pd.DataFrame) -> None:
    opened = open_recordings("ptbxl", source, "all")
    for record_id in opened.record_ids:
        record, row = opened.read(record_id), frame.loc[int(record_id)]
        assert record.patient_id == str(int(row["patient_id"])) == opened.patient_of(record_id)
        assert record.age == (None if math.isnan(row["age"]) else row["age"])
        assert record.sex == ("male", "female")[row["sex"]]
        np.testing.assert_equal(record.extra["height_cm"], row["height"])
        np.testing.assert_equal(record.extra["weight_kg"], row["weight"])
        assert math.isnan(record.extra["age_censored"]) == (record.age is None)
    first = opened.read("1")
    assert (first.patient_id, first.age, first.sex) == ("15709", 56, "female")
    sexes = Counter(opened.read(record_id).sex for record_id in opened.record_ids)
    assert sexes == {"male": 129, "female": 121}


def test_the_split_is_by_fold_and_divides_no_patient(source: Path, frame: pd.DataFrame) -> None:
    opened = open_recordings("ptbxl", source, "all")
    split = opened.official_split("strat-fold")
    folds = frame["strat_fold"]
    assert set(split.train) == {str(number) for number in folds[folds <= 8].index}
    assert set(split.validation) == {str(number) for number in folds[folds == 9].index}
    assert set(split.test) == {str(number) for number in folds[folds == 10].index}
    patients = [
        {opened.patient_of(record) for record in records} for records in split.parts.values()
    ]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 228


@pytest.mark.parametrize(("rate_hz", "suffix"), [(100, "lr"), (500, "hr")])
def test_signals_are_those_of_wfdb_in_the_usual_order(
    source: Path, rate_hz: int, suffix: str
) -> None:
    opened = open_recordings("ptbxl", source, "all", PTBXLSettings(source_rate_hz=rate_hz))
    for record_id in ("1", "22", "40"):
        record = opened.read(record_id)
        path = source / f"records{rate_hz}" / "00000" / f"{int(record_id):05}_{suffix}"
        stored = wfdb.rdrecord(str(path))
        np.testing.assert_allclose(record.signal_mv, stored.p_signal.T, atol=1e-9)
        assert record.signal_mv.shape == (12, 10 * rate_hz)
        assert record.rate_hz == rate_hz
        assert record.leads[3:6] == ("AVR", "AVL", "AVF")
        assert opened.leads == LEADS
