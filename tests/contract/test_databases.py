"""What every registered database keeps to. A new one is added to `SOURCES`, nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgmodels.data import DATABASES, Database, Recordings, write_synthetic_recordings
from ecgmodels.data.databases import open_recordings
from ecgmodels.data.preparation.splits import check_split
from ecgmodels.data.recordings.wfdb_records import BEAT_SYMBOLS
from tests.hefei_folder import write_hefei_folder
from tests.wfdb_folder import write_wfdb_folder

REPOSITORY = Path(__file__).parents[2]


def _synthetic(folder: Path) -> Path:
    write_synthetic_recordings(folder, records=8, seconds_per_record=30)
    return folder


SOURCES: dict[str, Callable[[Path], Path]] = {
    "hefei": write_hefei_folder,
    "synthetic": _synthetic,
    "wfdb-folder": write_wfdb_folder,
}
"""Databases whose recordings the tests write themselves; the others are in $ECG_DATA_ROOT."""


@pytest.fixture(scope="module", params=sorted(DATABASES))
def database(request: pytest.FixtureRequest) -> Database:
    return DATABASES[request.param]


@pytest.fixture(scope="module")
def source(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if database.name in SOURCES:
        return SOURCES[database.name](tmp_path_factory.mktemp(database.name))
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not (root / database.name).is_dir():
        pytest.skip(f"no {database.title} in {root} (set ECG_DATA_ROOT)")
    return root / database.name


@pytest.fixture(scope="module")
def recordings(database: Database, source: Path) -> list[Recordings]:
    """The folder opened for every task."""
    return [open_recordings(database.name, source, task) for task in database.tasks]


def test_classes_are_consistent(recordings: list[Recordings]) -> None:
    for opened in recordings:
        task = opened.task
        assert set(task.scored_classes) <= set(task.default_classes) <= set(task.classes)
        assert len(set(task.classes)) == len(task.classes)
        if task.labels == "beat":
            assert not task.multi_label
            assert set(task.codes.values()) <= set(task.classes)
            assert set(task.scored_classes) <= set(task.codes.values())
            assert set(task.codes) <= BEAT_SYMBOLS
        else:
            assert not task.codes


def test_record_ids_are_unique_and_none_is_excluded(recordings: list[Recordings]) -> None:
    for opened in recordings:
        records = opened.record_ids
        assert len(set(records)) == len(records) > 0
        assert not set(records) & set(opened.excluded)


def test_each_official_split_places_each_record_once_and_divides_no_undeclared_patient(
    recordings: list[Recordings],
) -> None:
    for opened in recordings:
        patient_of = {record: opened.patient_of(record) for record in opened.record_ids}
        for name in opened.official_splits:
            split = opened.official_split(name)
            assert sorted(split.train + split.validation + split.test) == sorted(patient_of)
            check_split(name, split, patient_of, opened.shared_patients(name))


def test_counts_before_reading_are_those_of_the_labels(recordings: list[Recordings]) -> None:
    for opened in recordings:
        for record_id in opened.record_ids[:5]:
            counts = opened.class_counts(record_id)
            assert set(counts) <= set(opened.task.classes)
            if opened.task.labels == "record":
                labels = opened.read(record_id).labels
                assert dict(counts) == dict.fromkeys(labels or (), 1)


def test_a_record_is_read_in_the_common_form(recordings: list[Recordings]) -> None:
    for opened in recordings:
        for record_id in opened.record_ids[:3]:
            record = opened.read(record_id)
            assert record.id == record_id
            assert record.patient_id == opened.patient_of(record_id)
            assert record.signal_mv.dtype == np.float64
            assert record.signal_mv.shape[0] == len(record.leads) == len(opened.leads)
            assert record.signal_mv.flags.c_contiguous
            assert 0.01 < np.nanmedian(np.abs(record.signal_mv).max(axis=1)) < 30  # millivolts
            assert record.rate_hz > 0
            assert record.age is None or 0 <= record.age <= 120
            assert record.sex in ("female", "male", None)
            assert set(record.extra) <= set(opened.extra_features)
            if opened.task.labels == "beat":
                assert record.beats is not None
                assert record.labels is None
                assert record.beats.sample.dtype == np.int64
                assert (np.diff(record.beats.sample) >= 0).all()
                assert len(record.beats.sample) == len(record.beats.symbol) > 0
            elif opened.task.classes:
                assert record.labels is not None
                assert set(record.labels) <= set(opened.task.classes)
                assert opened.task.multi_label or len(record.labels) == 1


def test_reading_twice_gives_the_same(recordings: list[Recordings]) -> None:
    record_id = recordings[0].record_ids[-1]
    first, second = recordings[0].read(record_id), recordings[0].read(record_id)
    np.testing.assert_array_equal(first.signal_mv, second.signal_mv)
    assert first.labels == second.labels
    assert (first.age, first.sex, dict(first.extra)) == (second.age, second.sex, dict(second.extra))
