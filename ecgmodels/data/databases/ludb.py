"""Lobachevsky University Electrocardiography Database 1.0.1 (https://physionet.org/content/ludb/).

Kalyakulina et al., "LUDB: a new open-access validation tool for electrocardiogram delineation
algorithms", IEEE Access 8, 2020.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from ecgmodels.configs import Config, nearest_hint
from ecgmodels.data.databases.base import Database, Recordings, Task, register, require_source
from ecgmodels.data.databases.ludb_statements import (
    GROUP_OF,
    GROUPS,
    RHYTHM,
    RHYTHMS,
    STATEMENTS,
    scored,
    spelt,
)
from ecgmodels.data.databases.tables import read_listing
from ecgmodels.data.recordings.leads import CANONICAL_12, lead_order
from ecgmodels.data.recordings.records import Record, Sex
from ecgmodels.data.recordings.wfdb_header import comment_fields, read_header
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record
from ecgmodels.errors import DataError

_CLASSES = {"rhythm": RHYTHMS, "diagnosis": STATEMENTS, "diagnosis-group": GROUPS}
_SEXES: Mapping[str, Sex] = {"F": "female", "M": "male"}
_OLDEST = 120
_ORIGINAL = "read the original files of LUDB 1.0.1"


@register
class LUDB(Database):
    """200 recordings of 10 s and 12 leads, one a person, with P, QRS and T marked in each lead.

    Rhythm, diagnoses, age and sex are those of the headers (see `ludb_statements` for how ludb.csv
    differs). An age over 89 is written as 90. Classes that fewer than ten recordings have are kept
    but not scored.
    """

    name = "ludb"
    title = "Lobachevsky University Electrocardiography Database"
    version = "1.0.1"
    tasks = tuple(_CLASSES)

    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return the recordings listed in RECORDS.

        "rhythm" is one class a recording, "diagnosis" all its other statements, "diagnosis-group"
        the groups of those that are abnormal; under both a recording may have none.
        """
        require_source(source, "RECORDS and the folder data")
        classes = _CLASSES[task]
        return _Recordings(
            source,
            Task(
                name=task,
                labels="record",
                classes=tuple(classes),
                default_classes=tuple(classes),
                scored_classes=scored(classes),
                multi_label=task != "rhythm",
            ),
        )

    @staticmethod
    def wave_marks(source: Path, record_id: str, lead: str) -> Path:
        """Return the annotation file with the P, QRS and T waves of one lead, "data/1.avr" for aVR.

        Its symbols are "(" where a wave begins, "p", "N" or "t" at its peak, ")" where it ends.

        Raises:
            DataError: the database has no such lead.
        """
        if lead not in CANONICAL_12:
            raise DataError(
                f"lead is '{lead}', which ludb does not have",
                hint=nearest_hint(lead, CANONICAL_12),
            )
        return source / f"{read_listing(source)[record_id]}.{lead.lower()}"


@dataclass(frozen=True, kw_only=True)
class _Comments:
    """What a header says of the person and the recording."""

    age: float | None
    sex: Sex | None
    rhythm: str | None
    statements: tuple[str, ...]
    """Without the rhythm, in the order of `STATEMENTS`."""


class _Recordings(Recordings):
    leads = CANONICAL_12

    def __init__(self, source: Path, task: Task) -> None:
        self._source = source
        self.task = task
        self._read_comments: dict[str, _Comments] = {}

    @cached_property
    def record_ids(self) -> tuple[str, ...]:
        """The records listed in RECORDS, but for those without a label."""
        return tuple(name for name in self._stems if name not in self.excluded)

    @cached_property
    def excluded(self) -> Mapping[str, str]:
        """Under the task rhythm, records whose header states none; none of the original files.

        A header that cannot be read is not one of them: `class_counts` says what is wrong with it.
        """
        reasons: dict[str, str] = {}
        if self.task.multi_label:
            return reasons
        for name in self._stems:
            with suppress(DataError):
                if self._comments(name).rhythm is None:
                    reasons[name] = "no rhythm in its header"
        return reasons

    def patient_of(self, record_id: str) -> str:
        """Return the record id: each of the 200 recordings is of another person."""
        return record_id

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return the recording's classes.

        Raises:
            DataError: its header is missing, or not as LUDB's are.
        """
        return dict.fromkeys(self._labels(record_id), 1)

    def read(self, record_id: str) -> Record:
        """Read one recording."""
        header, comments = self._header(record_id), self._comments(record_id)
        record = read_wfdb_record(
            header.parent, header.stem, patient_id=record_id, annotations=None
        )
        order = lead_order(record.leads, self.leads, where=str(header))
        return replace(
            record,
            signal_mv=record.signal_mv[order],
            leads=tuple(record.leads[index] for index in order),
            age=comments.age,
            sex=comments.sex,
            labels=self._labels(record_id),
        )

    @cached_property
    def _stems(self) -> Mapping[str, str]:
        return read_listing(self._source)

    def _header(self, record_id: str) -> Path:
        return self._source / f"{self._stems[record_id]}.hea"

    def _labels(self, record_id: str) -> tuple[str, ...]:
        comments = self._comments(record_id)
        if self.task.name == "rhythm":
            return (comments.rhythm,) if comments.rhythm else ()
        if self.task.name == "diagnosis":
            return comments.statements
        groups = {GROUP_OF.get(statement) for statement in comments.statements}
        return tuple(group for group in GROUPS if group in groups)

    def _comments(self, record_id: str) -> _Comments:
        if record_id not in self._read_comments:
            self._read_comments[record_id] = _parse_comments(self._header(record_id))
        return self._read_comments[record_id]


def _parse_comments(path: Path) -> _Comments:
    """Parse `<age>: 51`, `<sex>: F`, `<diagnoses>:`, and then one statement a line."""
    header = read_header(path)
    rhythms: list[str] = []
    statements: set[str] = set()
    for line in header.comments:
        statement = spelt(line)
        if not statement or statement.startswith("<"):
            continue
        rhythm = statement.removeprefix(RHYTHM)
        if rhythm != statement and rhythm in RHYTHMS:
            rhythms.append(rhythm)
        elif statement in STATEMENTS:
            statements.add(statement)
        else:
            raise DataError(
                f"{path} has the statement '{statement[:80]}', which is none of LUDB's",
                hint=_ORIGINAL,
            )
    if len(rhythms) > 1:
        raise DataError(
            f"{path} states {len(rhythms)} rhythms ({', '.join(rhythms)}), expected one",
            hint=_ORIGINAL,
        )
    fields = comment_fields(header)
    return _Comments(
        age=_age(path, fields.get("age", "")),
        sex=_sex(path, fields.get("sex", "")),
        rhythm=rhythms[0] if rhythms else None,
        statements=tuple(name for name in STATEMENTS if name in statements),
    )


def _age(path: Path, text: str) -> float | None:
    if not text:
        return None
    # int() refuses thousands of digits with an error of its own.
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(_OLDEST))
    if not (digits and int(text) <= _OLDEST):
        raise DataError(
            f"{path}: <age> is '{text[:20]}', expected 0 to {_OLDEST} years", hint=_ORIGINAL
        )
    return float(text)


def _sex(path: Path, text: str) -> Sex | None:
    if text and text not in _SEXES:
        raise DataError(f"{path}: <sex> is '{text[:20]}', expected F or M", hint=_ORIGINAL)
    return _SEXES.get(text)
