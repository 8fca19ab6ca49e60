"""The table that describes a user's own recordings: one row a recording, checked cell by cell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ecgmodels.configs import nearest_hint
from ecgmodels.data.recordings.records import Sex
from ecgmodels.data.segmentation.features import FEATURES
from ecgmodels.errors import DataError

if TYPE_CHECKING:
    import pandas as pd

SUFFIXES = (".csv", ".parquet")
LABEL_SEPARATOR = ";"
PARTS = ("train", "validation", "test")
MOST_VALUES = 20
"""A column of words with more different values is taken for free text, not for a category."""
LARGEST_AGE = 120.0

_OWN_COLUMNS = ("record", "patient", "label", "labels", "age", "sex", "split")
_SEXES: Mapping[str, Sex] = {"female": "female", "f": "female", "male": "male", "m": "male"}


@dataclass(frozen=True, kw_only=True)
class RecordingRow:
    """What the table says of one recording."""

    patient: str
    labels: tuple[str, ...] | None
    """None where the cell is empty."""
    age: float | None
    sex: Sex | None
    features: Mapping[str, float]
    """Feature -> value; NaN where unknown."""


@dataclass(frozen=True, kw_only=True)
class RecordingTable:
    """A whole table."""

    path: Path
    rows: Mapping[str, RecordingRow]
    """Record -> row, in the table's order."""
    classes: tuple[str, ...]
    """Every label that occurs, in alphabetical order."""
    multi_label: bool
    features: tuple[str, ...]
    patients_known: bool
    split_of: Mapping[str, str] | None
    """Record -> part, where the table has the column."""


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


def read_recording_table(path: Path, *, ignore: Sequence[str], labelled: bool) -> RecordingTable:
    """Read and check a table.

    Args:
        path: CSV (UTF-8, with or without a byte order mark) or Parquet.
        ignore: columns that do not become features.
        labelled: a column `label` or `labels` is needed.

    Raises:
        DataError: names the file, and the column and record that are wrong.
    """
    frame = _read(path)
    _check_columns(frame, path, ignore, labelled)
    records = _texts(frame, "record")
    _check_records(records, path)
    patients = _texts(frame, "patient") if "patient" in frame else records
    for record, patient in zip(records, patients, strict=True):
        if patient is None:
            raise DataError(
                f"{path}, record {record}: the column 'patient' is empty",
                hint="name each recording's patient, or leave the whole column out",
            )
    labels = _labels(frame, path) if labelled else [None] * len(records)
    columns = [name for name in frame if name not in _OWN_COLUMNS and name not in ignore]
    features: dict[str, list[float]] = {}
    for column in columns:
        features |= _feature_columns(frame, column, path)
    _check_feature_names(features, path)
    ages, sexes = _ages(frame, records, path), _sexes(frame, records, path)
    rows = {
        str(record): RecordingRow(
            patient=str(patients[index]),
            labels=labels[index],
            age=ages[index],
            sex=sexes[index],
            features={name: values[index] for name, values in features.items()},
        )
        for index, record in enumerate(records)
    }
    return RecordingTable(
        path=path,
        rows=rows,
        classes=tuple(sorted({label for row in labels if row for label in row})),
        multi_label="labels" in frame,
        features=tuple(features),
        patients_known="patient" in frame,
        split_of=_split_of(frame, records, path),
    )


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            frame = pd.read_parquet(path)
        else:
            # Everything as it stands: "007" is a name, "NA" may be a class, and of two columns of
            # one name pandas would rename the second.
            frame = pd.read_csv(
                path, header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig"
            )
            frame.columns = frame.iloc[0]
            frame = frame.iloc[1:]
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read as a table: {' '.join(str(error).split())[:200]}",
            hint="save it as CSV (UTF-8, commas) or Parquet",
        ) from error
    frame.columns = [str(name).strip() for name in frame.columns]
    return frame


def _check_columns(frame: pd.DataFrame, path: Path, ignore: Sequence[str], labelled: bool) -> None:
    names = list(frame.columns)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"{path} has two columns '{twice[0]}'", hint="rename one of them")
    if "record" not in names:
        raise DataError(
            f"{path} has no column 'record' (its columns: {', '.join(names)})",
            hint="the first line names the columns; 'record' holds paths without suffix",
        )
    if labelled and ("label" in names) == ("labels" in names):
        have = "both 'label' and 'labels'" if "label" in names else "neither 'label' nor 'labels'"
        raise DataError(
            f"{path} has {have}",
            hint="one column: 'label' for one class a recording, 'labels' for several with "
            f"'{LABEL_SEPARATOR}' between; --task beats or unlabelled needs none",
        )
    for name in ignore:
        if name not in names:
            raise DataError(
                f"ignore names '{name}', which {path} does not have", hint=nearest_hint(name, names)
            )
    if frame.empty:
        raise DataError(f"{path} has no rows", hint="add one row a recording")


