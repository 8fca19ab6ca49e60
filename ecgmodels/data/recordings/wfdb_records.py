"""Reading a whole WFDB recording: header, signals, annotations."""

from __future__ import annotations

import re
from pathlib import Path

from ecgmodels.data.recordings.records import Record, Sex
from ecgmodels.data.recordings.wfdb_annotations import BEAT_SYMBOLS, read_annotations, read_beats
from ecgmodels.data.recordings.wfdb_files import COPY_AGAIN
from ecgmodels.data.recordings.wfdb_header import Header, comment_fields, read_header
from ecgmodels.data.recordings.wfdb_signal import read_signal
from ecgmodels.errors import DataError

_SEX: dict[str, Sex] = {"m": "male", "male": "male", "f": "female", "female": "female"}
_OLDEST = 120.0  # years; larger numbers stand for something else, such as 300 for "over 89"

__all__ = [
    "BEAT_SYMBOLS",
    "age_and_sex",
    "comment_fields",
    "read_annotations",
    "read_beats",
    "read_header",
    "read_signal",
    "read_wfdb_record",
]


def read_wfdb_record(
    folder: Path,
    record_id: str,
    *,
    patient_id: str,
    annotations: str | None = "atr",
) -> Record:
    """Read one recording, leads in the order of the header.

    Args:
        folder: holds the recording's files.
        record_id: their name without the suffix; may lead through further folders.
        patient_id: whose the recording is.
        annotations: suffix of the file with the beats; None where nobody annotated any.

    Returns:
        the recording without labels, with the age and sex of the header's comments; samples that
        the format marks invalid are NaN.

    Raises:
        DataError: a file is missing, shorter than its header says, or not what its name says.
    """
    path = folder / f"{record_id}.hea"
    header = read_header(path)
    beats = None if annotations is None else read_beats(folder, record_id, annotations)
    if beats is not None and len(beats) and beats.sample[-1] >= header.samples:
        raise DataError(
            f"{folder / record_id}.{annotations} marks beats at samples {beats.sample[0]} to "
            f"{beats.sample[-1]}, the recording has {header.samples}",
            hint="the annotations belong to another recording: " + COPY_AGAIN,
        )
    age, sex = age_and_sex(header)
    return Record(
        id=record_id,
        patient_id=patient_id,
        signal_mv=read_signal(path.parent, header),
        rate_hz=header.rate_hz,
        leads=tuple(spec.name for spec in header.signals),
        units={spec.name: spec.unit for spec in header.signals},
        age=age,
        sex=sex,
        beats=beats,
    )


def age_and_sex(header: Header) -> tuple[float | None, Sex | None]:
    """Read age and sex from a header's comments; what is not there, or no age, is None.

    Two forms are known: MIT-BIH's first comment, "69 M 1085 1629 x1", where an age of -1 is
    unknown; and the keys of `comment_fields`, "Age: 74" and "Sex: Female".
    """
    first = re.match(r"(-?\d{1,3})\s+([MF])\b", header.comments[0]) if header.comments else None
    if first is not None:
        return _age(first[1]), _SEX.get(first[2].lower())
    fields = comment_fields(header)
    return _age(fields.get("age", "")), _SEX.get(fields.get("sex", "").lower())


def _age(text: str) -> float | None:
    if re.fullmatch(r"\d{1,3}(\.\d{1,9})?", text, re.ASCII) is None:
        return None
    return float(text) if float(text) <= _OLDEST else None
