"""What a database has to say about itself, and the registry of those that do.

A `Database` is a kind of recordings, known by name. Opened on a folder for one task it gives
`Recordings`: which records there are, whose they are, and each one's signal and labels.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal

from ecgmodels.configs import Config, nearest_hint
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is to be told apart, by one of the labellings that a database has."""

    name: str
    labels: Literal["beat", "record"]
    """What carries the label: each beat (its annotation code), or a whole recording."""
    classes: tuple[str, ...]
    """All that may be asked for; empty where nothing is labelled."""
    default_classes: tuple[str, ...]
    """Those kept unless others are asked for, in the order of the labels."""
    scored_classes: tuple[str, ...]
    """The classes whose mean F1 is searched for."""
    multi_label: bool = False
    """A recording may have several classes at once, or none."""
    codes: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Annotation code -> class, where beats are labelled."""


@dataclass(frozen=True, kw_only=True)
class NoSettings(Config):
    """Of a database that has no options of its own."""


class Recordings(ABC):
    """The recordings of one folder, for one task.

    Cheap to make and to `read` from: tables and listings are read when they are first asked for,
    because each worker process opens its own.
    """

    task: Task
    leads: tuple[str, ...]
    """Canonical lead names, the same for every record; `read` returns leads in this order."""
    extra_features: tuple[str, ...] = ()
    """Names of the features in `Record.extra`, beside those of every database."""
    patients_known: bool = True
    """False where the database does not say whose a recording is: each counts as a patient."""
    settings: Config | None = None
    """The database's own options as they are recorded, where that is not as they were given."""
    official_splits: tuple[str, ...] = ()
    """Names of the database's own splits; the first is the customary one."""

    @property
    @abstractmethod
    def record_ids(self) -> tuple[str, ...]:
        """The records to prepare, without the excluded ones, in a fixed order.

        Raises:
            DataError: the folder lacks a listing, or a record that a customary split needs.
        """

    @property
    def excluded(self) -> Mapping[str, str]:
        """Record id -> why it is left out (paced, unlabelled)."""
        return {}

    @property
    def notes(self) -> tuple[str, ...]:
        """What whoever uses the recordings must know of them, such as what was corrected."""
        return ()

    @abstractmethod
    def patient_of(self, record_id: str) -> str:
        """Return the patient of a record."""

    @abstractmethod
    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return class -> beats (or 1 for a recording that has it), without reading the signal.

        It is what a stratified split balances.
        """

    @abstractmethod
    def read(self, record_id: str) -> Record:
        """Read one record, leads in the order of `leads`.

        Raises:
            DataError: names the file that is wrong.
        """

    def official_split(self, name: str) -> Split:
        """Return the official split called `name` over all the records."""
        raise NotImplementedError(name)

    def shared_patients(self, split_name: str) -> tuple[tuple[str, ...], ...]:
        """Return the groups of records of one patient that the split has on both sides of test."""
        return ()


class Database(ABC):
    """A kind of recordings, with its customary labels and split.

    Instances hold no state: a worker process finds its own by name. Every registered database
    goes through `tests/contract/test_databases.py`.
    """

    name: ClassVar[str]
    """What the command line calls it."""
    title: ClassVar[str]
    version: ClassVar[str]
    tasks: ClassVar[tuple[str, ...]]
    """Names of its labellings; the first is the customary one."""
    settings: ClassVar[type[Config]] = NoSettings
    """Options of its own, each with a default; the command line makes flags of them."""
    defaults: ClassVar[Mapping[str, Any]] = MappingProxyType({})
    """Options of preparation that it is customarily used with, other than the general ones."""

    @abstractmethod
    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return the recordings in `source`; `task` is one of `tasks`.

        Raises:
            DataError: the folder does not exist, or a setting is out of range.
        """


DATABASES: dict[str, Database] = {}


def register(kind: type[Database]) -> type[Database]:
    """Class decorator: make the database known under its name."""
    if kind.name in DATABASES:
        raise ValueError(f"two databases are called '{kind.name}'")
    DATABASES[kind.name] = kind()
    return kind


def find_database(name: str) -> Database:
    """Return the database of that name, or raise DataError that names the nearest."""
    if name not in DATABASES:
        raise DataError(f"there is no database called '{name}'", hint=nearest_hint(name, DATABASES))
    return DATABASES[name]


def open_recordings(
    database: str, source: Path, task: str | None = None, settings: Config | None = None
) -> Recordings:
    """Return the recordings in a folder, with the database's customary task and settings.

    Raises:
        DataError: no such database, task or folder, or a setting is not the database's.
    """
    found = find_database(database)
    if task is not None and task not in found.tasks:
        raise DataError(
            f"task is '{task}', which {database} does not have",
            hint=nearest_hint(task, found.tasks),
        )
    if settings is None:
        settings = found.settings()
    if not isinstance(settings, found.settings):
        raise DataError(
            f"settings are {type(settings).__name__}, expected {found.settings.__name__}",
            hint=f"give the settings of {database}",
        )
    return found.open(source, task or found.tasks[0], settings)


def beat_task(name: str, codes: Mapping[str, str], kept: Sequence[str]) -> Task:
    """Return the task of telling beats apart, of which N, S and V are scored.

    Args:
        name: the task's.
        codes: class -> its annotation codes, a character each.
        kept: the classes kept unless others are asked for.
    """
    return Task(
        name=name,
        labels="beat",
        classes=tuple(codes),
        default_classes=tuple(kept),
        scored_classes=("N", "S", "V"),
        codes={code: label for label, symbols in codes.items() for code in symbols},
    )


def count_codes(beats: Beats, codes: Mapping[str, str]) -> dict[str, int]:
    """Return class -> beats with a code of it."""
    counts: Counter[str] = Counter()
    for symbol in beats.symbol.tolist():
        if symbol in codes:
            counts[codes[symbol]] += 1
    return dict(counts)


def require_source(source: Path, what: str = "the .hea, .dat and .atr files") -> None:
    """Raise DataError where the folder of recordings does not exist."""
    if not source.is_dir():
        what_is_there = "is a file" if source.exists() else "does not exist"
        raise DataError(
            f"the source folder {source} {what_is_there}",
            hint=f"give the folder that holds {what}",
        )
