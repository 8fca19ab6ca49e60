"""Recordings made up in memory, for what needs no files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ecgmodels.data.databases.base import NoSettings, Recordings, Task
from ecgmodels.data.preparation.options import PrepareOptions, ResolvedOptions, resolve
from ecgmodels.data.recordings.records import Beats, Record

AAMI = Task(
    name="aami",
    labels="beat",
    classes=("N", "S", "V", "F", "Q"),
    default_classes=("N", "S", "V", "F"),
    scored_classes=("N", "S", "V"),
    codes={"N": "N", "A": "S", "V": "V", "F": "F", "Q": "Q"},
)
RHYTHM = Task(
    name="rhythm",
    labels="record",
    classes=("N", "A", "O"),
    default_classes=("N", "A"),
    scored_classes=("N", "A"),
)
DIAGNOSES = Task(
    name="diagnoses",
    labels="record",
    classes=("MI", "CD", "HYP", "NORM"),
    default_classes=("MI", "CD", "NORM"),
    scored_classes=("MI", "CD"),
    multi_label=True,
)
UNLABELLED = Task(
    name="unlabelled", labels="record", classes=(), default_classes=(), scored_classes=()
)


class MadeRecordings(Recordings):
    """What options are resolved against; it has no record."""

    def __init__(
        self,
        task: Task,
        *,
        leads: tuple[str, ...] = ("MLII",),
        extra_features: tuple[str, ...] = (),
        official_splits: tuple[str, ...] = ("custom", "custom-strict"),
    ) -> None:
        self.task = task
        self.leads = leads
        self.extra_features = extra_features
        self.official_splits = official_splits

    @property
    def record_ids(self) -> tuple[str, ...]:
        """None."""
        return ()

    def patient_of(self, record_id: str) -> str:
        """Never asked: there is no record."""
        raise KeyError(record_id)

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Never asked: there is no record."""
        raise KeyError(record_id)

    def read(self, record_id: str) -> Record:
        """Never asked: there is no record."""
        raise KeyError(record_id)


def resolved(
    task: Task, *, recorded: tuple[str, ...] = ("MLII",), own: tuple[str, ...] = (), **options: Any
) -> ResolvedOptions:
    """Resolve options for recordings of one task."""
    recordings = MadeRecordings(task, leads=recorded, extra_features=own)
    return resolve(PrepareOptions(**options), recordings, {}, NoSettings())


def beats_at(samples: list[int], symbols: str = "") -> Beats:
    """Return beats; without symbols they are detected ones."""
    codes = list(symbols) if symbols else [""] * len(samples)
    return Beats(sample=np.array(samples, dtype=np.int64), symbol=np.array(codes, dtype=np.str_))


def made_record(**replaced: Any) -> Record:
    """Return a record of 10 s at 100 Hz with a beat each second; keywords replace its fields."""
    rate_hz = replaced.get("rate_hz", 100.0)
    noise = np.random.default_rng(0).normal(0, 0.2, (1, round(10 * rate_hz)))
    values: dict[str, Any] = {
        "id": "r1",
        "patient_id": "p1",
        "signal_mv": noise,
        "rate_hz": rate_hz,
        "leads": ("MLII",),
        "age": 60.0,
        "sex": "female",
        "beats": beats_at([round((second + 0.5) * rate_hz) for second in range(10)], "N" * 10),
    }
    return Record(**(values | replaced))
