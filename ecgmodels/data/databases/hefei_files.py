"""The three kinds of text file of the Hefei Hi-tech Cup: classes, labels and signals.

Text is UTF-8, with or without a byte order mark, or GBK: copies of both kinds go round.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.recordings.leads import INDEPENDENT_8, lead_order
from ecgmodels.data.recordings.records import Sex
from ecgmodels.errors import DataError

MV_PER_UNIT = 4.88e-3
"""The competition's page gives 4.88 microvolts a unit, 500 Hz and 10 s."""
RATE_HZ = 500.0
SAMPLES = 5000
_LARGEST_UNIT = 2**23
"""What a converter of 24 bits, the widest in use for ECGs, can give: 41 V at this unit."""

_MISSING = frozenset(("", "nan", "none"))
_COPY_AGAIN = "unpack the file again from the competition's archive"
_CORRECT_LINE = "correct the line; its columns are id, age, gender and labels, between tabs"
_IS_SPACE, _IS_SIGN, _IS_DIGIT = (
    np.isin(np.arange(256), np.frombuffer(characters, dtype=np.uint8))
    for characters in (b" \t\r\n\v\f", b"+-", b"0123456789")
)


@dataclass(frozen=True, kw_only=True)
class LabelLine:
    """One line of a label file as it stands there: what is wrong with it costs one recording."""

    path: Path
    number: int
    record_id: str
    columns: tuple[str, ...]
    """Id, age, gender and any number of labels; perhaps fewer."""
    classes: tuple[str, ...]
    """Of the list of classes, the same for every line."""

    @property
    def unlabelled(self) -> bool:
        """Whether the line names no label, and has age and gender where they belong."""
        if any(self.columns[3:]):
            return False
        try:
            _ = self.age, self.sex
        except DataError:  # a column has slipped: the label may be there
            return False
        return True

    @property
    def labels(self) -> tuple[str, ...]:
        """Each once, in the order of the classes.

        Raises:
            DataError: a label is none of the classes, or columns are missing.
        """
        self._cell(2)
        found = set(filter(None, self.columns[3:]))
        unknown = found.difference(self.classes)
        if unknown:
            raise self._error(
                f"has the label '{min(unknown)}', which is not in the list of classes",
                hint="give the class list of the same round (classes_file)",
            )
        return tuple(name for name in self.classes if name in found)

    @property
    def age(self) -> float | None:
        """Years; None where the line leaves it out.

        Raises:
            DataError: it is no number, or no age that people reach.
        """
        text = self._cell(1)
        if text.lower() in _MISSING:
            return None
        try:
            age = float(text)
        except ValueError:
            age = -1.0
        if not 0 <= age <= 120:
            raise self._error(f"has the age '{text}', expected 0 to 120 or nothing")
        return age

    @property
    def sex(self) -> Sex | None:
        """None where the line leaves it out.

        Raises:
            DataError: it is neither FEMALE nor MALE.
        """
        text = self._cell(2)
        gender = text.lower()
        if gender in _MISSING:
            return None
        if gender == "female":
            return "female"
        if gender == "male":
            return "male"
        raise self._error(f"has the gender '{text}', expected FEMALE, MALE or nothing")

    def _cell(self, column: int) -> str:
        if len(self.columns) < 3:
            raise self._error(
                f"has {len(self.columns)} columns, expected id, age, gender and labels between "
                "tabs",
                hint="leave a missing age or gender empty, but keep its tab",
            )
        return self.columns[column]

    def _error(self, what: str, *, hint: str = _CORRECT_LINE) -> DataError:
        return DataError(
            f"{self.path}, line {self.number}: record {self.record_id} {what}", hint=hint
        )


def read_classes(path: Path) -> tuple[str, ...]:
    """Read the names of the classes, one a line.

    Raises:
        DataError: the file is missing, in no known encoding, names nothing, or a name twice.
    """
    first_line: dict[str, int] = {}
    for number, line in enumerate(_read_lines(path), start=1):
        name = line.strip()
        if name in first_line:
            raise DataError(
                f"{path}, line {number}: the class '{name}' is on line {first_line[name]}, too",
                hint="list each class once",
            )
        if name:
            first_line[name] = number
    if not first_line:
        raise DataError(f"{path} names no class", hint="list the classes, one name a line")
    return tuple(first_line)


