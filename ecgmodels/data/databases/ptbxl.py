"""PTB-XL 1.0.1 to 1.0.3 (Wagner et al., "PTB-XL, a large publicly available electrocardiography
dataset", Scientific Data 7:154, 2020; https://physionet.org/content/ptb-xl/).

Tasks, folds and what is left out are those of the benchmark: Strodthoff, Wagner, Schaeffter &
Samek, "Deep learning for ECG analysis: benchmarks and insights from PTB-XL", IEEE J Biomed Health
Inform 25(5), 2021 (https://github.com/helme/ecg_ptbxl_benchmarking).
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from ecgmodels.configs import Config
from ecgmodels.data.databases.base import Database, Recordings, Task, register, require_source
from ecgmodels.data.databases.scp_statements import TASKS, ScpTask, read_scp_codes, read_scp_task
from ecgmodels.data.databases.tables import Row, read_rows
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.leads import CANONICAL_12, lead_order
from ecgmodels.data.recordings.records import Record, Sex
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record
from ecgmodels.errors import DataError

_FILE_COLUMN = {100: "filename_lr", 500: "filename_hr"}
_COLUMNS = (
    "ecg_id",
    "patient_id",
    "age",
    "sex",
    "height",
    "weight",
    "scp_codes",
    "strat_fold",
    *_FILE_COLUMN.values(),
)
_SEXES: Mapping[str, Sex] = {"0": "male", "1": "female"}
_OVER_89 = 300.0  # stands for any age over 89, to protect privacy
_OLDEST = 120.0
_UNLABELLED = {"form": "no form statement", "rhythm": "no rhythm statement", "all": "no statement"}


@dataclass(frozen=True, kw_only=True)
class PTBXLSettings(Config):
    """Which of the two recordings is read, and what counts as a label."""

    source_rate_hz: int = 100
    """Sampling rate of the files that are read: 100 or 500."""
    min_likelihood: float = 0.0
    """Percent; a diagnostic statement counts from this likelihood on. At 0 every statement counts,
    as in the benchmark. Most statements of form and rhythm have the likelihood 0, which means
    unknown: they always count, and the tasks form and rhythm take no other value."""

    def __post_init__(self) -> None:
        if self.source_rate_hz not in _FILE_COLUMN:
            raise DataError(
                f"source_rate_hz is {self.source_rate_hz}, expected 100 or 500",
                hint="PTB-XL comes at these two rates; rate_hz resamples to any other",
            )
        # A wrong type is as much the user's mistake as a wrong number.
        if not (isinstance(self.min_likelihood, int | float) and 0 <= self.min_likelihood <= 100):
            raise DataError(
                f"min_likelihood is {self.min_likelihood}, expected 0 to 100 (percent)",
                hint="0 counts every statement, as the benchmark does",
            )
        # 0 and 0.0 are the same: one spelling, so that equal settings give equal bytes.
        object.__setattr__(self, "source_rate_hz", int(self.source_rate_hz))
        object.__setattr__(self, "min_likelihood", float(self.min_likelihood))


@register
class PTBXL(Database):
    """21,799 recordings (21,837 before 1.0.2) of 10 s and 12 leads, of 18,869 (18,885) patients.

    Recordings without any label of the task are left out, as the benchmark does.
    """

    name = "ptbxl"
    title = "PTB-XL"
    version = "1.0.3"
    tasks = TASKS
    settings = PTBXLSettings
    # A crop is a whole recording, at the rate of its file, and unfiltered as in the benchmark.
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"crop_s": 10.0, "rate_hz": "native", "filter_hz": "none"}
    )

    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return the recordings of ptbxl_database.csv that have a label of the task.

        Raises:
            DataError: also where the task takes no likelihood.
        """
        require_source(source, "ptbxl_database.csv, scp_statements.csv and records100 or 500")
        assert isinstance(settings, PTBXLSettings)
        if task in ("form", "rhythm") and settings.min_likelihood > 0:
            raise DataError(
                f"min_likelihood is {settings.min_likelihood:g} for the task {task}, whose "
                "statements have no likelihood (0: unknown) but for a few",
                hint="leave it at 0, or choose a diagnostic task",
            )
        return _Recordings(source, task, settings)


