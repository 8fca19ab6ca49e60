"""The table that describes a user's own recordings: one row a recording, checked cell by cell."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ecgmodels.configs import nearest_hint
from ecgmodels.data.databases.text_columns import TextTable, read_text_table
from ecgmodels.data.recordings.records import Sex
from ecgmodels.data.segmentation.features import FEATURES
from ecgmodels.errors import DataError

LABEL_SEPARATOR = ";"
PARTS = ("train", "validation", "test")
MOST_VALUES = 20
"""A column of words with more different values is taken for free text, not for a category."""
LARGEST_AGE = 120.0
LARGEST_NUMBER = 1e9
"""Of a feature, in either direction: more is a mistake, and overflows in a network."""

_OWN_COLUMNS = ("record", "patient", "label", "labels", "age", "sex", "split")
_MEANT = {
    **dict.fromkeys(("patient_id", "patientid", "subject", "subject_id"), "patient"),
    **dict.fromkeys(("record_id", "recording", "filename", "file"), "record"),
    "gender": "sex",
}
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


def read_recording_table(path: Path, *, ignore: Sequence[str], labelled: bool) -> RecordingTable:
    """Read and check a table.

    Args:
        path: CSV (UTF-8, with or without a byte order mark) or Parquet.
        ignore: columns that do not become features.
        labelled: a column `label` or `labels` is needed.

    Raises:
        DataError: names the file, and the column and record that are wrong.
    """
    table = read_text_table(path)
    _check_columns(table, ignore, labelled)
    records = _records(table)
    patients = table.columns.get("patient", records)
    for record, patient in zip(records, patients, strict=True):
        if patient is None:
            raise DataError(
                f"{path}, record {record}: the column 'patient' is empty",
                hint="name each recording's patient, or leave the whole column out",
            )
    labels = _labels(table, records) if labelled else [None] * len(records)
    features: dict[str, list[float]] = {}
    for column in table.names:
        if column not in _OWN_COLUMNS and column not in ignore:
            features |= _feature_columns(table, column)
    _check_feature_names(features, path)
    ages, sexes = _ages(table, records), _sexes(table, records)
    rows = {
        record: RecordingRow(
            patient=str(patients[index]),
            labels=labels[index],
            age=ages[index],
            sex=sexes[index],
            features={name: values[index] for name, values in features.items()},
        )
        for index, record in enumerate(records)
    }
    split_of = _split_of(table, records)
    return RecordingTable(
        path=path,
        rows=rows,
        classes=_classes(table, labels) if labelled else (),
        multi_label="labels" in table,
        features=tuple(features),
        patients_known="patient" in table,
        split_of=split_of,
    )


def _check_columns(table: TextTable, ignore: Sequence[str], labelled: bool) -> None:
    path, names = table.path, table.names
    for name in ignore:
        if name in _OWN_COLUMNS:
            raise DataError(
                f"ignore names '{name}', which is not a feature's column",
                hint="features names those wanted; to do without labels take --task unlabelled",
            )
        if name not in names:
            raise DataError(
                f"ignore names '{name}', which {path} does not have", hint=nearest_hint(name, names)
            )
    for name in names:
        key = name.casefold().replace(" ", "_")
        meant = key if key in _OWN_COLUMNS else _MEANT.get(key)
        if name not in _OWN_COLUMNS and meant is not None and name not in ignore:
            raise DataError(
                f"{path} has a column '{name}', did you mean '{meant}'?",
                hint=f"rename it to '{meant}', or leave it out with --ignore '{name}'",
            )
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


def _records(table: TextTable) -> list[str]:
    path, records = table.path, []
    for number, record in enumerate(table["record"], start=1):
        if record is None:
            raise DataError(f"{path}, row {number}: 'record' is empty", hint="name the recording")
        below = PurePosixPath(record)
        if below.is_absolute() or ".." in below.parts:
            raise DataError(
                f"{path}, row {number}: record '{record}' is not a path below the folder",
                hint="give a path relative to the folder of recordings, without suffix",
            )
        records.append(str(below))  # "./a" is "a"
    twice = [record for record, count in Counter(records).items() if count > 1]
    if twice:
        raise DataError(
            f"{path} lists record {twice[0]} twice", hint="one row a recording; merge its labels"
        )
    return records


def _labels(table: TextTable, records: Sequence[str]) -> list[tuple[str, ...] | None]:
    rows: list[tuple[str, ...] | None]
    if "label" in table:
        rows = [None if text is None else (text,) for text in table["label"]]
    else:
        rows = [None if text is None else _several(text) for text in table["labels"]]
    for record, labels in zip(records, rows, strict=True):
        for label in labels or ():
            if any(mark in label for mark in ",;|"):
                raise DataError(
                    f"{table.path}, record {record}: the label '{label}' holds one of , ; |",
                    hint=f"several labels go into a column 'labels' with '{LABEL_SEPARATOR}' "
                    "between; a class's name may not hold these marks",
                )
    return rows


def _several(text: str) -> tuple[str, ...]:
    """Return the labels of a cell; a lone separator is a recording with none of the classes."""
    names = [name.strip() for name in text.split(LABEL_SEPARATOR)]
    return tuple(dict.fromkeys(name for name in names if name))


def _classes(table: TextTable, labels: Sequence[tuple[str, ...] | None]) -> tuple[str, ...]:
    classes = tuple(sorted({label for row in labels if row for label in row}))
    if len(classes) < (1 if "labels" in table else 2):
        column = "labels" if "labels" in table else "label"
        raise DataError(
            f"{table.path}: the column '{column}' holds {' and '.join(classes) or 'nothing'}, "
            "expected at least two classes to tell apart",
            hint="add recordings of another class; --task unlabelled prepares for prediction alone",
        )
    return classes


def _feature_columns(table: TextTable, column: str) -> dict[str, list[float]]:
    """Return feature -> values: the numbers of a column, or one feature a word of it."""
    texts = table[column]
    numbers = [_number(text) for text in texts]
    known = [number for text, number in zip(texts, numbers, strict=True) if text]
    if all(number is not None for number in known):
        return {column: _in_range(table, column, numbers)}
    leave_out = f"correct it, or leave it out with --ignore {column}"
    if sum(number is not None for number in known) > len(known) // 2:
        bad = next(t for t, n in zip(texts, numbers, strict=True) if t and n is None)
        raise DataError(
            f"{table.path}: column '{column}' holds numbers, and also '{bad}'", hint=leave_out
        )
    values = sorted({text for text in texts if text})
    if len(values) > MOST_VALUES:
        raise DataError(
            f"{table.path}: column '{column}' has {len(values)} different words, at most "
            f"{MOST_VALUES} make a category",
            hint=leave_out,
        )
    return {
        f"{column}={value}": [math.nan if text is None else float(text == value) for text in texts]
        for value in values
    }


def _in_range(table: TextTable, column: str, numbers: Sequence[float | None]) -> list[float]:
    values = [math.nan if number is None else number for number in numbers]
    for value in values:
        if abs(value) > LARGEST_NUMBER:
            raise DataError(
                f"{table.path}: column '{column}' holds {value:g}, expected numbers up to "
                f"{LARGEST_NUMBER:g}",
                hint=f"correct it, or leave it out with --ignore {column}",
            )
    return values


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


def _ages(table: TextTable, records: Sequence[str]) -> list[float | None]:
    if "age" not in table:
        return [None] * len(records)
    ages: list[float | None] = []
    for record, text in zip(records, table["age"], strict=True):
        age = _number(text)
        if text is not None and (age is None or not (math.isnan(age) or 0 <= age <= LARGEST_AGE)):
            raise DataError(
                f"{table.path}, record {record}: age is '{text}', expected years from 0 to "
                f"{LARGEST_AGE:g} or nothing",
                hint="leave the cell empty where the age is unknown",
            )
        ages.append(None if age is None or math.isnan(age) else age)
    return ages


def _sexes(table: TextTable, records: Sequence[str]) -> list[Sex | None]:
    if "sex" not in table:
        return [None] * len(records)
    sexes: list[Sex | None] = []
    for record, text in zip(records, table["sex"], strict=True):
        if text is not None and text.casefold() not in _SEXES:
            raise DataError(
                f"{table.path}, record {record}: sex is '{text}', expected female, male or nothing",
                hint="write female or male (numbers mean different things in different databases)",
            )
        sexes.append(None if text is None else _SEXES[text.casefold()])
    return sexes


def _split_of(table: TextTable, records: Sequence[str]) -> Mapping[str, str] | None:
    if "split" not in table:
        return None
    parts = table["split"]
    for record, part in zip(records, parts, strict=True):
        if part not in PARTS:
            raise DataError(
                f"{table.path}, record {record}: split is '{part or ''}', expected one of "
                f"{', '.join(PARTS)}",
                hint="give every recording a part, or leave the column out",
            )
    return {record: str(part) for record, part in zip(records, parts, strict=True)}
