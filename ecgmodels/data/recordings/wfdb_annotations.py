"""Reading annotation files of the MIT format: https://wfdb.io/spec/annotation-files.html.

A file is a sequence of little-endian 16-bit words: a code in the upper six bits, and in the lower
ten the samples since the annotation before. Codes from `_SKIP` on mean something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.recordings.records import Beats
from ecgmodels.data.recordings.wfdb_files import COPY_AGAIN, read_bytes
from ecgmodels.data.recordings.wfdb_header import read_header
from ecgmodels.errors import DataError

# "Beat annotations" of https://archive.physionet.org/physiobank/annotations.shtml
BEAT_SYMBOLS = frozenset("NLRBAaJSVrFejnE/fQ?")

# Symbols of codes 0 to 41 by the WFDB library's ecgcodes.h and ecgmap.h; a space where a code has
# none. Those up to 49 are for each database's own use, shown as "[42]", as the library does.
_SYMBOLS_BY_CODE = ' NLRaVFJASEj/Q~ | sT*D"=pB^t+u?![]en@xf()r'
_NOTE = 22
_LAST_CODE = 49

# SKIP is followed by a 32-bit number of samples, AUX by as many bytes of text as its count says.
# Codes 60 to 62 (NUM, SUB, CHN) give numbers of the mark before them that nothing here needs.
_SKIP, _AUX = 59, 63
_LONGEST_NOTE_BYTES = 255

# A day of beats in all twelve leads is 5 MB.
_LARGEST_FILE_BYTES = 2**24
_LAST_SAMPLE = 2**53  # whole numbers are exact in float64 up to here

_TIME_BASE = re.compile(r"## time resolution: (\d{1,12}\.?\d{0,12})", re.ASCII)


def read_annotations(
    folder: Path, record_id: str, extension: str = "atr"
) -> tuple[NDArray[np.int64], NDArray[np.str_]]:
    """Read every mark of an annotation file, in the order of time.

    Returns:
        int64 [mark], samples since the recording began, at the rate of the record's header; and
        str [mark], the marks' symbols.

    Raises:
        DataError: the file is missing, cut short, or not an annotation file.
    """
    path = folder / f"{record_id}.{extension}"
    marks = _decode(path, _read_words(path))
    sample: NDArray[np.int64 | np.float64] = marks.sample
    if marks.rate_hz is not None:
        # The file counts in a time base of its own; WFDB's library rescales it in the same way.
        header_rate_hz = read_header(folder / f"{record_id}.hea").rate_hz
        if marks.rate_hz != header_rate_hz:
            sample = np.rint(sample * (header_rate_hz / marks.rate_hz))
    if len(sample) and not 0 <= sample.min() <= sample.max() <= _LAST_SAMPLE:
        raise DataError(
            f"{path} marks samples {sample.min():.0f} to {sample.max():.0f} of the recording",
            hint=COPY_AGAIN,
        )
    order = np.argsort(sample, kind="stable")
    return sample[order].astype(np.int64), _SYMBOLS[marks.code][order]


def read_beats(folder: Path, record_id: str, extension: str = "atr") -> Beats:
    """Read the beats of an annotation file; rhythm, noise and other marks are left out.

    Raises:
        DataError: as `read_annotations`.
    """
    sample, symbol = read_annotations(folder, record_id, extension)
    is_beat = np.isin(symbol, _BEAT_SYMBOLS)
    return Beats(sample=sample[is_beat], symbol=symbol[is_beat])


_SYMBOLS = np.array(
    [*_SYMBOLS_BY_CODE, *(f"[{code}]" for code in range(len(_SYMBOLS_BY_CODE), _LAST_CODE + 1))]
)
_BEAT_SYMBOLS = np.array(sorted(BEAT_SYMBOLS))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Marks:
    """sample: int64 [mark]; code: int64 [mark]; rate_hz: of the file's own time base, if any."""

    sample: NDArray[np.int64]
    code: NDArray[np.int64]
    rate_hz: float | None


def _read_words(path: Path) -> NDArray[np.int64]:
    content = read_bytes(path, at_most=_LARGEST_FILE_BYTES)
    if len(content) < 2 or len(content) % 2 or content[-2:] != b"\0\0":
        raise DataError(
            f"{path} ends before its end mark ({len(content):,} bytes found)", hint=COPY_AGAIN
        )
    return np.frombuffer(content, "<u2").astype(np.int64)


