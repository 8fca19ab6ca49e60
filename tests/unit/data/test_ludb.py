"""LUDB against its own table, ludb.csv, which the package does not read; and made-up headers."""

from __future__ import annotations

import csv
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgmodels.data import PrepareOptions, prepare
from ecgmodels.data.databases import Recordings, open_recordings
from ecgmodels.data.databases.ludb import LUDB
from ecgmodels.data.databases.ludb_statements import GROUPS, RHYTHMS, STATEMENTS
from ecgmodels.errors import DataError

REPOSITORY = Path(__file__).parents[3]
LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")
GROUP_COLUMNS = (
    "Conduction abnormalities",
    "Extrasystolies",
    "Hypertrophies",
    "Cardiac pacing",
    "Ischemia",
    "Non-specific repolarization abnormalities",
    "Other states",
)


@pytest.fixture(scope="module")
def source() -> Path:
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not (root / "ludb").is_dir():
        pytest.skip(f"no LUDB in {root} (set ECG_DATA_ROOT)")
    return root / "ludb"


@pytest.fixture(scope="module")
def table(source: Path) -> dict[str, dict[str, list[str]]]:
    """Record -> column -> the cell's lines."""
    with (source / "ludb.csv").open(encoding="utf-8", newline="") as file:
        return {
            row["ID"]: {
                column: [line.strip() for line in cell.splitlines() if line.strip()]
                for column, cell in row.items()
            }
            for row in csv.DictReader(file)
        }


def plain(statement: str) -> str:
    return " ".join(statement.replace(",", " ").lower().split())


def labels_by_record(source: Path, task: str) -> dict[str, list[str]]:
    opened = open_recordings("ludb", source, task)
    return {record: list(opened.class_counts(record)) for record in opened.record_ids}


def test_there_are_200_recordings_with_the_age_and_sex_of_the_table(
    source: Path, table: dict[str, dict[str, list[str]]]
) -> None:
    opened = open_recordings("ludb", source)
    assert sorted(opened.record_ids) == sorted(table)
    assert len(table) == 200
    assert opened.excluded == {}
    found = {}
    for record_id in opened.record_ids:
        record = opened.read(record_id)
        assert record.age is not None
        assert record.sex is not None
        found[record_id] = (f"{record.age:g}", record.sex[0].upper())
    expected = {name: (row["Age"][0], row["Sex"][0]) for name, row in table.items()}
    assert expected["34"] == (">89", "F")
    assert found == expected | {"34": ("90", "F")}
    assert Counter(sex for _, sex in found.values()) == {"M": 115, "F": 85}


def test_rhythms_are_those_of_the_table(
    source: Path, table: dict[str, dict[str, list[str]]]
) -> None:
    labels = labels_by_record(source, "rhythm")
    beside = {"aberrant conduction", "wandering atrial pacemaker"}
    for record_id, rhythms in labels.items():
        of_table = [plain(text) for text in table[record_id]["Rhythms"]]
        assert [plain(text) for text in rhythms] == [
            text for text in of_table if text not in beside
        ]
    counts = Counter(rhythm for rhythms in labels.values() for rhythm in rhythms)
    assert counts["Sinus rhythm"] == 143
    assert counts["Sinus bradycardia"] == 25
    assert counts["Atrial fibrillation"] == 15
    assert counts == RHYTHMS


def test_diagnoses_are_those_of_the_table_but_for_the_presence_of_a_pacemaker(
    source: Path, table: dict[str, dict[str, list[str]]]
) -> None:
    labels = labels_by_record(source, "diagnosis")
    rhythms = labels_by_record(source, "rhythm")
    unsaid = []
    for record_id, row in table.items():
        of_table = {
            plain(text)
            for column, texts in row.items()
            if column not in ("ID", "Sex", "Age")
            for text in texts
        }
        of_headers = {plain(text) for text in labels[record_id] + rhythms[record_id]}
        assert of_headers <= of_table
        if of_table - of_headers:
            assert of_table - of_headers == {"pacemaker presence undefined"}
            unsaid.append(record_id)
    assert unsaid == ["8", "34", "45", "74", "90", "93", "95", "104", "111"]
    assert Counter(text for texts in labels.values() for text in texts) == STATEMENTS


def test_groups_are_the_columns_of_the_table(
    source: Path, table: dict[str, dict[str, list[str]]]
) -> None:
    labels = labels_by_record(source, "diagnosis-group")
    for record_id, row in table.items():
        expected = {column for column in GROUP_COLUMNS if row[column]}
        axis = " ".join(row["Electric axis of the heart"])
        if "left axis deviation" in axis or "right axis deviation" in axis:
            expected.add("Axis deviation")
        assert set(labels[record_id]) == expected
    assert Counter(text for texts in labels.values() for text in texts) == GROUPS


