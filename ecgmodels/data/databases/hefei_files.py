"""The three kinds of text file of the Hefei Hi-tech Cup: classes, labels and signals.

Text is UTF-8, with or without a byte order mark, or GBK: copies of both kinds go round.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
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

_MISSING = frozenset(("", "nan", "none"))
_COPY_AGAIN = "unpack the file again from the competition's archive"
_IS_SPACE, _IS_SIGN, _IS_DIGIT = (
    np.isin(np.arange(256), np.frombuffer(characters, dtype=np.uint8))
    for characters in (b" \t\r\n\v\f", b"+-", b"0123456789")
)


@dataclass(frozen=True, kw_only=True)
class LabelLine:
    """One line of a label file, its age and gender as they stand there."""

    path: Path
    number: int
    record_id: str
    age_text: str
    gender_text: str
    labels: tuple[str, ...]
    """Each once, in the order of the classes."""

    @property
    def age(self) -> float | None:
        """Years; None where the line leaves it out.

        Raises:
            DataError: it is no number, or no age that people reach.
        """
        if self.age_text.lower() in _MISSING:
            return None
        try:
            age = float(self.age_text)
        except ValueError:
            age = -1.0
        if not 0 <= age <= 120:
            raise self._error(f"has the age '{self.age_text}', expected 0 to 120 or nothing")
        return age

    @property
    def sex(self) -> Sex | None:
        """None where the line leaves it out.

        Raises:
            DataError: it is neither FEMALE nor MALE.
        """
        gender = self.gender_text.lower()
        if gender in _MISSING:
            return None
        if gender == "female":
            return "female"
        if gender == "male":
            return "male"
        raise self._error(f"has the gender '{self.gender_text}', expected FEMALE, MALE or nothing")

    def _error(self, what: str) -> DataError:
        return DataError(
            f"{self.path}, line {self.number}: record {self.record_id} {what}",
            hint="correct the line; its columns are id, age, gender and labels, between tabs",
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

    Raises:
        DataError: names the line that lacks a column, repeats an id, or has an unknown label.
    """
    lines: dict[str, LabelLine] = {}
    rank = {name: index for index, name in enumerate(classes)}
    for number, text in enumerate(_read_lines(path), start=1):
        if not text.strip():
            continue
        fields = [field.strip() for field in text.split("\t")]
        if len(fields) < 3:
            raise DataError(
                f"{path}, line {number} has {len(fields)} columns, "
                "expected id, age, gender and labels between tabs",
                hint="leave a missing age or gender empty, but keep its tab",
            )
        record_id = fields[0].removesuffix(".txt")
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
            age_text=fields[1],
            gender_text=fields[2],
            labels=_known(set(filter(None, fields[3:])), rank, f"{path}, line {number}"),
        )
    return lines


def read_signal(path: Path) -> NDArray[np.float64]:
    """Read a recording: float64 [8, 5000], millivolts, leads in the order of `INDEPENDENT_8`.

    Raises:
        DataError: names the line that is not a row of whole numbers, one a lead; a lead is
            missing, or the rows are not those of 10 s.
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
    return np.fromstring(body, dtype=np.int64, sep=" ").reshape(-1, columns)


def _first_that_is_no_number(body: bytes) -> tuple[int, str]:
    for number, line in enumerate(body.split(b"\n"), start=1):
        for word in line.split():
            if not re.fullmatch(rb"[+-]?[0-9]+", word):
                return number, word.decode("ascii", errors="replace")
    raise AssertionError("called for a text of whole numbers")


def _known(labels: Collection[str], rank: dict[str, int], where: str) -> tuple[str, ...]:
    for label in sorted(labels):
        if label not in rank:
            raise DataError(
                f"{where}: the label '{label}' is not in the list of classes",
                hint="give the class list of the same round (classes_file)",
            )
    return tuple(sorted(labels, key=rank.__getitem__))


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
