"""Reading WFDB recordings (.hea, .dat, .atr), checked before they are trusted.

wfdb itself reads a short signal file with an error about array shapes, or not at all; here the
header's promise is compared with the files first, so that the message names the file.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.recordings.records import Beats, Record, Sex
from ecgmodels.errors import DataError

# "Beat annotations" of https://archive.physionet.org/physiobank/annotations.shtml
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")

# Bytes a sample of the uncompressed signal formats, https://wfdb.io/spec/signal-files.html
_BYTES_PER_SAMPLE = {
    "8": Fraction(1),
    "16": Fraction(2),
    "24": Fraction(3),
    "32": Fraction(4),
    "61": Fraction(2),
    "80": Fraction(1),
    "160": Fraction(2),
    "212": Fraction(3, 2),
    "310": Fraction(4, 3),
    "311": Fraction(4, 3),
}
_MV_PER_UNIT = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "nv": 1e-6}
_COPY_AGAIN = "copy the recording again from its source; its checksums are published there"


def read_wfdb_record(folder: Path, record_id: str, *, patient_id: str) -> Record:
    """Read one recording with its beat annotations (`.atr`), leads in the order of the header.

    Samples that the format marks invalid (-2048 in format 212) are NaN.

    Raises:
        DataError: a file is missing, shorter than its header says, or not what its name says.
    """
    import wfdb

    stem = str(folder / record_id)
    header = _read_header(folder, record_id)
    _check_signal_files(folder, record_id, header)
    beats = read_beats(folder, record_id)
    try:
        signal = wfdb.rdrecord(stem).p_signal.T
    except Exception as error:
        raise DataError(
            f"{stem}.dat cannot be read as its header describes: {_one_line(error)}",
            hint=_COPY_AGAIN,
        ) from error
    if len(beats) and not 0 <= beats.sample[0] <= beats.sample[-1] < signal.shape[1]:
        raise DataError(
            f"{stem}.atr marks beats at samples {beats.sample[0]} to {beats.sample[-1]}, "
            f"the recording has {signal.shape[1]}",
            hint="the annotations belong to another recording: " + _COPY_AGAIN,
        )
    age, sex = age_and_sex(header.comments)
    return Record(
        id=record_id,
        patient_id=patient_id,
        signal_mv=_in_millivolts(stem, signal, header.units),
        rate_hz=float(header.fs),
        leads=tuple(header.sig_name),
        age=age,
        sex=sex,
        beats=beats,
    )


def read_beats(folder: Path, record_id: str) -> Beats:
    """Read the beat annotations of a recording; rhythm, noise and other marks are left out.

    Raises:
        DataError: the `.atr` file is missing, cut short or not an annotation file.
    """
    import wfdb

    path = folder / f"{record_id}.atr"
    content = _require(path).read_bytes()
    # An annotation file ends with a zero word, https://wfdb.io/spec/annotation-files.html
    if content[-2:] != b"\0\0":
        raise DataError(
            f"{path} ends before its end mark ({len(content):,} bytes found)", hint=_COPY_AGAIN
        )
    try:
        annotation = wfdb.rdann(str(path.with_suffix("")), "atr")
    except Exception as error:
        raise DataError(
            f"{path} is not a WFDB annotation file: {_one_line(error)}", hint=_COPY_AGAIN
        ) from error
    symbol = np.asarray(annotation.symbol, dtype=np.str_)
    is_beat = np.isin(symbol, sorted(BEAT_SYMBOLS))
    sample = np.asarray(annotation.sample, dtype=np.int64)[is_beat]
    order = np.argsort(sample, kind="stable")
    return Beats(sample=sample[order], symbol=symbol[is_beat][order])


def age_and_sex(comments: Sequence[str]) -> tuple[float | None, Sex | None]:
    """Read MIT-BIH's first header comment, "69 M 1085 1629 x1"; an age of -1 is unknown."""
    match = re.match(r"\s*(-?\d+)\s+([MF])\b", comments[0]) if comments else None
    if match is None:
        return None, None
    age = float(match[1])
    return (age if age >= 0 else None), ("female" if match[2] == "F" else "male")


def _read_header(folder: Path, record_id: str) -> Any:
    import wfdb

    path = _require(folder / f"{record_id}.hea")
    try:
        header = wfdb.rdheader(str(path.with_suffix("")))
        complete = bool(header.n_sig and header.sig_len and header.fs and header.file_name)
    except Exception as error:
        raise DataError(
            f"{path} is not a WFDB header: {_one_line(error)}", hint=_COPY_AGAIN
        ) from error
    if not complete:
        raise DataError(
            f"{path} does not state signals, sampling rate and length of one recording",
            hint=_COPY_AGAIN,
        )
    return header


def _check_signal_files(folder: Path, record_id: str, header: Any) -> None:
    """Compare the size of each signal file with what the header promises."""
    bits: dict[str, Fraction] = defaultdict(Fraction)
    for file_name, fmt, samples_per_frame in zip(
        header.file_name, header.fmt, header.samps_per_frame, strict=True
    ):
        bits[file_name] += _BYTES_PER_SAMPLE.get(fmt, Fraction(0)) * samples_per_frame
    offsets = dict(zip(header.file_name, header.byte_offset, strict=True))
    for file_name, bytes_per_frame in bits.items():
        path = _require(folder / file_name)
        expected = (offsets[file_name] or 0) + -(-bytes_per_frame * header.sig_len // 1)
        found = path.stat().st_size
        if found < expected:
            raise DataError(
                f"{path} is cut short: {record_id}.hea promises {int(expected):,} bytes, "
                f"found {found:,}",
                hint=_COPY_AGAIN,
            )


def _in_millivolts(
    stem: str, signal: NDArray[np.float64], units: Sequence[str]
) -> NDArray[np.float64]:
    for unit in units:
        if unit.lower() not in _MV_PER_UNIT:
            raise DataError(
                f"{stem}.hea gives a signal in '{unit}', expected a voltage (V, mV, uV)",
                hint="leave that signal out of the recording, or correct its unit in the header",
            )
    scale = np.array([_MV_PER_UNIT[unit.lower()] for unit in units])
    return np.ascontiguousarray(signal, dtype=np.float64) * scale[:, None]


def _require(path: Path) -> Path:
    if not os.path.isfile(path):
        raise DataError(
            f"{path} is missing",
            hint="copy it next to the recording's other files (.hea, .dat, .atr)",
        )
    return path


def _one_line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