@pytest.mark.parametrize(
    ("record_id", "task", "labels"),
    [
        ("1", "rhythm", {"Sinus bradycardia"}),
        ("109", "rhythm", {"Atrial fibrillation"}),
        ("184", "rhythm", {"Sinus arrhythmia"}),
        (
            "184",
            "diagnosis",
            {"Wandering atrial pacemaker", "Electric axis of the heart: normal"},
        ),
        ("184", "diagnosis-group", set()),
        ("34", "diagnosis", {"III degree AV-block", "Unipolar ventricular pacing"}),
        ("34", "diagnosis-group", {"Conduction abnormalities", "Cardiac pacing"}),
        (
            "1",
            "diagnosis-group",
            {"Axis deviation", "Hypertrophies", "Non-specific repolarization abnormalities"},
        ),
    ],
)
def test_a_recording_carries_its_labels(
    source: Path, record_id: str, task: str, labels: set[str]
) -> None:
    record = open_recordings("ludb", source, task).read(record_id)
    assert record.labels is not None
    assert set(record.labels) == labels


def test_classes_of_fewer_than_ten_recordings_are_kept_and_not_scored(source: Path) -> None:
    rhythm = open_recordings("ludb", source, "rhythm").task
    assert rhythm.scored_classes == ("Sinus rhythm", "Sinus bradycardia", "Atrial fibrillation")
    assert "Sinus arrhythmia" in rhythm.default_classes  # eight recordings
    groups = open_recordings("ludb", source, "diagnosis-group").task
    assert set(groups.default_classes) - set(groups.scored_classes) == {"Other states"}


def test_no_class_has_a_comma_which_separates_classes_elsewhere() -> None:
    assert not [name for name in (*RHYTHMS, *STATEMENTS, *GROUPS) if "," in name]


def test_signals_are_those_of_wfdb_in_the_usual_order(source: Path) -> None:
    opened = open_recordings("ludb", source)
    for record_id in ("1", "77", "200"):
        record = opened.read(record_id)
        stored = wfdb.rdrecord(str(source / "data" / record_id))
        assert record.leads == tuple(lead.lower() for lead in LEADS) == tuple(stored.sig_name)
        assert opened.leads == LEADS
        assert record.rate_hz == 500
        np.testing.assert_allclose(record.signal_mv, stored.p_signal.T, atol=1e-9)


def test_the_waves_of_every_lead_are_found(source: Path) -> None:
    for record_id in ("1", "200"):
        for lead in LEADS:
            path = LUDB.wave_marks(source, record_id, lead)
            marks = wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])
            assert set(marks.symbol) <= {"(", ")", "p", "N", "t"}
            assert marks.symbol.count("N") >= 5


# Made-up recordings -------------------------------------------------------------------------------


def write_recording(source: Path, name: str, comments: str, leads: tuple[str, ...] = LEADS) -> None:
    folder = source / "data"
    folder.mkdir(parents=True, exist_ok=True)
    samples = np.arange(len(leads) * 500).reshape(500, len(leads)) % 1000
    (folder / f"{name}.dat").write_bytes(samples.astype("<i2").tobytes())
    lines = [f"{name} {len(leads)} 500 500"]
    lines += [f"{name}.dat 16 1000(0)/mV 0 0 0 0 0 {lead.lower()}" for lead in leads]
    (folder / f"{name}.hea").write_text("\n".join(lines) + "\n" + comments)
    with (source / "RECORDS").open("a") as file:
        file.write(f"data/{name}\n")


COMMENTS = "#<age>: 51\n#<sex>: F\n#<diagnoses>:\n#Rhythm: Sinus bradycardia.\n"


def opened(source: Path, task: str = "rhythm") -> Recordings:
    return open_recordings("ludb", source, task)


def test_age_and_sex_that_are_missing_are_unknown(tmp_path: Path) -> None:
    write_recording(tmp_path, "1", "#<age>: \n#<diagnoses>:\n#Rhythm: Sinus rhythm.\n")
    record = opened(tmp_path).read("1")
    assert (record.age, record.sex) == (None, None)


