"""What is wrong with a folder of PTB-XL's form is named, and costs no more than it must."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ecgmodels.data import PrepareOptions, prepare
from ecgmodels.errors import DataError
from tests.unit.data.ptbxl_folder import LEADS, Folder, write_recording


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


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
