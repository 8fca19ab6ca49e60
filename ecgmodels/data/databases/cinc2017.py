"""PhysioNet/CinC Challenge 2017, training set (https://physionet.org/content/challenge-2017/1.0.0/).

Clifford et al., "AF classification from a short single lead ECG recording: the PhysioNet/Computing
in Cardiology Challenge 2017", Computing in Cardiology 44, 2017. Labels are those of revision 3.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from ecgmodels.configs import Config
from ecgmodels.data.databases.base import Database, Recordings, Task, register, require_source
from ecgmodels.data.databases.tables import Row, read_listing, read_rows
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record
from ecgmodels.errors import DataError

CLASSES = ("N", "A", "O", "~")
"""Normal sinus rhythm, atrial fibrillation, another rhythm, too noisy to tell."""
SCORED = ("N", "A", "O")
"""The challenge's score is the mean F1 of these; noisy recordings still count as confusions."""
REFERENCE = "REFERENCE-v3.csv"


@register
class CinC2017(Database):
    """8,528 recordings of one lead, held between both hands, 9 to 61 s; the test set is hidden.

    Nothing tells whose a recording is, nor age or sex, so each counts as a patient and splits can
    only be stratified.
    """

    name = "cinc2017"
    title = "PhysioNet/CinC Challenge 2017 training set"
    version = "1.0.0, labels v3"
    tasks = ("rhythm",)
    # Seven of ten recordings last 30 s exactly: one crop. The recorder passes 0.5 to 40 Hz (so the
    # challenge's page; of 200 recordings the median has 0.01% of its power above 50 Hz), so that
    # 100 Hz keeps what there is of the 300 Hz stored, at a third of the cost.
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({"crop_s": 30.0, "rate_hz": 100.0})

    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return the recordings of the folder, each one of N, A, O and ~.

        `source` is the unpacked training set, or PhysioNet's folder `training`. The labels lie in
        it or beside it; RECORDS, where it is there, says which recordings there should be.
        """
        require_source(source, f"the .hea and .mat files and {REFERENCE}")
        return _Recordings(source)


class _Recordings(Recordings):
    task = Task(
        name="rhythm",
        labels="record",
        classes=CLASSES,
        default_classes=CLASSES,
        scored_classes=SCORED,
    )
    leads = ("ECG",)
    patients_known = False

    def __init__(self, source: Path) -> None:
        self._source = source

    @cached_property
    def record_ids(self) -> tuple[str, ...]:
        """The recordings that are listed and have a line in the table of labels."""
        records = tuple(name for name in self._stems if name in self._rows)
        if not records:
            raise DataError(
                f"none of the {len(self._stems)} recordings in {self._source} has a label in "
                f"{REFERENCE}",
                hint="the labels belong to other recordings; copy both from the same place",
            )
        return records

    @cached_property
    def excluded(self) -> Mapping[str, str]:
        """Recordings without a label, and labels whose recording is not listed."""
        unlabelled = [name for name in self._stems if name not in self._rows]
        unlisted = [name for name in self._rows if name not in self._stems]
        return dict.fromkeys(unlabelled, f"not in {REFERENCE}") | dict.fromkeys(
            unlisted, "labelled, but no recording is listed"
        )

    def patient_of(self, record_id: str) -> str:
        """Return the record id: nothing tells whose a recording is."""
        return record_id

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return the recording's class.

        Raises:
            DataError: its label is none of the classes, or one of its files is missing.
        """
        for suffix in (".hea", ".mat"):
            path = self._source / f"{self._stems[record_id]}{suffix}"
            if not os.path.isfile(path):
                raise DataError(
                    f"record {record_id} is incomplete: {path} is missing",
                    hint="copy it again, or take the record out of RECORDS",
                )
        return {self._label(record_id): 1}

    def read(self, record_id: str) -> Record:
        """Read one recording of one lead."""
        path, label = self._source / self._stems[record_id], self._label(record_id)
        record = read_wfdb_record(path.parent, path.name, patient_id=record_id, annotations=None)
        if len(record.leads) != 1:
            raise DataError(
                f"record {record_id} has the leads {', '.join(record.leads)}, expected one",
                hint="read the original files of the challenge's training set",
            )
        return replace(record, labels=(label,))

    @cached_property
    def _stems(self) -> Mapping[str, str]:
        """Record id -> path below the folder: of RECORDS, or of the files where there is none."""
        if (self._source / "RECORDS").is_file():
            return read_listing(self._source)
        # Of a recording that has lost its header, the .mat file still tells that it was there.
        names = sorted(
            {path.stem for kind in ("hea", "mat") for path in self._source.glob(f"*.{kind}")}
        )
        if not names:
            raise DataError(
                f"{self._source} holds neither a file RECORDS nor recordings (.hea, .mat)",
                hint="give the folder that holds the .hea and .mat files",
            )
        return dict(zip(names, names, strict=True))

    @cached_property
    def _rows(self) -> Mapping[str, Row]:
        """Record id -> its row of the table of labels, in the order of the file."""
        path = self._source / REFERENCE
        beside = self._source.parent / REFERENCE
        if not path.is_file() and beside.is_file():
            path = beside
        rows: dict[str, Row] = {}
        for row in read_rows(path, ("record", "label"), header=False):
            name = row.text("record")
            before = rows.setdefault(name, row).cells["label"]
            if before != row.cells["label"]:
                raise row.wrong("label", f"'{before}' as before for record {name}")
        return rows

    def _label(self, record_id: str) -> str:
        row = self._rows[record_id]
        label = row.text("label")
        if label not in CLASSES:
            raise row.wrong("label", f"one of {', '.join(CLASSES)} for record {record_id}")
        return label
