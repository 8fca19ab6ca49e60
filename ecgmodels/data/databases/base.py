"""What a database has to say about itself, and the registry of those that do."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ecgmodels.configs import nearest_hint
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.records import Record
from ecgmodels.errors import DataError


class Database(ABC):
    """A set of recordings with their customary labels, split and exclusions.

    Instances hold no state: a worker process finds its own by name. Every registered database
    goes through `tests/contract/test_databases.py`.
    """

    name: ClassVar[str]
    """What the command line calls it."""
    title: ClassVar[str]
    version: ClassVar[str]
    leads: ClassVar[tuple[str, ...]]
    """Canonical lead names, the same for every record; `read` returns leads in this order."""
    classes: ClassVar[tuple[str, ...]]
    default_classes: ClassVar[tuple[str, ...]]
    scored_classes: ClassVar[tuple[str, ...]]
    """The classes whose mean F1 is searched for."""
    mappings: ClassVar[Mapping[str, Mapping[str, str]]]
    """Mapping name -> annotation code -> class; the first is the customary one."""
    split_names: ClassVar[tuple[str, ...]]
    """Official splits; the first is the customary one."""
    excluded: ClassVar[Mapping[str, str]] = {}
    """Record id -> why it is left out."""

    @abstractmethod
    def record_ids(self, source: Path) -> tuple[str, ...]:
        """Return the records to prepare, without the excluded ones.

        Raises:
            DataError: the folder lacks a record that the split needs, or its list of records.
        """

    @abstractmethod
    def patient_of(self, record_id: str) -> str:
        """Return the patient of a record."""

    @abstractmethod
    def read(self, source: Path, record_id: str) -> Record:
        """Read one record, leads in the order of `leads`."""

    @abstractmethod
    def fixed_split(self, record_ids: Sequence[str], name: str) -> Split:
        """Return the official split called `name` over all the records."""

    def shared_patients(self, split_name: str) -> tuple[tuple[str, ...], ...]:
        """Return the groups of records of one patient that the split has on both sides of test."""
        return ()


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


def mapping_from_codes(codes: Mapping[str, str]) -> dict[str, str]:
    """Turn class -> "codes" into code -> class."""
    return {code: label for label, symbols in codes.items() for code in symbols}


def require_source(source: Path) -> None:
    """Raise DataError where the folder of recordings does not exist."""
    if not source.is_dir():
        raise DataError(
            f"the source folder {source} does not exist",
            hint="give the folder that holds the .hea, .dat and .atr files",
        )
