"""What is done to a folder of files, and what must hold of whatever is read from it.

Only `ECGModelsError` may come out, with a message and a hint of one line each. What is read without
one must be sound: the shapes, ranges and orders that the rest of the program relies on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np

from ecgmodels.data.databases import Recordings, open_recordings
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.recordings.wfdb_annotations import read_annotations, read_beats
from ecgmodels.data.recordings.wfdb_header import Header, comment_fields, read_header
from ecgmodels.data.recordings.wfdb_records import age_and_sex, read_wfdb_record
from ecgmodels.data.recordings.wfdb_signal import read_signal
from ecgmodels.errors import ECGModelsError

_Result = TypeVar("_Result")


class Attempts:
    """Calls of which each may be refused; counts both outcomes."""

    def __init__(self) -> None:
        self.read = 0
        self.refused = 0

    def __call__(self, function: Callable[..., _Result], *arguments: object) -> _Result | None:
        """Return what the function gives, or None where it raises ECGModelsError."""
        try:
            result = function(*arguments)
        except ECGModelsError as error:
            for text in (str(error), error.hint):
                assert text.strip(), "an empty message"
                assert len(text.splitlines()) == 1, f"a message of several lines: {text!r}"
                assert len(text) < 2000, f"a message of {len(text)} characters"
            self.refused += 1
            return None
        self.read += 1
        return result


def read_record(folder: Path, record_id: str, attempt: Attempts) -> None:
    """Read one WFDB record in every way there is."""
    header = attempt(read_header, folder / f"{record_id}.hea")
    if header is not None:
        _check_header(header)
        signal_mv = attempt(read_signal, folder, header)
        if signal_mv is not None:
            _check_signal(signal_mv, (len(header.signals), header.samples))
    marks = attempt(read_annotations, folder, record_id, "atr")
    beats = attempt(read_beats, folder, record_id)
    if marks is not None:
        _check_beats(Beats(sample=marks[0], symbol=marks[1]))
        assert beats is not None
        assert len(beats) <= len(marks[0])
    whole = attempt(
        lambda: read_wfdb_record(
            folder, record_id, patient_id="p", annotations=None if marks is None else "atr"
        )
    )
    if whole is not None:
        _check_record(whole)


def read_database(folder: Path, name: str, task: str, attempt: Attempts) -> None:
    """Open a folder as a database and read all that preparation asks of it."""
    opened = attempt(open_recordings, name, folder, task)
    if opened is None:
        return
    for name_of_property in ("task", "leads", "extra_features", "record_ids", "excluded"):
        if attempt(getattr, opened, name_of_property) is None:
            return
    records = opened.record_ids
    assert len(set(records)) == len(records)
    assert not set(records) & set(opened.excluded)
    whose = {record_id: attempt(opened.patient_of, record_id) for record_id in records}
    assert "" not in whose.values()
    for record_id in records:
        counts = attempt(opened.class_counts, record_id)
        assert counts is None or set(counts) <= set(opened.task.classes)
        record = attempt(opened.read, record_id)
        if record is not None:
            _check_record(record)
            _check_against(opened, record)
    for split_name in opened.official_splits:
        split = attempt(opened.official_split, split_name)
        if split is not None:
            placed = [*split.train, *split.validation, *split.test]
            assert len(set(placed)) == len(placed)
            # Only a record that is going to fail may have no part.
            assert {record for record in records if whose[record] is not None} <= set(placed)


def _check_header(header: Header) -> None:
    assert math.isfinite(header.rate_hz)
    assert header.rate_hz > 0
    assert header.samples > 0
    assert header.signals
    for spec in header.signals:
        assert math.isfinite(spec.gain)
        assert spec.gain != 0
        assert spec.name
    fields = comment_fields(header)
    for key, value in fields.items():
        assert key == key.strip().lower() != ""
        assert value == value.strip()
    _check_person(*age_and_sex(header))


def _check_person(age: float | None, sex: str | None) -> None:
    assert age is None or 0 <= age <= 120
    assert sex in ("female", "male", None)


def _check_signal(signal_mv: np.ndarray, shape: tuple[int, int]) -> None:
    assert signal_mv.shape == shape
    assert signal_mv.dtype == np.float64
    assert signal_mv.flags.c_contiguous
    assert not np.isinf(signal_mv).any()


def _check_beats(beats: Beats) -> None:
    assert beats.sample.dtype == np.int64
    assert beats.sample.shape == beats.symbol.shape
    assert (beats.sample >= 0).all()
    assert (np.diff(beats.sample) >= 0).all()
    assert beats.symbol.dtype.kind == "U"
    assert all(beats.symbol.tolist())


def _check_record(record: Record) -> None:
    _check_signal(record.signal_mv, (len(record.leads), record.signal_mv.shape[1]))
    assert record.patient_id
    assert record.rate_hz > 0
    _check_person(record.age, record.sex)
    if record.beats is not None:
        _check_beats(record.beats)
        assert (record.beats.sample < record.signal_mv.shape[1]).all()


def _check_against(opened: Recordings, record: Record) -> None:
    assert len(record.leads) == len(opened.leads)
    assert set(record.extra) <= set(opened.extra_features)
    assert set(record.labels or ()) <= set(opened.task.classes)
