"""A user's table, CSV or Parquet, as columns of text: what a cell means is decided elsewhere."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecgmodels.data.recordings.wfdb_files import unreadable
from ecgmodels.errors import DataError

SUFFIXES = (".csv", ".parquet")
LIST_SEPARATOR = ";"
"""Joins the items of a Parquet cell that is a list."""

Column = Sequence[str | None]
"""A cell's text without the spaces around it; None where it is empty."""

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


@dataclass(frozen=True, kw_only=True)
class TextTable:
    """The columns of a table, all of one length, in the order of the file."""

    path: Path
    columns: Mapping[str, Column]

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> Column:
        return self.columns[name]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(self.columns)


def find_table(folder: Path, name: str | None) -> Path:
    """Return the table's path: the one asked for, or the only one in the folder.

    Raises:
        DataError: it does not exist, or there is none, or there are several.
    """
    if name is not None:
        path = folder / name  # an absolute name stands for itself
        if path.suffix not in SUFFIXES:
            raise DataError(
                f"the table {path} ends in '{path.suffix}', expected {' or '.join(SUFFIXES)}",
                hint="save it as CSV (UTF-8) or Parquet",
            )
        if not path.is_file():
            raise DataError(
                f"the table {path} does not exist", hint="give a path below the recordings' folder"
            )
        return path
    found = sorted(path for path in folder.iterdir() if path.suffix in SUFFIXES)
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{folder} should hold one table (.csv or .parquet), found {names}",
            hint="name it with --table"
            if found
            else "add a CSV file with the columns record, patient, label, age, sex",
        )
    return found[0]


def read_text_table(path: Path) -> TextTable:
    """Read a table.

    Raises:
        DataError: the file cannot be read, is no table, has no rows, or has columns without a name
            or of the same one.
    """
    names, rows = _parquet(path) if path.suffix == ".parquet" else _csv(path)
    for place, name in enumerate(names, start=1):
        if not name or name.startswith(("Unnamed:", "__index_level_")):
            raise DataError(
                f"{path}: column {place} of {len(names)} has no name",
                hint="row numbers (pandas: to_csv(index=False)) and trailing commas do this; "
                "remove or name the column",
            )
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path} has two columns '{twice[0]}'", hint="rename one of them")
    if not rows:
        raise DataError(f"{path} has no rows", hint="add one row a recording")
    columns = zip(*rows, strict=True)
    return TextTable(path=path, columns=dict(zip(names, columns, strict=True)))


def _csv(path: Path) -> tuple[list[str], list[list[str | None]]]:
    reader = csv.reader(io.StringIO(_utf8(path), newline=""), strict=True)
    try:
        lines = [(reader.line_num, cells) for cells in reader if any(map(str.strip, cells))]
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: not CSV ({error})",
            hint="save it as CSV with commas, and quotes around cells that hold some",
        ) from error
    if not lines:
        raise DataError(f"{path} is empty", hint="the first line names the columns")
    names = [name.strip() for name in lines[0][1]]
    for separator, what in _SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            raise DataError(
                f"{path} is separated by {what}, expected commas",
                hint="save it as CSV with commas (spreadsheets: 'CSV UTF-8'; pandas: sep=',')",
            )
    for line, cells in lines[1:]:
        if len(cells) != len(names):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells, expected {len(names)}",
                hint="put quotes around cells that hold commas, and give empty ones their commas",
            )
    return names, [[cell.strip() or None for cell in cells] for _, cells in lines[1:]]


def _utf8(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8",
            hint="save it as 'CSV UTF-8' (pandas: to_csv(encoding='utf-8'))",
        ) from error


def _parquet(path: Path) -> tuple[list[str], list[list[str | None]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"{path} cannot be read as Parquet: {' '.join(str(error).split())[:200]}",
            hint="write it again, or save it as CSV (UTF-8)",
        ) from error
    columns = [[_text(value) for value in column.to_pylist()] for column in table.columns]
    rows = [list(row) for row in zip(*columns, strict=True)]
    return [name.strip() for name in table.column_names], rows


def _text(value: Any) -> str | None:
    """Return a Parquet value as a CSV would have it."""
    if value is None or value != value:
        return None
    if isinstance(value, list):
        # No item is a recording with none of the classes, as a lone separator in a CSV is.
        return LIST_SEPARATOR.join(str(item) for item in value) or LIST_SEPARATOR
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() or None