def read_labels(path: Path, classes: Sequence[str]) -> dict[str, LabelLine]:
    """Read the label file: record id (without ".txt") -> its line, in the order of the file.

    A line is id, age, gender and any number of labels, between tabs; a tab may follow the last.
    What else is wrong with a line is told where it is used.

    Raises:
        DataError: names the line that has no id, or repeats one.
    """
    lines: dict[str, LabelLine] = {}
    for number, text in enumerate(_read_lines(path), start=1):
        if not text.strip():
            continue
        fields = [field.strip() for field in text.split("\t")]
        # Where spaces stand for the tabs, the first word is still the id.
        first = fields[0] if len(fields) >= 3 else fields[0].partition(" ")[0]
        record_id = first.removesuffix(".txt")
        if not record_id:
            raise DataError(
                f"{path}, line {number} names no record",
                hint="write the name of the recording's file before the first tab",
            )
        if record_id in lines:
            raise DataError(
                f"{path}, line {number}: record {record_id} is on line "
                f"{lines[record_id].number}, too",
                hint="keep one line a record, with all its labels",
            )
        lines[record_id] = LabelLine(
            path=path,
            number=number,
            record_id=record_id,
            columns=tuple(fields),
            classes=tuple(classes),
        )
    return lines


def read_signal(path: Path) -> NDArray[np.float64]:
    """Read a recording: float64 [8, 5000], millivolts, leads in the order of `INDEPENDENT_8`.

    Raises:
        DataError: names the line that is not a row of whole numbers, one a lead, or holds one
            that no recorder gives; a lead is missing, or the rows are not those of 10 s.
    """
    header, _, body = _read_bytes(path).removeprefix(b"\xef\xbb\xbf").partition(b"\n")
    leads = header.decode("ascii", errors="replace").split()
    order = lead_order(leads, INDEPENDENT_8, where=str(path))
    values = _whole_numbers(path, body.rstrip(), columns=len(leads))
    if len(values) != SAMPLES:
        raise DataError(
            f"{path} has {len(values):,} rows under its header, expected {SAMPLES:,} "
            f"(10 s at {RATE_HZ:g} Hz)",
            hint=_COPY_AGAIN,
        )
    return np.ascontiguousarray(values[:, order].T, dtype=np.float64) * MV_PER_UNIT


def _whole_numbers(path: Path, body: bytes, *, columns: int) -> NDArray[np.int64]:
    """Parse int64 [row, column] once operations on all the text at a time have found it sound.

    NumPy's parser stops at what is no number, with a warning, and does not see rows.
    """
    if not body:
        return np.empty((0, columns), dtype=np.int64)
    text = np.frombuffer(b"\n" + body + b"\n", dtype=np.uint8)
    space, digit, sign = _IS_SPACE[text], _IS_DIGIT[text], _IS_SIGN[text]
    good = space | digit
    good[1:-1] |= sign[1:-1] & space[:-2] & digit[2:]
    if not good.all():
        line, word = _first_that_is_no_number(body)
        raise DataError(
            f"{path}, line {1 + line} has '{word}', expected whole numbers", hint=_COPY_AGAIN
        )
    number_starts = ~space
    number_starts[1:] &= space[:-1]
    line_starts = np.flatnonzero(text[:-1] == ord("\n"))
    in_line = np.add.reduceat(number_starts, line_starts, dtype=np.int64)
    if (in_line != columns).any():
        row = int(np.flatnonzero(in_line != columns)[0])
        raise DataError(
            f"{path}, line {2 + row} has {in_line[row]} numbers, expected {columns}, one a lead",
            hint=_COPY_AGAIN,
        )
    # What does not fit into 64 bits becomes the largest number that does.
    values = np.fromstring(body, dtype=np.int64, sep=" ").reshape(-1, columns)
    too_large = (values > _LARGEST_UNIT) | (values < -_LARGEST_UNIT)
    if too_large.any():
        row, column = np.argwhere(too_large)[0].tolist()
        word = body.split(b"\n")[row].split()[column].decode("ascii")
        raise DataError(
            f"{path}, line {2 + row} has {word[:30]}, expected at most {_LARGEST_UNIT:,} units in "
            "either direction",
            hint=_COPY_AGAIN,
        )
    return values


def _first_that_is_no_number(body: bytes) -> tuple[int, str]:
    for number, line in enumerate(body.split(b"\n"), start=1):
        for word in line.split():
            if not re.fullmatch(rb"[+-]?[0-9]+", word):
                return number, word.decode("ascii", errors="replace")
    raise AssertionError("called for a text of whole numbers")


def _read_lines(path: Path) -> list[str]:
    content = _read_bytes(path)
    for encoding in ("utf-8-sig", "gb18030"):  # GB18030 extends GBK
        try:
            return content.decode(encoding).splitlines()
        except UnicodeDecodeError:
            continue
    raise DataError(
        f"{path} is text in neither UTF-8 nor GBK",
        hint="save it as UTF-8, for example with iconv",
    )


def _read_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}",
            hint="copy it there from the competition's archive",
        ) from error
