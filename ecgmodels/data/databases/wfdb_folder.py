"""Recordings of one's own: a folder of WFDB records and one table that says what they are.

The table is CSV or Parquet with one row a recording:

    record,patient,label,age,sex,site
    ward3/0001,P17,AF,71,female,B

`record` is a path below the folder, without suffix. `patient` keeps a person's recordings on one
side of every split; without the column each recording counts as a patient. `label` holds one class,
`labels` several with ";" between them. Every other column becomes a feature: numbers as they are,
words as one feature a value ("site=B"), empty cells as unknown. A column `split` with train,
validation and test is the official split.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from ecgmodels.data.databases.mitdb import AAMI_CODES
from ecgmodels.data.databases.recording_table import (
    PARTS,
    RecordingTable,
    read_recording_table,
)
from ecgmodels.data.databases.text_columns import find_table
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.leads import standard_lead
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.recordings.wfdb_header import read_header
from ecgmodels.data.recordings.wfdb_records import read_beats, read_wfdb_record
from ecgmodels.errors import DataError

BEATS, RECORDS, UNLABELLED = "beats", "records", "unlabelled"


@dataclass(frozen=True, kw_only=True)
class WFDBFolderSettings(Config):
    """Where the table is, and what of it is used."""

    table: str | None = None
    """CSV or Parquet file, below the folder or absolute; None takes the only one there is."""
    ignore: tuple[str, ...] = ()
    """Columns that do not become features."""
    common_leads: bool = False
    """Take the leads that every recording has; otherwise a recording that lacks one of those that
    most have is left out, by name."""


@register
class WFDBFolder(Database):
    """A user's own recordings."""

    name = "wfdb-folder"
    title = "A folder of WFDB records"
    version = ""  # it is what its owner says it is
    tasks = (RECORDS, BEATS, UNLABELLED)
    settings = WFDBFolderSettings

    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return the recordings of the table.

        "records" takes the labels from the table, "beats" from annotation files (.atr) by de
        Chazal's mapping; "unlabelled" wants none, for prediction.
        """
        require_source(source, "your WFDB records and their table")
        assert isinstance(settings, WFDBFolderSettings)
        return _Recordings(source, task, settings)


class _Recordings(Recordings):
    def __init__(self, source: Path, task: str, settings: WFDBFolderSettings) -> None:
        self._source = source
        self._task = task
        self._settings = settings

    @cached_property
    def _table(self) -> RecordingTable:
        return read_recording_table(
            find_table(self._source, self._settings.table),
            ignore=self._settings.ignore,
            labelled=self._task == RECORDS,
        )

    @cached_property
    def settings(self) -> WFDBFolderSettings:  # type: ignore[override]
        """With the table's name, wherever it lies: the same rows are the same dataset."""
        return replace(self._settings, table=self._table.path.name)

    @cached_property
    def task(self) -> Task:  # type: ignore[override]
        """The classes of the table, or of beats."""
        if self._task == UNLABELLED:
            return Task(
                name=UNLABELLED, labels="record", classes=(), default_classes=(), scored_classes=()
            )
        if self._task == BEATS:
            return beat_task(BEATS, AAMI_CODES, "NSVF")
        classes = self._table.classes
        return Task(
            name=RECORDS,
            labels="record",
            classes=classes,
            default_classes=classes,
            scored_classes=classes,
            multi_label=self._table.multi_label,
        )

    @cached_property
    def leads(self) -> tuple[str, ...]:  # type: ignore[override]
        """The leads that most recordings have, in the order of the first of these.

        A recording that lacks one of them cannot be read, and is named; with `common_leads` they
        are those that every recording has.
        """
        of_record = {record_id: self._leads_of(record_id) for record_id in self.record_ids}
        readable = {record_id: leads for record_id, leads in of_record.items() if leads}
        if not readable:
            raise DataError(
                f"{self._source} holds none of the records that {self._table.path} lists "
                f"({self.record_ids[0]}.hea, for one)",
                hint="the column 'record' holds paths below the folder, without suffix",
            )
        if not self._settings.common_leads:
            sets = Counter(frozenset(leads) for leads in readable.values())
            commonest = sets.most_common(1)[0][0]
            return next(leads for leads in readable.values() if commonest == set(leads))
        common = set.intersection(*map(set, readable.values()))
        if not common:
            raise DataError(
                f"the {len(readable)} recordings in {self._source} have no lead in common",
                hint="make one table for recordings with the same leads",
            )
        return tuple(lead for lead in next(iter(readable.values())) if lead in common)

    def _leads_of(self, record_id: str) -> tuple[str, ...]:
        """Return a record's leads; none where its header cannot be read, which `read` reports."""
        path = self._source / f"{record_id}.hea"
        if not os.path.isfile(path):  # unlike Path's, False for a name that is too long
            return ()
        try:
            return tuple(standard_lead(signal.name) for signal in read_header(path).signals)
        except DataError:
            return ()

    @cached_property
    def extra_features(self) -> tuple[str, ...]:  # type: ignore[override]
        """One a numeric column, one a value of a column of words."""
        return self._table.features

    @cached_property
    def patients_known(self) -> bool:  # type: ignore[override]
        """Whether the table has the column `patient`."""
        return self._table.patients_known

    @cached_property
    def official_splits(self) -> tuple[str, ...]:  # type: ignore[override]
        """("table",) where the table has the column `split`."""
        return ("table",) if self._table.split_of is not None else ()

    @cached_property
    def record_ids(self) -> tuple[str, ...]:
        """The table's records, in its order, but for those without a label."""
        return tuple(name for name in self._table.rows if name not in self.excluded)

    @cached_property
    def excluded(self) -> Mapping[str, str]:
        """Records without a label, and recordings that the table does not list."""
        without = {}
        if self._task == RECORDS:
            without = {
                name: f"no label in {self._table.path.name}"
                for name, row in self._table.rows.items()
                if row.labels is None
            }
        present = {
            path.relative_to(self._source).with_suffix("").as_posix()
            for path in self._source.rglob("*.hea")
        }
        unlisted = sorted(present - set(self._table.rows))
        return without | dict.fromkeys(unlisted, f"not listed in {self._table.path.name}")

    def patient_of(self, record_id: str) -> str:
        """Return the table's patient, or the record itself."""
        return self._table.rows[record_id].patient

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return the table's labels, or the annotated beats."""
        if self._task == BEATS:
            return count_codes(read_beats(self._source, record_id), self.task.codes)
        return dict.fromkeys(self._table.rows[record_id].labels or (), 1)

    def read(self, record_id: str) -> Record:
        """Read a record, with the leads that all have."""
        row = self._table.rows[record_id]
        record = read_wfdb_record(
            self._source,
            record_id,
            patient_id=row.patient,
            annotations="atr" if self._task == BEATS else None,
        )
        recorded = [standard_lead(lead) for lead in record.leads]
        for lead in self.leads:
            times = recorded.count(lead)
            if times != 1:
                has = f"the lead {lead} {times} times" if times else f"no lead {lead}"
                raise DataError(
                    f"record {record_id} has {has}; its leads are {', '.join(recorded)}, "
                    f"most recordings have {', '.join(self.leads)}",
                    hint="take the row out of the table, correct the header, or prepare with "
                    "--common-leads the leads that all recordings have",
                )
        order = [recorded.index(lead) for lead in self.leads]
        return replace(
            record,
            signal_mv=record.signal_mv[order],
            leads=tuple(record.leads[index] for index in order),
            age=row.age,
            sex=row.sex,
            labels=row.labels if self._task == RECORDS else None,
            extra=row.features,
        )

    def official_split(self, name: str) -> Split:
        """Return the table's own split."""
        split_of = self._table.split_of
        assert split_of is not None
        parts = {
            part: tuple(record for record in self.record_ids if split_of[record] == part)
            for part in PARTS
        }
        for part, records in parts.items():
            if not records:
                raise DataError(
                    f"{self._table.path}: no recording with a label has the split '{part}'",
                    hint=f"the column 'split' needs each of {', '.join(PARTS)}; or leave it out",
                )
        return Split(**parts)
