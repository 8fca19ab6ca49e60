"""Reading WFDB headers (.hea): https://wfdb.io/spec/header-files.html.

Tolerant of what real databases write (a record called `E00009.mat`, dates with month names, `#Age:`
beside `# Age:`), strict about every field that decides what the samples mean: a header that could
be read in two ways is refused, with the line and the field.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from ecgmodels.data.recordings.wfdb_files import COPY_AGAIN, read_bytes, size_in_bytes
from ecgmodels.data.recordings.wfdb_formats import FORMATS
from ecgmodels.data.recordings.wfdb_header_lines import HeaderLine, SignalSpec
from ecgmodels.errors import DataError

# Twelve leads with pages of comments stay below 10 kB.
_LARGEST_HEADER_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Header:
    """What a header says of its record.

    rate_hz: frames a second.
    samples: frames, which is the samples of each signal once frames are averaged; at least 1.
    comments: without `#` and surrounding spaces, otherwise as written.
    """

    record: str
    rate_hz: float
    samples: int
    signals: tuple[SignalSpec, ...]
    comments: tuple[str, ...]


def read_header(path: Path) -> Header:
    """Read the header of a record of one segment.

    A length that the header does not state is taken from the size of the signal files.

    Raises:
        DataError: the file is missing or no such header; the message names the line and field.
    """
    lines, comments = _split_lines(path, _decode(path))
    first = lines[0].parse_record()
    if first.signals != len(lines) - 1:
        lines[0].refuse(f"{first.signals} signals are announced, {len(lines) - 1} are described")
    signals = tuple(
        line.parse_signal(default_name=f"record {first.record}, signal {index}")
        for index, line in enumerate(lines[1:])
    )
    _check_groups(path, signals)
    samples = first.samples or _length_from_files(path, signals)
    for line, signal in zip(lines[1:], signals, strict=True):
        if signal.skew >= samples:
            line.refuse(f"the skew is {signal.skew}, the record has {samples} samples")
    return Header(
        record=first.record,
        rate_hz=first.rate_hz,
        samples=samples,
        signals=signals,
        comments=comments,
    )


def comment_fields(header: Header) -> dict[str, str]:
    """Return key -> value of comments such as `#Age: 74`, `# Dx: 1,,2` or `#<sex>: F`.

    Keys are in lower case and without `<>:#`; values are as written, also empty. Of a key that
    comes twice the first counts. A comment without a key (`Digoxin`) is left out.
    """
    fields: dict[str, str] = {}
    for comment in header.comments:
        # St Petersburg's INCART puts several on a line: "<age>: 65 <sex>: F <diagnoses> ...".
        for part in re.split(r"(?<!\s)\s+(?=<)", comment):
            match = re.fullmatch(r"<(?P<a>[^<>]*)>\s*:?(?P<x>.*)|(?P<b>[^:]*):(?P<y>.*)", part)
            if match is not None:
                key = (
                    " ".join(re.split(r"[\s<>#]+", match["a"] or match["b"] or "")).strip().lower()
                )
                fields.setdefault(key, (match["x"] or match["y"] or "").strip())
    fields.pop("", None)
    return fields


def group_by_file(signals: tuple[SignalSpec, ...]) -> dict[str, list[int]]:
    """Return file name -> the indices of the signals interleaved in it."""
    groups: dict[str, list[int]] = {}
    for index, spec in enumerate(signals):
        groups.setdefault(spec.file_name, []).append(index)
    return groups


def _decode(path: Path) -> str:
    content = read_bytes(path, at_most=_LARGEST_HEADER_BYTES)
    if b"\0" in content:
        raise DataError(
            f"{path} is not a WFDB header: it holds NUL bytes, expected text", hint=COPY_AGAIN
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")  # as old recorders wrote µV


def _split_lines(path: Path, text: str) -> tuple[list[HeaderLine], tuple[str, ...]]:
    """Return the lines that are neither empty nor comments, and the comments."""
    lines: list[HeaderLine] = []
    comments: list[str] = []
    for number, line in enumerate(re.split(r"\r\n|\n|\r", text), start=1):
        stripped = line.strip()
        if stripped.startswith("#"):
            comments.append(stripped.lstrip("# \t"))
        elif stripped:
            lines.append(HeaderLine(path, number, stripped))
    if not lines:
        raise DataError(f"{path} is not a WFDB header: it has no record line", hint=COPY_AGAIN)
    return lines, tuple(comments)


def _check_groups(path: Path, signals: tuple[SignalSpec, ...]) -> None:
    """Refuse signals of one file that are not listed together, or stored in different ways."""
    for file_name, indices in group_by_file(signals).items():
        if indices[-1] - indices[0] != len(indices) - 1:
            raise DataError(
                f"{path} lists the signals of {file_name} apart from each other",
                hint="signals interleaved in one file are listed one after the other",
            )
        layouts = {(signals[index].format, signals[index].byte_offset) for index in indices}
        if len(layouts) > 1:
            raise DataError(
                f"{path} gives the signals of {file_name} different formats: "
                + ", ".join(f"{kind}+{offset}" for kind, offset in sorted(layouts)),
                hint="all signals in one file have one format and one byte offset; " + COPY_AGAIN,
            )


def _length_from_files(path: Path, signals: tuple[SignalSpec, ...]) -> int:
    lengths = {}
    for file_name, indices in group_by_file(signals).items():
        spec = signals[indices[0]]
        if spec.format not in FORMATS:
            raise DataError(
                f"{path} states no number of samples, which a FLAC file does not tell",
                hint="write the number of samples after the sampling rate",
            )
        size = size_in_bytes(path.parent / file_name) - spec.byte_offset
        per_frame = sum(signals[index].samples_per_frame for index in indices)
        lengths[file_name] = FORMATS[spec.format].samples_in(max(size, 0)) // per_frame
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        found = ", ".join(f"{name}: {length:,}" for name, length in lengths.items())
        raise DataError(
            f"{path} states no number of samples, and its files hold ({found})",
            hint="write the number of samples after the sampling rate, or " + COPY_AGAIN,
        )
    return next(iter(lengths.values()))