def _decode(path: Path, words: NDArray[np.int64]) -> _Marks:
    code, interval = words >> 10, words & 0x3FF
    is_word, skips, notes = _find_payloads(path, words)
    (ends,) = np.nonzero(is_word & (words == 0))
    if not len(ends):
        raise _refusal(path, "it has no end mark")
    if words[ends[0] :].any():
        raise _refusal(path, f"it has an end mark at byte {2 * ends[0]:,}, amid data")
    _check_owners(path, code, is_word)
    moves_time = is_word & (code < _SKIP)
    unknown = code[moves_time & (code > _LAST_CODE)]
    if len(unknown):
        raise _refusal(path, f"it has the code {unknown[0]}, which the format does not have")
    elapsed = np.where(moves_time, interval, 0)
    elapsed[list(skips)] = list(skips.values())
    sample = np.cumsum(elapsed)
    is_mark = moves_time & (code > 0)
    rate_hz = None
    for position, text in _definitions(words, sample, is_mark, notes):
        is_mark[position] = False
        stated = _TIME_BASE.fullmatch(text)
        rate_hz = float(stated[1]) if stated else rate_hz
    if rate_hz is not None and not 1e-3 <= rate_hz <= 1e9:
        raise _refusal(path, f"it states a time resolution of {rate_hz:g} a second")
    return _Marks(sample=sample[is_mark], code=code[is_mark], rate_hz=rate_hz)


def _find_payloads(
    path: Path, words: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], dict[int, int], NDArray[np.int64]]:
    """Tell words from the data that follow SKIP and AUX.

    Returns:
        bool [word], False for such data; position of a SKIP -> the samples that it skips; and the
        positions of AUX.
    """
    code, count = words >> 10, words & 0x3FF
    is_word = np.ones(len(words), np.bool_)
    skips, notes = {}, []
    end = 0
    for position in np.flatnonzero((code == _SKIP) | (code == _AUX)).tolist():
        if position < end:
            continue  # it is data itself
        is_skip = code[position] == _SKIP
        if not is_skip and count[position] > _LONGEST_NOTE_BYTES:
            raise _refusal(
                path, f"the entry at byte {2 * position:,} has {count[position]} bytes of text"
            )
        end = position + 1 + (2 if is_skip else (int(count[position]) + 1) // 2)
        if end >= len(words):  # the end mark must follow
            raise _refusal(path, f"the entry at byte {2 * position:,} runs past the end")
        if is_skip:
            skips[position] = _signed_32(int(words[position + 1]) << 16 | int(words[position + 2]))
        else:
            notes.append(position)
        is_word[position + 1 : end] = False
    return is_word, skips, np.array(notes, dtype=np.int64)


def _check_owners(path: Path, code: NDArray[np.int64], is_word: NDArray[np.bool_]) -> None:
    """Refuse a number or a note that follows no mark: at the beginning, or after a SKIP."""
    (position,) = np.nonzero(is_word)
    before = np.concatenate([[_SKIP], code[position][:-1]])
    orphans = position[(code[position] > _SKIP) & (before == _SKIP)]
    if len(orphans):
        raise _refusal(path, f"the entry at byte {2 * orphans[0]:,} belongs to no mark")


def _definitions(
    words: NDArray[np.int64],
    sample: NDArray[np.int64],
    is_mark: NDArray[np.bool_],
    notes: NDArray[np.int64],
) -> Iterator[tuple[int, str]]:
    """Yield position and text of the comments at sample 0 that define something ("## ...")."""
    (marks,) = np.nonzero(is_mark)
    notes = notes[sample[notes] == 0]
    owners = np.searchsorted(marks, notes) - 1  # a note goes with the mark before it
    for note, owner in zip(notes[owners >= 0].tolist(), owners[owners >= 0].tolist(), strict=True):
        position = int(marks[owner])
        if words[position] >> 10 != _NOTE:
            continue
        length = int(words[note] & 0x3FF)
        payload = words[note + 1 : note + 1 + (length + 1) // 2].astype("<u2").tobytes()[:length]
        if payload.startswith(b"## "):
            yield position, payload.rstrip(b"\0").decode("latin-1")


def _signed_32(value: int) -> int:
    return value - 2**32 if value >= 2**31 else value


def _refusal(path: Path, reason: str) -> DataError:
    return DataError(f"{path} is not a WFDB annotation file: {reason}", hint=COPY_AGAIN)
