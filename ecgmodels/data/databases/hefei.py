"""Hefei Hi-tech Cup ECG Competition ("合肥高新杯" 心电人机智能大赛, Tianchi 231754, 2019).

Eight leads, 500 Hz, 10 s, 4.88 microvolts a unit. A folder holds, as they were published,

    hf_round2_arrythmia.txt     the classes, one name a line: 55 in round 1, 34 in round 2
    hf_round2_label.txt         id, age, gender, then the names of any number of classes
    hf_round2_train/100001.txt  a header of lead names, then 5,000 rows of whole numbers

The competition is scored by micro-F1 over all classes. With its 40,000 recordings it is taken to be
the set of that size in the EfficientECG paper (arXiv 2512.03804).

No recording of it was at hand when this was written: it has been tested on files made up in the
published format only.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ecgmodels.configs import Config
from ecgmodels.data.databases.base import Database, Recordings, Task, register, require_source
from ecgmodels.data.databases.hefei_files import (
    RATE_HZ,
    LabelLine,
    read_classes,
    read_labels,
    read_signal,
)
from ecgmodels.data.recordings.leads import CANONICAL_12, INDEPENDENT_8, with_derived_limb_leads
from ecgmodels.data.recordings.records import Record
from ecgmodels.errors import DataError


@dataclass(frozen=True, kw_only=True)
class HefeiSettings(Config):
    """Which files of the source folder are read, and which leads."""

    labels_file: str | None = None
    """Label file, relative to the source; None: the one whose name has "label" in it."""
    classes_file: str | None = None
    """List of classes, relative to the source; None: the one with "arrythmia" in its name."""
    signals_folder: str | None = None
    """Folder with the recordings, relative to the source, itself or in folders below; None: the
    source."""
    derived_leads: bool = False
    """Add III, aVR, aVL and aVF, which follow from I and II."""


@register
class Hefei(Database):
    """Eight-lead recordings of 10 s, each with the findings that a cardiologist named."""

    name = "hefei"
    title = "Hefei Hi-tech Cup ECG Competition"
    version = "2019"
    # One task in both rounds: which classes there are is what the list of classes says.
    tasks = ("arrhythmia",)
    settings = HefeiSettings

    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return the recordings that the label file lists; the list of classes is read at once.

        Raises:
            DataError: a file of the settings is missing, or several could be meant.
        """
        require_source(source, "the label file, the list of classes and the recordings")
        assert isinstance(settings, HefeiSettings)
        classes_file = _file(
            source, settings.classes_file, "classes_file", ("arrythmia", "arrhythmia")
        )
        classes = read_classes(classes_file)
        return _Recordings(
            Task(
                name=task,
                labels="record",
                classes=classes,
                default_classes=classes,
                scored_classes=classes,
                multi_label=True,
            ),
            labels_file=_file(source, settings.labels_file, "labels_file", ("label",)),
            signals=_folder(source, settings.signals_folder),
            derived_leads=settings.derived_leads,
        )


class _Recordings(Recordings):
    patients_known = False

    def __init__(
        self, task: Task, *, labels_file: Path, signals: Path, derived_leads: bool
    ) -> None:
        self.task = task
        self.leads = CANONICAL_12 if derived_leads else INDEPENDENT_8
        self._labels_file = labels_file
        self._signals = signals
        self._derived_leads = derived_leads

    @property
    def record_ids(self) -> tuple[str, ...]:
        """The records with a label, in the order of the label file.

        Raises:
            DataError: the label file has a line without an id, or an id twice.
        """
        return tuple(name for name, line in self._lines.items() if not line.unlabelled)

    @property
    def excluded(self) -> Mapping[str, str]:
        """The records whose line has no label."""
        reason = f"no label in {self._labels_file.name}"
        return {name: reason for name, line in self._lines.items() if line.unlabelled}

    def patient_of(self, record_id: str) -> str:
        """Return the record id: whose a recording is was not published."""
        return record_id

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return 1 for each class that the recording has.

        Raises:
            DataError: its line is wrong, or its file is missing or one of several.
        """
        self._path_of(record_id)
        return dict.fromkeys(self._lines[record_id].labels, 1)

    def read(self, record_id: str) -> Record:
        """Read a record with the eight leads, or all twelve."""
        signal_mv = read_signal(self._path_of(record_id))
        line = self._lines[record_id]
        return Record(
            id=record_id,
            patient_id=record_id,
            signal_mv=with_derived_limb_leads(signal_mv) if self._derived_leads else signal_mv,
            rate_hz=RATE_HZ,
            leads=self.leads,
            age=line.age,
            sex=line.sex,
            labels=line.labels,
        )

    @cached_property
    def _lines(self) -> Mapping[str, LabelLine]:
        return read_labels(self._labels_file, self.task.classes)

    @cached_property
    def _paths(self) -> Mapping[str, list[str]]:
        """Record id -> files of that name, of the labelled records."""
        paths: dict[str, list[str]] = {record_id: [] for record_id in self._lines}
        for folder, folders, files in os.walk(self._signals):
            folders.sort()
            for file in files:
                stem, suffix = os.path.splitext(file)
                if suffix == ".txt" and stem in paths:
                    paths[stem].append(os.path.join(folder, file))
        return paths

    def _path_of(self, record_id: str) -> Path:
        found = self._paths[record_id]
        if not found:
            raise DataError(
                f"{self._labels_file}, line {self._lines[record_id].number}: "
                f"there is no {record_id}.txt in {self._signals}",
                hint="unpack the round's archive of recordings there, or take the line out",
            )
        if len(found) > 1:
            raise DataError(
                f"record {record_id} could be any of {', '.join(found)}",
                hint="name the folder of one round's recordings (signals_folder)",
            )
        return Path(found[0])


def _file(source: Path, given: str | None, setting: str, words: tuple[str, ...]) -> Path:
    """Return the file of the setting, or the only one in the folder with a word in its name."""
    if given is not None:
        if not (source / given).is_file():
            raise DataError(
                f"{setting} is '{given}', but there is no file {source / given}",
                hint="give its name relative to the source folder",
            )
        return source / given
    found = sorted(
        path
        for path in source.glob("*.txt")
        if path.is_file() and any(word in path.name.lower() for word in words)
    )
    if not found:
        raise DataError(
            f"{source} has no file *{words[0]}*.txt",
            hint=f"copy it there, or name it ({setting})",
        )
    if len(found) > 1:
        raise DataError(
            f"{source} has several files that could be meant: "
            + ", ".join(path.name for path in found),
            hint=f"choose one ({setting})",
        )
    return found[0]


def _folder(source: Path, given: str | None) -> Path:
    folder = source if given is None else source / given
    if not folder.is_dir():
        raise DataError(
            f"signals_folder is '{given}', but there is no folder {folder}",
            hint="give its name relative to the source folder",
        )
    return folder