class _Recordings(Recordings):
    leads = CANONICAL_12
    extra_features = ("age_censored", "height_cm", "weight_kg")
    official_splits = ("strat-fold",)

    def __init__(self, source: Path, task: str, settings: PTBXLSettings) -> None:
        self._source = source
        self._task_name = task
        self._settings = settings

    @cached_property
    def task(self) -> Task:  # type: ignore[override]
        """The statements, or their classes, that scp_statements.csv has for the task."""
        classes = self._scp.classes
        return Task(
            name=self._task_name,
            labels="record",
            classes=classes,
            default_classes=classes,
            scored_classes=classes,
            multi_label=True,
        )

    @cached_property
    def record_ids(self) -> tuple[str, ...]:
        """The `ecg_id` of every recording that is labelled and there, in the order of the CSV."""
        records = tuple(name for name in self._rows if name not in self.excluded)
        if not records:
            raise DataError(
                f"{self._source} holds none of the recordings at "
                f"{self._settings.source_rate_hz} Hz that have a label for the task "
                f"{self._task_name} ({len(self._rows)} are listed; the first would be "
                f"{self._header(next(iter(self._rows)))})",
                hint="copy that folder, or choose the other source_rate_hz",
            )
        return records

    @cached_property
    def excluded(self) -> Mapping[str, str]:
        """Recordings without any statement of the task, or without a file at this rate.

        Where a cell is wrong that is not known: `class_counts` or `read` says what is wrong with
        it.
        """
        unlabelled = _UNLABELLED.get(self._task_name, "no diagnostic statement")
        if self._settings.min_likelihood > 0:
            unlabelled += f" of likelihood {self._settings.min_likelihood:g} or more"
        reasons = {}
        _ = self._scp  # without which no row is right
        for name in self._rows:
            with suppress(DataError):
                if not os.path.isfile(self._header(name)):
                    reasons[name] = f"no file at {self._settings.source_rate_hz} Hz"
            with suppress(DataError):
                if not self._labels(name):
                    reasons[name] = unlabelled
        return reasons

    def patient_of(self, record_id: str) -> str:
        """Return the patient's number.

        Raises:
            DataError: the row has none, or no fold, which says in which part the patient is.
        """
        self._fold(record_id)
        return str(self._rows[record_id].whole("patient_id"))

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return the recording's classes.

        Raises:
            DataError: its cell `scp_codes` is wrong.
        """
        return dict.fromkeys(self._labels(record_id), 1)

    def read(self, record_id: str) -> Record:
        """Read one recording.

        An age of over 89 is 90 years, with `age_censored` 1 beside it.
        """
        row, header = self._rows[record_id], self._header(record_id)
        age, age_censored = _age(row)
        record = read_wfdb_record(
            header.parent, header.stem, patient_id=self.patient_of(record_id), annotations=None
        )
        expected_hz = self._settings.source_rate_hz
        if record.rate_hz != expected_hz:
            raise DataError(
                f"{header} says {record.rate_hz:g} Hz, expected {expected_hz} Hz",
                hint="copy the recording again from https://physionet.org/content/ptb-xl/",
            )
        order = lead_order(record.leads, self.leads, where=str(header))
        return replace(
            record,
            id=record_id,
            signal_mv=record.signal_mv[order],
            leads=tuple(record.leads[index] for index in order),
            age=age,
            sex=row.one_of("sex", _SEXES),
            labels=self._labels(record_id),
            extra={
                "age_censored": age_censored,
                # The widest a person may be; the database's own slips (a height of 6 cm) stay.
                "height_cm": _or_nan(row.number("height", least=0, most=300, unit="cm")),
                "weight_kg": _or_nan(row.number("weight", least=0, most=500, unit="kg")),
            },
        )

    def official_split(self, name: str) -> Split:
        """Train on folds 1 to 8, validate on 9, test on 10, by the column `strat_fold`.

        A recording without a fold is in no part; `patient_of` says what is wrong with its row.
        """
        parts: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
        for record_id in self.record_ids:
            with suppress(DataError):
                part = {9: "validation", 10: "test"}.get(self._fold(record_id), "train")
                parts[part].append(record_id)
        return Split(**{part: tuple(records) for part, records in parts.items()})

    @cached_property
    def _rows(self) -> Mapping[str, Row]:
        rows: dict[str, Row] = {}
        for row in read_rows(self._source / "ptbxl_database.csv", _COLUMNS):
            name = str(row.whole("ecg_id"))
            if name in rows:
                raise row.wrong("ecg_id", "each recording once")
            rows[name] = row
        return rows

    @cached_property
    def _scp(self) -> ScpTask:
        return read_scp_task(self._source / "scp_statements.csv", self._task_name)

    def _fold(self, record_id: str) -> int:
        row = self._rows[record_id]
        fold = row.whole("strat_fold")
        if not 1 <= fold <= 10:
            raise row.wrong("strat_fold", "1 to 10")
        return fold

    def _labels(self, record_id: str) -> tuple[str, ...]:
        codes = read_scp_codes(self._rows[record_id], self._scp)
        return self._scp.labels(codes, self._settings.min_likelihood)

    def _header(self, record_id: str) -> Path:
        column = _FILE_COLUMN[self._settings.source_rate_hz]
        return self._source / f"{self._rows[record_id].text(column)}.hea"


def _age(row: Row) -> tuple[float | None, float]:
    """Return the age, and 1 where only "over 89" is known of it (NaN: no age at all)."""
    age = row.number("age", least=0, most=_OVER_89, unit="years")
    if age is None:
        return None, math.nan
    if age == _OVER_89:
        return 90.0, 1.0
    if age > _OLDEST:
        raise row.wrong("age", f"0 to {_OLDEST:g} years, {_OVER_89:g} (over 89) or nothing")
    return age, 0.0


def _or_nan(number: float | None) -> float:
    return math.nan if number is None else number
