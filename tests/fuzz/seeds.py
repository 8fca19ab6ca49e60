"""Small, sound, made-up records and databases: what the fuzzer spoils.

Each is a mapping of path -> content below one folder. The headers are of every style met in the
open databases; the names of the files are fixed, so that a target knows what to read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

Files = Mapping[str, bytes]

RECORD = "r1"
"""The record in every one of `RECORDS`."""

SAMPLES = 60
_TWELVE = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")


def _samples(signals: int, limit: int = 2000) -> np.ndarray:
    time = np.arange(SAMPLES)[:, None]
    wave = np.sin(time / 7 + np.arange(signals)) * 0.9 * limit
    return wave.astype(np.int64)


def _int16(signals: int) -> bytes:
    return _samples(signals).astype("<i2").tobytes()


def _header(record_line: str, signal_lines: Sequence[str], comments: Sequence[str] = ()) -> bytes:
    return "".join(f"{line}\n" for line in (record_line, *signal_lines, *comments)).encode()


def annotations() -> bytes:
    """Return a sound annotation file: a rhythm with its name, beats, a SKIP, a subtype."""
    words = [28 << 10 | 5, 63 << 10 | 3, 0x4E28, 0x0000]  # "+" with the text "(N"
    words += [1 << 10 | 10, 59 << 10, 0, 20, 5 << 10 | 0]  # N; skip 20; V
    words += [61 << 10 | 1, 62 << 10 | 1, 60 << 10 | 2, 8 << 10 | 5, 14 << 10 | 3, 0]
    return struct.pack(f"<{len(words)}H", *words)


def _mit_bih() -> Files:
    first, second = _samples(2).T & 0xFFF
    pairs = np.stack([first & 0xFF, first >> 8 | (second >> 8) << 4, second & 0xFF], axis=1)
    lines = [
        f"{RECORD}.dat 212 200 11 1024 995 -22131 0 MLII",
        f"{RECORD}.dat 212 200 11 1024 1011 20052 0 V5",
    ]
    return {
        f"{RECORD}.hea": _header(
            f"{RECORD} 2 360 {SAMPLES}", lines, ["# 69 M 1085 1629 x1", "# Aldomet, Inderal"]
        ),
        f"{RECORD}.dat": pairs.astype(np.uint8).tobytes(),
        f"{RECORD}.atr": annotations(),
    }


def matlab(signals: int) -> bytes:
    """Return a MATLAB 4 matrix of int16, as the challenges' signal files are."""
    return struct.pack("<5i4s", 30, signals, SAMPLES, 0, 4, b"val\0") + _int16(signals)


def _cinc2017() -> Files:
    return {
        f"{RECORD}.hea": (
            f"{RECORD} 1 300 {SAMPLES} 05:05:15 1/05/2000 \r\n"
            f"{RECORD}.mat 16+24 1000/mV 16 0 -127 0 0 ECG \r\n"
        ).encode(),
        f"{RECORD}.mat": matlab(1),
    }


def twelve_lead_header(name: str, comments: Sequence[str], gain: str = "1000/mV") -> bytes:
    """Return a header as in the challenges of 2020 and 2021."""
    lines = [f"{name}.mat 16+24 {gain} 16 0 5 -20 0 {lead}" for lead in _TWELVE]
    return _header(f"{name} 12 500 {SAMPLES} 12-May-2020 12:33:31", lines, comments)


def _cinc2020() -> Files:
    comments = ["#Age: 74", "#Sex: Female", "#Dx: 426783006,,164889003", "#Rx: Unknown"]
    header = twelve_lead_header(RECORD, comments, gain="1000.0(0)/mv")
    return {f"{RECORD}.hea": header, f"{RECORD}.mat": matlab(12)}


def _ludb() -> Files:
    lines = [f"{RECORD}.dat 16 {1500 + i}({-i})/mV 0 0 -80 0 0 {_TWELVE[i]}" for i in range(12)]
    comments = ["#<age>: 51", "#<sex>: F", "#<diagnoses>:", "#Rhythm: Sinus rhythm."]
    return {
        f"{RECORD}.hea": _header(f"{RECORD} 12 500 {SAMPLES}", lines, comments),
        f"{RECORD}.dat": _int16(12),
        f"{RECORD}.atr": annotations(),
    }


def _every_field() -> Files:
    lines = [
        "low.dat 80x2:3+16 25(4)/uV 8 0 0 0 0 a lead with spaces",
        "low.dat 80:0+16 0/nV",
        "high.dat 310 1e2/V 10 512 7 -1 512 x",
        "sums.dat 8 12.5 8 0 100 1 0 sums",
        "wide.dat 24",
        "old.dat 61 -200(-3)/\u00b5V 12",
    ]
    return {
        f"{RECORD}.hea": _header(f"# first\n\n{RECORD} 6 250/500(10) 0 1:02:03.5", lines),
        "low.dat": bytes(16) + bytes(range(3 * SAMPLES)),
        "high.dat": bytes(4 * SAMPLES // 3),
        "sums.dat": bytes([1, 255] * (SAMPLES // 2)),
        "wide.dat": bytes(3 * SAMPLES),
        "old.dat": bytes(2 * SAMPLES),
    }


def _flac() -> Files:
    import soundfile

    stream = io.BytesIO()
    stored = _samples(2).astype(np.int16)
    soundfile.write(stream, stored, 96_000, format="FLAC", subtype="PCM_16")
    lines = [f"{RECORD}.flac 516 200/mV 16 0 0 0 0 {lead}" for lead in ("I", "II")]
    return {
        f"{RECORD}.hea": _header(f"{RECORD} 2 500 {SAMPLES}", lines),
        f"{RECORD}.flac": stream.getvalue(),
    }


RECORDS: Mapping[str, Callable[[], Files]] = {
    "mit-bih": _mit_bih,
    "cinc2017": _cinc2017,
    "cinc2020": _cinc2020,
    "ludb": _ludb,
    "every-field": _every_field,
    "flac": _flac,
}


def real_records(root: Path) -> dict[str, Files]:
    """Return a few real records of each folder below `root`, renamed to `RECORD`."""
    found: dict[str, Files] = {}
    for header in sorted(root.rglob("*.hea")):
        database = header.relative_to(root).parts[0]
        if sum(name.startswith(f"{database}/") for name in found) >= 5:
            continue
        beside = [path for path in header.parent.iterdir() if path.stem == header.stem]
        small = {path: path.read_bytes() for path in beside if path.stat().st_size < 2**18}
        old, new = f"{header.stem}.".encode(), f"{RECORD}.".encode()
        found[f"{database}/{header.stem}"] = {
            RECORD + path.suffix: content.replace(old, new) if path == header else content
            for path, content in small.items()
        }
    return found