def test_a_recording_without_a_rhythm_is_left_out_of_that_task_alone(tmp_path: Path) -> None:
    write_recording(tmp_path, "1", COMMENTS)
    write_recording(tmp_path, "2", "#<age>: 51\n#<sex>: F\n#<diagnoses>:\n")
    assert opened(tmp_path).record_ids == ("1",)
    assert opened(tmp_path).excluded == {"2": "no rhythm in its header"}
    assert opened(tmp_path, "diagnosis").record_ids == ("1", "2")
    assert opened(tmp_path, "diagnosis").read("2").labels == ()


def test_spelling_differs_in_case_commas_and_stops_alone(tmp_path: Path) -> None:
    write_recording(tmp_path, "1", COMMENTS + "#BIpolar ventricular pacing. \n#stemi: septal\n")
    assert opened(tmp_path, "diagnosis").read("1").labels == (
        "Bipolar ventricular pacing",
        "STEMI: septal",
    )


@pytest.mark.parametrize(
    ("comments", "message"),
    [
        (COMMENTS + "#Dextrocardia.\n", r"1\.hea has the statement 'Dextrocardia\.'"),
        (COMMENTS + "#Rhythm: Jazz.\n", r"1\.hea has the statement 'Rhythm: Jazz\.'"),
        (COMMENTS + "#Rhythm: Sinus rhythm.\n", r"1\.hea states 2 rhythms"),
        (COMMENTS.replace("51", "old"), r"1\.hea: <age> is 'old', expected 0 to 120 years"),
        (COMMENTS.replace("51", "300"), r"1\.hea: <age> is '300', expected 0 to 120 years"),
        (COMMENTS.replace("51", "9" * 5000), r"1\.hea: <age> is '9{20}', expected 0 to 120 years"),
        (COMMENTS.replace(": F", ": W"), r"1\.hea: <sex> is 'W', expected F or M"),
    ],
)
def test_a_header_that_is_not_ludbs_is_named(tmp_path: Path, comments: str, message: str) -> None:
    write_recording(tmp_path, "1", comments)
    with pytest.raises(DataError, match=message):
        opened(tmp_path).read("1")


def test_a_missing_lead_is_named(tmp_path: Path) -> None:
    write_recording(tmp_path, "1", COMMENTS, leads=LEADS[:-1])
    with pytest.raises(DataError, match=r"1\.hea has no lead V6"):
        opened(tmp_path).read("1")


@pytest.mark.parametrize("name", ["RECORDS", "data/1.hea", "data/1.dat"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    write_recording(tmp_path, "1", COMMENTS)
    (tmp_path / name).unlink()
    with pytest.raises(DataError, match=f"{name} is missing"):
        opened(tmp_path).read("1")


def test_the_waves_of_a_lead_that_is_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lead is 'avr', which ludb does not have") as caught:
        LUDB.wave_marks(tmp_path, "1", "avr")
    assert "aVR" in caught.value.hint


def lose(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    path.write_bytes(b"")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:40])


def misstate(path: Path) -> None:
    path.write_text(path.read_text() + "#Rhythm: Jazz.\n")


@pytest.mark.parametrize("task", ["rhythm", "diagnosis"])
@pytest.mark.parametrize(
    ("spoil", "suffix", "message"),
    [
        (lose, ".hea", "data/4.hea is missing"),
        (lose, ".dat", "data/4.dat is missing"),
        (empty, ".hea", "data/4.hea is not a WFDB header"),
        (cut, ".hea", "data/4.hea"),
        (cut, ".dat", "data/4.dat is cut short"),
        (misstate, ".hea", "data/4.hea has the statement 'Rhythm: Jazz.'"),
    ],
)
def test_one_bad_recording_is_told_and_the_others_are_prepared(
    tmp_path: Path, spoil: Callable[[Path], None], suffix: str, message: str, task: str
) -> None:
    source = tmp_path / "ludb"
    for number in range(10):
        comments = COMMENTS if number % 2 else COMMENTS.replace("bradycardia", "rhythm")
        axis = "normal" if number % 2 else "vertical"
        write_recording(source, str(number), f"{comments}#Electric axis of the heart: {axis}.\n")
    spoil(source / "data" / f"4{suffix}")
    told: dict[str, DataError] = {}
    options = PrepareOptions(task=task, folds=0)
    manifest = prepare(
        "ludb", source, tmp_path / "out", options, processes=1, on_failure=told.__setitem__
    )
    assert list(told) == list(manifest.failed) == ["4"]
    assert message in manifest.failed["4"]
    assert (manifest.record_count, manifest.excluded) == (9, {})
    with pytest.raises(DataError, match=re.escape(message)):
        prepare("ludb", source, tmp_path / "strict", options, processes=1, strict=True)
