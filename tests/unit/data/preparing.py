"""What tests of preparation share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from ecgmodels.configs import Config
from ecgmodels.data import (
    DATABASES,
    Database,
    PrepareOptions,
    Record,
    Recordings,
    Task,
)
from tests.made_recordings import RHYTHM, made_record
from tests.wfdb_folder import write_record

OPTIONS = PrepareOptions(folds=2)


def content(folder: Path) -> dict[str, bytes]:
    """Return relative path -> bytes, without the one file that may differ."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def cut_short(folder: Path, *records: str) -> None:
    for record in records:
        path = folder / f"{record}.dat"
        path.write_bytes(path.read_bytes()[:1000])


@pytest.fixture(scope="module")
def many_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 96 short recordings with a table, every third of class B, two a patient."""
    folder = tmp_path_factory.mktemp("many")
    lines = ["record,patient,label"]
    for number in range(96):
        write_record(folder, f"m{number:02d}", seed=number)
        lines.append(f"m{number:02d},P{number // 2},{'B' if number % 3 == 0 else 'A'}")
    (folder / "records.csv").write_text("\n".join(lines) + "\n")
    return folder


class Made(Recordings):
    """Recordings made up in memory: r0, r1, ... of classes N and A by turns."""

    leads = ("MLII",)
    task: Task = RHYTHM

    def __init__(self, spoil: Callable[[Record], Record], task: Task = RHYTHM) -> None:
        self._spoil = spoil
        self.task = task

    @property
    def record_ids(self) -> tuple[str, ...]:
        return tuple(f"r{number}" for number in range(24))

    def patient_of(self, record_id: str) -> str:
        return record_id

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        return {self._label(record_id): 1}

    def read(self, record_id: str) -> Record:
        labels = (self._label(record_id),) if self.task.classes else None
        record = made_record(id=record_id, patient_id=record_id, labels=labels, beats=None)
        return self._spoil(replace(record, signal_mv=record.signal_mv + float(record_id[1:])))

    def _label(self, record_id: str) -> str:
        return "A" if int(record_id[1:]) % 2 else "N"


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers a database `made` whose records go through a function, for this process alone."""

    def register(spoil: Callable[[Record], Record], task: Task = RHYTHM) -> None:
        class MadeDatabase(Database):
            name: ClassVar[str] = "made"
            title: ClassVar[str] = "Made up"
            version: ClassVar[str] = "1"
            tasks: ClassVar[tuple[str, ...]] = (task.name,)

            def open(self, source: Path, task_name: str, settings: Config) -> Recordings:
                return Made(spoil, task)

        monkeypatch.setitem(DATABASES, "made", MadeDatabase())

    return register
