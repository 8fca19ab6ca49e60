from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgmodels.data import (
    Manifest,
    PrepareOptions,
    check_dataset,
    open_dataset,
    prepare,
    write_synthetic_recordings,
)
from ecgmodels.errors import DataError

OPTIONS = PrepareOptions(folds=2)


def content(folder: Path) -> dict[str, bytes]:
    """Return relative path -> bytes, without the one file that may differ."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_preparing_again_with_two_processes_gives_identical_bytes(
    prepared_once: tuple[Path, Manifest], synthetic_source: Path, tmp_path: Path
) -> None:
    again = prepare("synthetic", synthetic_source, tmp_path / "again", OPTIONS, processes=2)
    assert content(tmp_path / "again") == content(prepared_once[0])
    assert again.hash == prepared_once[1].hash


def test_the_generated_beats_are_the_datasets_segments(
    prepared_once: tuple[Path, Manifest], synthetic_source: Path
) -> None:
    class_of = {"N": "N", "R": "N", "A": "S", "V": "V", "F": "F"}
    for record in prepared_once[1].records:
        symbols = wfdb.rdann(str(synthetic_source / record.id), "atr").symbol
        counted = Counter(class_of[symbol] for symbol in symbols if symbol != "+")
        assert record.classes == {name: counted[name] for name in "NSVF"}
        assert record.classes["S"] >= 2
        assert record.classes["V"] >= 2
        assert record.classes["F"] >= 1


def test_every_part_of_the_synthetic_split_has_every_class(
    prepared_once: tuple[Path, Manifest],
) -> None:
    for counts in prepared_once[1].class_counts.values():
        assert min(counts.values()) > 0


def test_equal_arguments_write_equal_synthetic_recordings(
    synthetic_source: Path, tmp_path: Path
) -> None:
    write_synthetic_recordings(tmp_path / "same", records=12, seconds_per_record=40, seed=1)
    write_synthetic_recordings(tmp_path / "other", records=12, seconds_per_record=40, seed=2)
    assert content(tmp_path / "same") == content(synthetic_source)
    assert content(tmp_path / "other") != content(synthetic_source)


def test_synthetic_recordings_are_not_written_over_others(synthetic_source: Path) -> None:
    with pytest.raises(DataError, match="is not empty"):
        write_synthetic_recordings(synthetic_source)


def test_one_lead_and_no_features_can_be_asked_for(synthetic_source: Path, tmp_path: Path) -> None:
    options = PrepareOptions(leads=("V1",), features=(), rate_hz=None, folds=0, filter_hz=None)
    prepare("synthetic", synthetic_source, tmp_path / "out", options, processes=1)
    dataset = open_dataset(tmp_path / "out")
    train, _ = dataset.development()
    assert dataset.leads == ("V1",)
    assert dataset.rate_hz == 360
    assert dataset.splits == ["fixed"]
    assert train.signal_uv.shape[1:] == (1, 360)
    assert train.features.shape == (len(train), 0)
    check_dataset(tmp_path / "out")


def test_progress_is_told_of_each_record(synthetic_source: Path, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    prepare(
        "synthetic",
        synthetic_source,
        tmp_path / "out",
        OPTIONS,
        processes=1,
        progress=lambda done, of: told.append((done, of)),
    )
    assert told == [(done, 12) for done in range(1, 13)]


def test_a_dataset_that_is_there_already_is_left_alone(
    dataset_folder: Path, synthetic_source: Path
) -> None:
    before = {path: path.stat().st_mtime_ns for path in dataset_folder.rglob("*")}
    prepare("synthetic", synthetic_source, dataset_folder, OPTIONS, processes=1)
    assert {path: path.stat().st_mtime_ns for path in dataset_folder.rglob("*")} == before
    assert names(dataset_folder.parent) == ["dataset"]


def test_another_dataset_is_not_written_over(dataset_folder: Path, synthetic_source: Path) -> None:
    before = content(dataset_folder)
    with pytest.raises(DataError, match="holds another dataset"):
        prepare("synthetic", synthetic_source, dataset_folder, PrepareOptions(folds=0), processes=1)
    assert content(dataset_folder) == before
    assert names(dataset_folder.parent) == ["dataset"]


def test_a_folder_of_other_things_is_not_written_into(
    synthetic_source: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.tex").write_text("")
    with pytest.raises(DataError, match="exists and is not a dataset"):
        prepare("synthetic", synthetic_source, tmp_path / "out", OPTIONS)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_truncated_recording_stops_the_preparation_and_leaves_nothing(
    recordings: Path, tmp_path: Path, processes: int
) -> None:
    path = recordings / "s004a.dat"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(DataError, match=r"s004a\.dat is cut short") as caught:
        prepare("synthetic", recordings, tmp_path / "out", OPTIONS, processes=processes)
    assert "copy the recording again" in caught.value.hint
    assert names(tmp_path) == ["recordings"]


def test_an_interruption_leaves_nothing(synthetic_source: Path, tmp_path: Path) -> None:
    def interrupt(done: int, of: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare(
            "synthetic",
            synthetic_source,
            tmp_path / "out",
            OPTIONS,
            processes=2,
            progress=interrupt,
        )
    assert names(tmp_path) == []


def test_an_unknown_database_is_answered_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no database called 'mitbd'") as caught:
        prepare("mitbd", tmp_path, tmp_path / "out", OPTIONS)
    assert "mitdb" in caught.value.hint


def test_a_missing_source_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"source folder .*nowhere does not exist"):
        prepare("synthetic", tmp_path / "nowhere", tmp_path / "out", OPTIONS)


def test_recordings_of_different_rates_need_a_common_one(recordings: Path, tmp_path: Path) -> None:
    header = recordings / "s004a.hea"
    header.write_text(header.read_text().replace(" 360 ", " 250 ", 1))
    options = PrepareOptions(rate_hz=None, folds=0)
    with pytest.raises(DataError, match="record s004a has 250 Hz, s000a has 360 Hz"):
        prepare("synthetic", recordings, tmp_path / "out", options, processes=1)
    resampled = prepare(
        "synthetic", recordings, tmp_path / "out", PrepareOptions(folds=0), processes=1
    )
    assert resampled.rate_hz == 128


def test_age_and_sex_reach_the_segments(prepared_once: tuple[Path, Manifest]) -> None:
    dataset = open_dataset(prepared_once[0])
    train, _ = dataset.development()
    for record in dataset.manifest.records:
        rows = train.record_id == record.id
        if rows.any():
            age = train.features[rows, dataset.features.index("age")]
            assert np.isnan(age).all() if record.age is None else (age == record.age).all()
    assert any(record.age is None for record in dataset.manifest.records)


def test_importing_the_package_loads_neither_wfdb_nor_torch() -> None:
    code = "import sys, ecgmodels.data; print({'wfdb', 'torch', 'ray'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout.strip() == "set()"
