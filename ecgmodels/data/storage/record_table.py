"""records.arrow: one row a record, in the order of the shards' rows; opened in no time.

The file is memory-mapped and read by column, so that a million records cost no more to open than a
hundred. A count a class is a column `class:N`, a feature's missing values are `missing:age`, and a
split is `split:fixed` (0 train, 1 validation, 2 test).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgmodels.data.recordings.records import Sex
from ecgmodels.data.storage.columns import filled, view_of
from ecgmodels.errors import DataError

if TYPE_CHECKING:
    from ecgmodels.data.preparation.splits import Split

RECORDS_NAME = "records.arrow"

Part = Literal["development", "test"]
PARTS: tuple[Part, ...] = ("development", "test")
SIDES = ("train", "validation", "test")
"""Names of the numbers in a split's column."""
NO_SHARD = -1
SEXES: tuple[Sex, ...] = ("female", "male")
NULLABLE = ("age", "sex")
_CHUNK_ROWS = 4096  # turned into Python objects at a time


@dataclass(frozen=True, kw_only=True)
class RecordEntry:
    """One recording and what became of it."""

    id: str
    patient_id: str
    leads: tuple[str, ...]
    """The recording's own names of the dataset's leads."""
    age: float | None
    sex: Sex | None
    duration_s: float
    rate_hz: float
    """The recording's own."""
    part: Part
    samples: int
    """Of each of its segments, a lead."""
    segments: int
    class_counts: tuple[int, ...]
    """Segments of each of the dataset's classes."""
    missing: tuple[int, ...]
    """Segments that lack each of the dataset's features."""
    rejected: Mapping[str, int]
    """Reason -> segments that were not cut."""
    padded: int
    """Segments that reach over an end of the recording."""
    clipped_samples: int
    bridged_samples: int
    """Invalid samples interpolated, in the whole recording."""
    flat_leads: tuple[str, ...]
    """Canonical names of leads that are constant or invalid throughout."""
    signal_sha256: str
    """Of the signal as read, hex: records with the same one are copies."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordTable:
    """The records of a dataset, by column; a table of 0 rows is one too.

    batch: the columns of records.arrow (see the module).
    """

    batch: pa.RecordBatch

    def __len__(self) -> int:
        return self.batch.num_rows

    @cached_property
    def ids(self) -> NDArray[np.str_]:
        """str [record]"""
        return np.array(self.batch.column("id").to_pylist(), dtype=np.str_)

    @cached_property
    def patients(self) -> NDArray[np.int32]:
        """int32 [record], index into `patient_names`."""
        return view_of(self.batch.column("patient"))

    @cached_property
    def patient_names(self) -> NDArray[np.str_]:
        """str [patient], each once."""
        return np.array(self.batch.column("patient").dictionary.to_pylist(), dtype=np.str_)

    @property
    def patient_count(self) -> int:
        """Number of patients."""
        return len(self.batch.column("patient").dictionary)

    @cached_property
    def is_test(self) -> NDArray[np.bool_]:
        """bool [record]; False throughout the first rows, then True."""
        return self.numbers("part") == PARTS.index("test")

    @cached_property
    def segments(self) -> NDArray[np.int32]:
        """int32 [record], segments of each."""
        return self.numbers("segments")

    @cached_property
    def samples(self) -> NDArray[np.int32]:
        """int32 [record], samples a lead of each one's segments."""
        return self.numbers("samples")

    @cached_property
    def first_segment(self) -> NDArray[np.int64]:
        """int64 [record + 1], the rows where each record's segments begin, and their number."""
        return np.concatenate([[0], np.cumsum(self.segments, dtype=np.int64)])

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return self._named("class")

    @property
    def features(self) -> tuple[str, ...]:
        """Feature names, in the order of the feature axis."""
        return self._named("missing")

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits."""
        return self._named("split")

    def numbers(self, column: str) -> NDArray[Any]:
        """Return a column of numbers (of codes, for `part` and `sex`; -1 or NaN is unknown)."""
        values = self.batch.column(column)
        return filled(values, np.nan if pa.types.is_floating(values.type) else -1)

    def class_counts(self, name: str) -> NDArray[np.int32]:
        """Return int32 [record], the segments of a class."""
        return self.numbers(f"class:{name}")

    def missing(self, feature: str) -> NDArray[np.int32]:
        """Return int32 [record], the segments that lack a feature."""
        return self.numbers(f"missing:{feature}")

    def side(self, split: str) -> NDArray[np.uint8]:
        """Return uint8 [record]: the part of the split, an index into `SIDES`."""
        return self.numbers(f"split:{split}")

    def id_of(self, row: int) -> str:
        """Return the name of one record, without those of all the others."""
        return str(self.batch.column("id")[row].as_py())

    def entry(self, row: int) -> RecordEntry:
        """Return one record."""
        if not -len(self) <= row < len(self):
            raise IndexError(f"record {row} of {len(self)}")
        return next(self._entries(row % len(self), 1))

    def __iter__(self) -> Iterator[RecordEntry]:
        for start in range(0, len(self), _CHUNK_ROWS):
            yield from self._entries(start, _CHUNK_ROWS)

    def with_splits(self, splits: Mapping[str, Split]) -> RecordTable:
        """Return the table with a column for each split.

        Records of a split that are not in the table (they could not be read) are passed over.

        Raises:
            ValueError: a split lacks a record, or has it twice or in the wrong part.
        """
        row_of = {record: row for row, record in enumerate(self.ids.tolist())}
        batch = self.batch
        for name, split in splits.items():
            rows = [
                [row_of[record] for record in split.parts[side] if record in row_of]
                for side in SIDES
            ]
            column = np.zeros(len(self), dtype=np.uint8)
            for number, chosen in enumerate(rows):
                column[chosen] = number
            placed = np.concatenate(rows)
            if len(placed) != len(self) or len(np.unique(placed)) != len(self):
                raise ValueError(f"split '{name}' does not have every record once")
            if not np.array_equal(column == SIDES.index("test"), self.is_test):
                raise ValueError(f"split '{name}' tests on other records than the test shards'")
            batch = batch.append_column(
                pa.field(f"split:{name}", pa.uint8(), nullable=False), pa.array(column)
            )
        return RecordTable(batch=batch)

    def _named(self, kind: str) -> tuple[str, ...]:
        return tuple(
            name.split(":", 1)[1] for name in self.batch.schema.names if name.startswith(f"{kind}:")
        )

    def _entries(self, start: int, count: int) -> Iterator[RecordEntry]:
        classes = [f"class:{name}" for name in self.classes]
        features = [f"missing:{name}" for name in self.features]
        for row in self.batch.slice(start, count).to_pylist():
            yield RecordEntry(
                id=row["id"],
                patient_id=row["patient"],
                leads=tuple(row["leads"]),
                age=row["age"],
                sex=row["sex"],
                duration_s=row["duration_s"],
                rate_hz=row["rate_hz"],
                part=row["part"],
                samples=row["samples"],
                segments=row["segments"],
                class_counts=tuple(row[name] for name in classes),
                missing=tuple(row[name] for name in features),
                rejected=dict(row["rejected"]),
                padded=row["padded"],
                clipped_samples=row["clipped_samples"],
                bridged_samples=row["bridged_samples"],
                flat_leads=tuple(row["flat_leads"]),
                signal_sha256=row["signal_sha256"].hex(),
            )


def open_record_table(path: Path) -> RecordTable:
    """Memory-map records.arrow.

    Raises:
        DataError: it is missing, or not a table of records.
    """
    try:
        with pa.memory_map(str(path)) as source:
            reader = pa.ipc.open_file(source)
            if reader.num_record_batches != 1:
                raise pa.ArrowInvalid(f"{reader.num_record_batches} batches instead of one")
            batch = reader.get_batch(0)
        table = RecordTable(batch=batch)
        _check_columns(table)
    except (OSError, pa.ArrowException, KeyError) as error:
        raise DataError(
            f"{path} cannot be read as a table of records: {' '.join(str(error).split())}",
            hint="copy the dataset again, or delete it and prepare it again",
        ) from error
    return table


def plain_schema(classes: Iterable[str], features: Iterable[str]) -> pa.Schema:
    """Return the columns as they are collected, before strings are coded."""
    return pa.schema(
        [
            ("id", pa.string()),
            ("patient", pa.string()),
            ("part", pa.string()),
            ("age", pa.float64()),
            ("sex", pa.string()),
            ("duration_s", pa.float64()),
            ("rate_hz", pa.float64()),
            ("samples", pa.int32()),
            ("segments", pa.int32()),
            ("padded", pa.int32()),
            ("clipped_samples", pa.int64()),
            ("bridged_samples", pa.int64()),
            ("leads", pa.list_(pa.string())),
            ("flat_leads", pa.list_(pa.string())),
            ("rejected", pa.map_(pa.string(), pa.int64())),
            ("signal_sha256", pa.binary(32)),
            *((f"class:{name}", pa.int32()) for name in classes),
            *((f"missing:{name}", pa.int32()) for name in features),
        ]
    )


def _check_columns(table: RecordTable) -> None:
    """Raise KeyError or ArrowInvalid where a column is not as the builder makes it."""
    expected = plain_schema(table.classes, table.features)
    coded = {"patient": pa.int32(), "part": pa.int8(), "sex": pa.int8()}
    for field in [*expected, *(pa.field(f"split:{name}", pa.uint8()) for name in table.splits)]:
        found = table.batch.column(field.name)
        kind = field.type
        if field.name in coded:
            kind = pa.dictionary(coded[field.name], pa.string())
        if found.type != kind:
            raise pa.ArrowInvalid(f"column {field.name} is {found.type}, expected {kind}")
        if found.null_count and field.name not in NULLABLE:
            raise pa.ArrowInvalid(f"column {field.name} has {found.null_count} missing values")