def _texts(frame: pd.DataFrame, column: str) -> list[str | None]:
    """Return a column as stripped text, None where it is empty."""
    values = []
    for value in frame[column].tolist():
        text = "" if value is None or value != value else str(value).strip()
        values.append(text or None)
    return values


def _check_records(records: Sequence[str | None], path: Path) -> None:
    for number, record in enumerate(records, start=1):
        if record is None:
            raise DataError(f"{path}, row {number}: 'record' is empty", hint="name the recording")
        if Path(record).is_absolute() or ".." in Path(record).parts:
            raise DataError(
                f"{path}, row {number}: record '{record}' is not a path below the folder",
                hint="give a path relative to the folder of recordings, without suffix",
            )
    twice = [record for record, count in Counter(records).items() if count > 1]
    if twice:
        raise DataError(
            f"{path} lists record {twice[0]} twice", hint="one row a recording; merge its labels"
        )


def _labels(frame: pd.DataFrame, path: Path) -> list[tuple[str, ...] | None]:
    if "label" in frame:
        return [None if text is None else (text,) for text in _texts(frame, "label")]
    rows: list[tuple[str, ...] | None] = []
    for text in _texts(frame, "labels"):
        if text is None:
            rows.append(None)
            continue
        names = [name.strip() for name in text.split(LABEL_SEPARATOR)]
        rows.append(tuple(dict.fromkeys(name for name in names if name)))
    return rows


def _feature_columns(frame: pd.DataFrame, column: str, path: Path) -> dict[str, list[float]]:
    """Return feature -> values: the numbers of a column, or one feature a word of it."""
    texts = _texts(frame, column)
    numbers = [_number(text) for text in texts]
    known = [number is not None for text, number in zip(texts, numbers, strict=True) if text]
    if all(known):
        return {column: [math.nan if number is None else number for number in numbers]}
    values = sorted({text for text in texts if text})
    if len(values) > MOST_VALUES:
        if sum(known) > len(known) // 2:
            bad = next(t for t, n in zip(texts, numbers, strict=True) if t and n is None)
            message = f"{path}: column '{column}' holds numbers, and also '{bad}'"
        else:
            message = (
                f"{path}: column '{column}' has {len(values)} different words, at most "
                f"{MOST_VALUES} make a category"
            )
        raise DataError(message, hint=f"correct it, or leave it out with --ignore {column}")
    return {
        f"{column}={value}": [math.nan if text is None else float(text == value) for text in texts]
        for value in values
    }


def _number(text: str | None) -> float | None:
    if text is None or text.casefold() == "nan":
        return math.nan if text else None
    if text.casefold() in ("true", "false"):
        return float(text.casefold() == "true")
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _check_feature_names(features: Mapping[str, object], path: Path) -> None:
    for name in features:
        if name in FEATURES:
            raise DataError(
                f"{path}: column '{name}' has the name of a feature that is computed from the "
                "recording",
                hint=f"rename the column, or leave it out with --ignore {name}",
            )


def _ages(frame: pd.DataFrame, records: Sequence[str | None], path: Path) -> list[float | None]:
    if "age" not in frame:
        return [None] * len(records)
    ages: list[float | None] = []
    for record, text in zip(records, _texts(frame, "age"), strict=True):
        age = _number(text)
        if text is not None and (age is None or not (math.isnan(age) or 0 <= age <= LARGEST_AGE)):
            raise DataError(
                f"{path}, record {record}: age is '{text}', expected years from 0 to "
                f"{LARGEST_AGE:g} or nothing",
                hint="leave the cell empty where the age is unknown",
            )
        ages.append(None if age is None or math.isnan(age) else age)
    return ages


def _sexes(frame: pd.DataFrame, records: Sequence[str | None], path: Path) -> list[Sex | None]:
    if "sex" not in frame:
        return [None] * len(records)
    sexes: list[Sex | None] = []
    for record, text in zip(records, _texts(frame, "sex"), strict=True):
        if text is not None and text.casefold() not in _SEXES:
            raise DataError(
                f"{path}, record {record}: sex is '{text}', expected female, male or nothing",
                hint="write female or male (numbers mean different things in different databases)",
            )
        sexes.append(None if text is None else _SEXES[text.casefold()])
    return sexes


def _split_of(
    frame: pd.DataFrame, records: Sequence[str | None], path: Path
) -> Mapping[str, str] | None:
    if "split" not in frame:
        return None
    parts = _texts(frame, "split")
    for record, part in zip(records, parts, strict=True):
        if part not in PARTS:
            raise DataError(
                f"{path}, record {record}: split is '{part or ''}', expected {', '.join(PARTS)}",
                hint="give every recording a part, or leave the column out",
            )
    return {str(record): str(part) for record, part in zip(records, parts, strict=True)}
