"""Text tables that come with databases, read so that a wrong cell is named by file and line.

CSV as it is met: UTF-8 with or without a byte order mark, lines that end in LF or CRLF, quoted
cells that span lines, blank lines at the end.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

from ecgmodels.configs import nearest_hint
from ecgmodels.data.recordings.wfdb_files import unreadable
from ecgmodels.errors import DataError

_Value = TypeVar("_Value")
_MOST_DIGITS = 18
_COPY_AGAIN = "copy the file again from the database's page"


@dataclass(frozen=True, kw_only=True)
class Row:
    """The cells of one row that were asked for, without the spaces around them."""

    path: Path
    line: int
    """Of the file, from 1; the last one where a quoted cell spans several."""
    cells: Mapping[str, str]

    def wrong(self, column: str, expected: str) -> DataError:
        """Return the error that says what was expected of a cell, and what it holds."""
        name, text = column or "the first cell", _shortened(self.cells[column])
        return DataError(
            f"{self.path}, line {self.line}: {name} is '{text}', expected {expected}",
            hint=_COPY_AGAIN,
        )

    def text(self, column: str) -> str:
        """Return a cell that may not be empty."""
        text = self.cells[column]
        if not text:
            raise self.wrong(column, "something")
        return text

    def number(self, column: str, *, least: float, most: float, unit: str = "") -> float | None:
        """Return a number in a range; None where the cell is empty or "nan"."""
        text = self.cells[column]
        if not text or text.lower() == "nan":
            return None
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:
            raise self.wrong(column, f"{least:g} to {most:g} {unit}".rstrip() + " or nothing")
        return number

    def whole(self, column: str) -> int:
        """Return a whole number, also where it is written as "15709.0"."""
        whole, _, fraction = self.text(column).partition(".")
        # str.isdigit also holds for "²" and digits of other scripts.
        digits = whole.isascii() and whole.isdigit() and len(whole) <= _MOST_DIGITS
        if not digits or fraction.strip("0"):
            raise self.wrong(column, "a whole number")
        return int(whole)

    def one_of(self, column: str, values: Mapping[str, _Value]) -> _Value | None:
        """Return what a cell's text stands for; None where it is empty."""
        text = self.cells[column]
        if not text:
            return None
        if text not in values:
            raise self.wrong(column, f"{', '.join(values)} or nothing")
        return values[text]


def read_rows(path: Path, columns: Sequence[str], *, header: bool = True) -> list[Row]:
    """Read a CSV file.

    Args:
        path: the file.
        columns: those to keep; there may be others. Without a header: all of them, in order.
        header: the first line names the columns.

    Raises:
        DataError: the file is missing, no UTF-8 text or no CSV; lacks a column or all rows; or
            has a row with too few or too many cells.
    """
    lines = _lines(path)
    names: Sequence[str] = columns
    if header:
        names = [name.strip() for name in next(lines, (1, []))[1]]
        _check_columns(path, names, columns)
    place_of = {column: names.index(column) for column in columns}
    rows = []
    for line, cells in lines:
        if len(cells) != len(names):
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells, expected {len(names)}", hint=_COPY_AGAIN
            )
        kept = {column: cells[place].strip() for column, place in place_of.items()}
        rows.append(Row(path=path, line=line, cells=kept))
    if not rows:
        raise DataError(f"{path} has no rows", hint=_COPY_AGAIN)
    return rows


def read_listing(folder: Path) -> dict[str, str]:
    """Read PhysioNet's RECORDS file, one record a line, perhaps in a folder ("A00/A00001").

    Returns:
        Record name ("A00001") -> path below `folder`, without suffix; in the order of the file.

    Raises:
        DataError: the file is missing, empty, no text, or lists a name twice or a path that leads
            out of the folder.
    """
    path = folder / "RECORDS"
    stems: dict[str, str] = {}
    for line, text in enumerate(_text(path).splitlines(), start=1):
        stem = PurePosixPath(text.strip())
        if not stem.name:
            continue
        if stem.is_absolute() or ".." in stem.parts:
            raise DataError(
                f"{path}, line {line}: '{_shortened(text)}' is not a path below {folder}",
                hint=_COPY_AGAIN,
            )
        if stem.name in stems:
            raise DataError(
                f"{path}, line {line}: record {stem.name} is listed a second time",
                hint="give a folder that holds each record once",
            )
        stems[stem.name] = str(stem)
    if not stems:
        raise DataError(f"{path} lists no record", hint=_COPY_AGAIN)
    return stems


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the line number and cells of each row that is not blank."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                yield reader.line_num, cells
    except csv.Error as error:
        raise DataError(
            f"{path}, line {reader.line_num}: not CSV ({error})", hint=_COPY_AGAIN
        ) from error


def _text(path: Path) -> str:
    if not path.is_file():
        raise DataError(
            f"{path} is missing", hint="copy it from the database's page; it belongs there"
        )
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from error
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 text (byte {error.start:,})", hint=_COPY_AGAIN
        ) from error


def _check_columns(path: Path, names: Sequence[str], wanted: Sequence[str]) -> None:
    for column in wanted:
        if column not in names:
            raise DataError(
                f"{path} has no column '{column}'",
                hint=f"the first line names the columns; {nearest_hint(column, names)}",
            )
        if names.count(column) > 1:
            raise DataError(f"{path} has two columns '{column}'", hint=_COPY_AGAIN)


def _shortened(text: str) -> str:
    """Return text on one line that fits into a message."""
    line = " ".join(text.split())
    return line if len(line) <= 60 else line[:57] + "..."
