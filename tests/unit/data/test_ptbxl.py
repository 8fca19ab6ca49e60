"""PTB-XL against pandas' reading of its tables, and made-up folders of its form."""

from __future__ import annotations

import ast
import math
import os
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import wfdb

from ecgmodels.data import PrepareOptions, prepare
from ecgmodels.data.databases import Recordings, open_recordings
from ecgmodels.data.databases.ptbxl import PTBXL, PTBXLSettings
from ecgmodels.errors import DataError

REPOSITORY = Path(__file__).parents[3]
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


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


# Made-up folders ----------------------------------------------------------------------------------

STATEMENTS = """\
,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NDT,non-diagnostic T abnormalities,1.0,1.0,,STTC,STTC
NORM,normal ECG,1.0,,,NORM,NORM
IMI,inferior myocardial infarction,1.0,,,MI,IMI
ABQRS,abnormal QRS,,1.0,,,
SR,sinus rhythm,,,1.0,,
"""
COLUMNS = (
    "ecg_id",
    "patient_id",
    "age",
    "sex",
    "height",
    "weight",
    "scp_codes",
    "strat_fold",
    "filename_lr",
    "filename_hr",
)


def write_recording(path: Path, rate_hz: int, leads: tuple[str, ...] = LEADS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.arange(rate_hz * len(leads)).reshape(rate_hz, len(leads)) % 1000
    path.with_suffix(".dat").write_bytes(samples.astype("<i2").tobytes())
    lines = [f"{path.name} {len(leads)} {rate_hz} {rate_hz}"]
    lines += [f"{path.name}.dat 16 1000.0(0)/mV 16 0 0 0 0 {lead.upper()}" for lead in leads]
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n")


class Folder:
    """A folder like PTB-XL, whose table a test writes row by row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        (path / "scp_statements.csv").write_text(STATEMENTS)

    def add(self, **cells: str) -> Folder:
        """Add a recording; cells that are not given are plain ones."""
        number = len(self.rows) + 1
        name = f"00000/{number:05}"
        plain = dict.fromkeys(COLUMNS, "") | {
            "ecg_id": str(number),
            "patient_id": f"{number}.0",
            "age": "56.0",
            "sex": "1",
            "scp_codes": "{'NORM': 100.0, 'SR': 0.0}",
            "strat_fold": str(number),
            "filename_lr": f"records100/{name}_lr",
            "filename_hr": f"records500/{name}_hr",
        }
        write_recording(self.path / f"records100/{name}_lr", 100)
        self.rows.append(plain | cells)
        return self

    def open(self, task: str = "superclass", **settings: float) -> Recordings:
        pd.DataFrame(self.rows, columns=list(COLUMNS)).to_csv(
            self.path / "ptbxl_database.csv", index=False
        )
        return open_recordings("ptbxl", self.path, task, PTBXLSettings(**settings))


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


def test_a_rate_without_any_file_is_refused(folder: Folder) -> None:
    opened = folder.add().open(source_rate_hz=500)
    with pytest.raises(
        DataError, match=r"none of the recordings at 500 Hz .*records500/00000/00001_hr\.hea"
    ):
        _ = opened.record_ids


def test_a_missing_signal_file_is_named(folder: Folder) -> None:
    opened = folder.add().open()
    (folder.path / "records100/00000/00001_lr.dat").unlink()
    assert opened.record_ids == ("1",)
    with pytest.raises(DataError, match=r"00001_lr\.dat is missing"):
        opened.read("1")


def test_a_header_of_another_rate_is_refused(folder: Folder) -> None:
    opened = folder.add().open()
    write_recording(folder.path / "records100/00000/00001_lr", 500)
    with pytest.raises(DataError, match=r"00001_lr\.hea says 500 Hz, expected 100 Hz"):
        opened.read("1")


def test_a_missing_lead_is_named(folder: Folder) -> None:
    opened = folder.add().open()
    write_recording(folder.path / "records100/00000/00001_lr", 100, leads=LEADS[1:])
    with pytest.raises(DataError, match=r"00001_lr\.hea has no lead I;"):
        opened.read("1")


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"scp_codes": "{'NORM': 100.0"}, r"line 2: scp_codes is .* for recording 1"),
        ({"scp_codes": "[1, 2]"}, r"line 2: scp_codes is '\[1, 2\]', expected a dict"),
        ({"scp_codes": "__import__('os').getcwd()"}, r"line 2: scp_codes is .* expected a dict"),
        ({"scp_codes": "{'NORM': 'yes'}"}, r"line 2: scp_codes .* likelihoods from 0 to 100"),
        ({"scp_codes": "{'NORM': 101}"}, r"line 2: scp_codes .* likelihoods from 0 to 100"),
        ({"scp_codes": "{'JAZZ': 100}"}, r"for recording 1, which has no 'JAZZ'"),
        ({"scp_codes": "-" * 50_000 + "1"}, r"line 2: scp_codes is '-.* expected a dict"),
        ({"scp_codes": "{" * 50_000}, r"line 2: scp_codes is '\{.* expected a dict"),
        ({"scp_codes": ""}, r"line 2: scp_codes is ''"),
        ({"patient_id": ""}, r"line 2: patient_id is '', expected something"),
        ({"sex": "2"}, r"line 2: sex is '2', expected 0, 1 or nothing"),
        ({"age": "old"}, r"line 2: age is 'old', expected 0 to 300 years"),
        ({"age": "200"}, r"line 2: age is '200', expected 0 to 120 years, 300"),
        ({"weight": "-5"}, r"line 2: weight is '-5', expected 0 to 500 kg"),
    ],
)
def test_a_wrong_cell_is_named(folder: Folder, cells: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        folder.add(**cells).open("all").read("1")


@pytest.mark.parametrize("fold", ["0", "11", "", "x"])
def test_a_recording_with_a_wrong_fold_is_in_no_part_and_has_no_patient(
    folder: Folder, fold: str
) -> None:
    opened = folder.add(strat_fold=fold).add().open()
    assert opened.record_ids == ("1", "2")
    assert opened.official_split("strat-fold").parts == {
        "train": ("2",),
        "validation": (),
        "test": (),
    }
    with pytest.raises(DataError, match="line 2: strat_fold is"):
        opened.patient_of("1")


def test_a_recording_that_is_listed_twice_is_named(folder: Folder) -> None:
    with pytest.raises(DataError, match="line 3: ecg_id is '1', expected each recording once"):
        _ = folder.add().add(ecg_id="1").open().record_ids


@pytest.mark.parametrize("name", ["ptbxl_database.csv", "scp_statements.csv"])
def test_a_missing_table_is_named(folder: Folder, name: str) -> None:
    opened = folder.add().open()
    (folder.path / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        _ = opened.record_ids


def test_a_missing_column_is_named(folder: Folder) -> None:
    opened = folder.add().open()
    table = folder.path / "ptbxl_database.csv"
    table.write_text(table.read_text().replace("strat_fold", "fold"))
    with pytest.raises(DataError, match="has no column 'strat_fold'"):
        _ = opened.record_ids


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


@pytest.mark.parametrize("split", ["strat-fold", "stratified"])
@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ({"scp_codes": "{'NORM': 100.0"}, "line 6: scp_codes is '{'NORM': 100.0', expected a dict"),
        ({"scp_codes": ""}, "line 6: scp_codes is '', expected something"),
        ({"patient_id": ""}, "line 6: patient_id is '', expected something"),
        ({"patient_id": "-3"}, "line 6: patient_id is '-3', expected a whole number"),
        ({"strat_fold": "11"}, "line 6: strat_fold is '11', expected 1 to 10"),
        ({"strat_fold": ""}, "line 6: strat_fold is '', expected something"),
        ({"age": "old"}, "line 6: age is 'old', expected 0 to 300 years or nothing"),
        ({"sex": "2"}, "line 6: sex is '2', expected 0, 1 or nothing"),
        ({"filename_lr": ""}, "line 6: filename_lr is '', expected something"),
    ],
)
def test_one_bad_row_is_told_and_the_others_are_prepared(
    folder: Folder, cells: dict[str, str], message: str, split: str
) -> None:
    for number in range(12):
        plain = {
            "strat_fold": ("1", "1", "9", "9", "10", "10")[number % 6],
            "scp_codes": ("{'NORM': 100.0}", "{'IMI': 100.0}")[number % 2],
        }
        folder.add(**plain | (cells if number == 4 else {}))
    folder.open()
    told: dict[str, DataError] = {}
    options = PrepareOptions(split=split, folds=0)
    out = folder.path.parent / f"{folder.path.name}-out"
    manifest = prepare("ptbxl", folder.path, out, options, processes=1, on_failure=told.__setitem__)
    assert list(told) == list(manifest.failed) == ["5"]
    assert message in manifest.failed["5"]
    assert (manifest.record_count, manifest.excluded) == (11, {})
    if split == "strat-fold":
        assert manifest.splits["fixed"].records == {"train": 4, "validation": 4, "test": 3}
    with pytest.raises(DataError, match=re.escape(message)):
        prepare("ptbxl", folder.path, out / "strict", options, processes=1, strict=True)


def test_a_header_that_is_cut_short_costs_that_recording_alone(folder: Folder) -> None:
    for number in range(12):
        folder.add(
            strat_fold=("1", "1", "9", "9", "10", "10")[number % 6],
            scp_codes=("{'NORM': 100.0}", "{'IMI': 100.0}")[number % 2],
        )
    folder.open()
    header = folder.path / "records100/00000/00005_lr.hea"
    header.write_bytes(header.read_bytes()[:100])
    out = folder.path / "out"
    manifest = prepare("ptbxl", folder.path, out, PrepareOptions(folds=0), processes=1)
    assert list(manifest.failed) == ["5"]
    assert "records100/00000/00005_lr.hea" in manifest.failed["5"]


def test_a_row_that_is_wrong_of_a_recording_that_is_not_there_is_left_out(folder: Folder) -> None:
    """Of a part of PTB-XL the table is still whole."""
    folder.add().add(scp_codes="{", filename_lr="records100/00000/00009_lr")
    assert folder.open().excluded == {"2": "no file at 100 Hz"}
