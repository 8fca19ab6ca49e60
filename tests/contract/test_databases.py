"""What every registered database keeps to. A new one is added to `source`, nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ecgmodels.data import DATABASES, Database, write_synthetic_recordings
from ecgmodels.data.preparation.splits import check_split
from ecgmodels.data.recordings.wfdb_records import BEAT_SYMBOLS

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="module", params=sorted(DATABASES))
def database(request: pytest.FixtureRequest) -> Database:
    return DATABASES[request.param]


@pytest.fixture(scope="module")
def source(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if database.name == "synthetic":
        folder = tmp_path_factory.mktemp("synthetic")
        write_synthetic_recordings(folder, records=8, seconds_per_record=30)
        return folder
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not (root / database.name).is_dir():
        pytest.skip(f"no {database.title} in {root} (set ECG_DATA_ROOT)")
    return root / database.name


def test_classes_are_consistent(database: Database) -> None:
    assert set(database.scored_classes) <= set(database.default_classes) <= set(database.classes)
    for mapping in database.mappings.values():
        assert set(mapping.values()) <= set(database.classes)
        assert set(database.scored_classes) <= set(mapping.values())
        assert set(mapping) <= BEAT_SYMBOLS


def test_record_ids_are_unique_and_none_is_excluded(database: Database, source: Path) -> None:
    records = database.record_ids(source)
    assert len(set(records)) == len(records) > 0
    assert not set(records) & set(database.excluded)


def test_each_official_split_places_each_record_once_and_divides_no_undeclared_patient(
    database: Database, source: Path
) -> None:
    records = database.record_ids(source)
    patient_of = {record: database.patient_of(record) for record in records}
    for name in database.split_names:
        split = database.fixed_split(records, name)
        assert sorted(split.train + split.validation + split.test) == sorted(records)
        check_split(name, split, patient_of, database.shared_patients(name))


def test_a_record_is_read_in_the_common_form(database: Database, source: Path) -> None:
    record_id = database.record_ids(source)[0]
    record = database.read(source, record_id)
    assert record.id == record_id
    assert record.patient_id == database.patient_of(record_id)
    assert record.signal_mv.dtype == np.float64
    assert record.signal_mv.shape[0] == len(record.leads) == len(database.leads)
    assert record.signal_mv.flags.c_contiguous
    assert record.rate_hz > 0
    assert record.beats.sample.dtype == np.int64
    assert (np.diff(record.beats.sample) >= 0).all()
    assert len(record.beats.sample) == len(record.beats.symbol) > 0
    assert record.age is None or 0 <= record.age <= 120
    assert record.sex in ("female", "male", None)


def test_reading_twice_gives_the_same(database: Database, source: Path) -> None:
    record_id = database.record_ids(source)[-1]
    first, second = database.read(source, record_id), database.read(source, record_id)
    np.testing.assert_array_equal(first.signal_mv, second.signal_mv)
    np.testing.assert_array_equal(first.beats.sample, second.beats.sample)
