"""Recordings made by `ecgmodels.data.synthetic.recordings`, for demonstrations and tests.

Its files are WFDB like any other: what it teaches a model means nothing, but every step from the
files to the shards is the real one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from ecgmodels.configs import Config
from ecgmodels.data.databases.base import (
    Database,
    Recordings,
    Task,
    beat_task,
    count_codes,
    register,
    require_source,
)
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.recordings.wfdb_header import comment_fields, read_header
from ecgmodels.data.recordings.wfdb_records import read_beats, read_wfdb_record
from ecgmodels.data.synthetic.recordings import RHYTHMS
from ecgmodels.errors import DataError

# Patients are dealt out in this order; the generator gives every patient S, V and F beats and
# goes through its rhythms in another period, so that each part has patients rich in each.
_DEAL = ("train", "validation", "train", "test", "train")
_CODES = {"N": "NLR", "S": "A", "V": "V", "F": "F"}


@register
class Synthetic(Database):
    """A folder written by `write_synthetic_recordings`."""

    name = "synthetic"
    title = "Synthetic ECG recordings"
    version = "1"
    tasks = ("aami", "rhythm")

    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return the recordings listed in the folder's RECORDS file.

        "aami" labels each beat, "rhythm" each recording with what its patient was made to have.
        """
        require_source(source)
        if task == "rhythm":
            return _Recordings(
                source,
                Task(
                    name=task,
                    labels="record",
                    classes=RHYTHMS,
                    default_classes=RHYTHMS,
                    scored_classes=RHYTHMS,
                ),
            )
        return _Recordings(
            source,
            beat_task(task, _CODES, tuple(_CODES)),
        )


class _Recordings(Recordings):
    def __init__(self, source: Path, task: Task) -> None:
        self._source = source
        self.task = task
        # Dealing patients out by name spreads beats well; whole recordings are few, and stratified.
        self.official_splits = ("patients",) if task.labels == "beat" else ()

    @cached_property
    def leads(self) -> tuple[str, ...]:  # type: ignore[override]
        """As many as the recordings were made with."""
        header = read_header(self._source / f"{self.record_ids[0]}.hea")
        return tuple(signal.name for signal in header.signals)

    @cached_property
    def record_ids(self) -> tuple[str, ...]:
        """The records listed in the folder's RECORDS file."""
        listing = self._source / "RECORDS"
        if not listing.is_file():
            raise DataError(
                f"{listing} is missing",
                hint="give a folder written by `ecgsearch data synthesise`",
            )
        records = tuple(sorted(listing.read_text(encoding="utf-8").split()))
        if not records:
            raise DataError(f"{listing} is empty", hint="make the recordings again")
        return records

    def patient_of(self, record_id: str) -> str:
        """Return the record id without the letter that tells a patient's recordings apart."""
        return record_id[:-1]

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return class -> annotated beats, or the recording's rhythm."""
        if self.task.labels == "record":
            return {self._rhythm(record_id): 1}
        return count_codes(read_beats(self._source, record_id), self.task.codes)

    def read(self, record_id: str) -> Record:
        """Read a record; its leads are stored in canonical order."""
        record = read_wfdb_record(self._source, record_id, patient_id=self.patient_of(record_id))
        return replace(record, labels=(self._rhythm(record_id),) if not self.task.codes else None)

    def _rhythm(self, record_id: str) -> str:
        path = self._source / f"{record_id}.hea"
        rhythm = comment_fields(read_header(path)).get("rhythm")
        if rhythm not in RHYTHMS:
            raise DataError(
                f"{path} names the rhythm '{rhythm}', expected one of {', '.join(RHYTHMS)}",
                hint="make the recordings again with `ecgsearch data synthesise`",
            )
        return rhythm

    def official_split(self, name: str) -> Split:
        """Deal the patients out in order of their names: of five, three train."""
        patients = sorted({self.patient_of(record_id) for record_id in self.record_ids})
        part_of = {patient: _DEAL[index % len(_DEAL)] for index, patient in enumerate(patients)}
        parts = {
            part: tuple(
                record_id
                for record_id in self.record_ids
                if part_of[self.patient_of(record_id)] == part
            )
            for part in set(_DEAL)
        }
        return Split(**parts)
