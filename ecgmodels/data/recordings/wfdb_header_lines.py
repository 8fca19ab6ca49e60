"""The grammar of a WFDB header's lines: https://wfdb.io/spec/header-files.html.

Record line:  name[/segments] signals [rate[/counter[(base)]] [samples [time [date]]]]
Signal line:  file format[xsamples][:skew][+offset] [gain[(baseline)][/unit] [ADC resolution
              [ADC zero [initial value [checksum [block size [description]]]]]]]
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ecgmodels.data.recordings.wfdb_files import COPY_AGAIN
from ecgmodels.data.recordings.wfdb_formats import FLAC_BITS, FORMATS
from ecgmodels.errors import DataError

# ADC units per physical unit where the gain is 0 or absent: DEFGAIN of the WFDB library.
_DEFAULT_GAIN = 200.0

# Beyond any recorder, from 24 bits over nanovolts to 32 bits over a kilovolt: a damaged number.
_GAIN_RANGE = (1e-9, 1e12)
_RATE_RANGE_HZ = (1.0, 1e6)

_INTEGER = re.compile(r"[+-]?\d{1,19}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d{1,30}\.?\d{0,30}|\.\d{1,30})([eE][+-]?\d{1,3})?", re.ASCII)
_RATE = re.compile(r"(?P<rate>[^/(]+)(/[^(]*)?(\([^)]*\))?")
_FORMAT = re.compile(
    r"(?P<format>\d{1,9})(x(?P<samples>\d{1,9}))?(:(?P<skew>\d{1,9}))?(\+(?P<offset>\d{1,19}))?",
    re.ASCII,
)
_CALIBRATION = re.compile(r"(?P<gain>[^(/]*)(\((?P<baseline>[^)/]*)\))?(/(?P<unit>.+))?")


@dataclass(frozen=True, kw_only=True)
class SignalSpec:
    """How one signal of a record is stored: one signal line of the header."""

    name: str
    """The description, usually the lead; `record 100, signal 0` where the header has none."""
    file_name: str
    """Beside the header; several signals of one file are interleaved in it."""
    format: str
    """A key of `FORMATS` or `FLAC_BITS`."""
    samples_per_frame: int = 1
    skew: int = 0
    """Frames by which the signal lags in the file."""
    byte_offset: int = 0
    """Where its file's samples begin; in FLAC formats a number of samples."""
    gain: float = _DEFAULT_GAIN
    """ADC units per physical unit."""
    baseline: int = 0
    """The ADC's value at 0 physical units."""
    unit: str = "mV"
    """As the header writes it."""
    initial_value: int = 0
    """The value before the first difference of format 8."""


@dataclass(frozen=True, kw_only=True)
class RecordLine:
    """What the record line says; time and date are not looked at, nothing here needs them."""

    record: str
    signals: int
    rate_hz: float
    samples: int | None
    """Frames; None where the header does not state them."""


@dataclass(frozen=True)
class HeaderLine:
    """A line of a header that is neither empty nor a comment."""

    path: Path
    number: int
    text: str

    def parse_record(self) -> RecordLine:
        """Parse the first line; DataError where it is none, or of a record in segments."""
        words = self.text.split()
        name, slash, segments = words[0].partition("/")
        if slash:
            self._integer(segments, "number of segments", least=1)
            raise DataError(
                f"{self.path} describes a record of {segments} segments, expected a single one",
                hint="join the segments into one record, with WFDB's xform for example",
            )
        if not _is_file_name(name):
            self.refuse(f"the record is called {shown(name)}, expected the name of a file")
        if len(words) < 3:
            # WFDB assumes 250 Hz; beats found at a wrong rate look right and are not.
            self.refuse("it does not state number of signals and sampling rate")
        rate = _RATE.fullmatch(words[2])
        rate_hz = self._number(rate["rate"] if rate else words[2], "sampling rate")
        low, high = _RATE_RANGE_HZ
        if not low <= rate_hz <= high:
            self.refuse(f"the sampling rate is {rate_hz:g} Hz, expected {low:g} to {high:g}")
        samples = words[3] if len(words) > 3 else "0"
        return RecordLine(
            record=name.removesuffix(".mat"),  # as Georgia's headers in CinC 2020 have it
            signals=self._integer(words[1], "number of signals", least=1),
            rate_hz=rate_hz,
            # WFDB takes 0 for "not stated": a recorder may be unable to go back to the header.
            samples=self._integer(samples, "number of samples", least=0, most=2**62) or None,
        )

    def parse_signal(self, default_name: str) -> SignalSpec:
        """Parse a line after the first; `default_name` is for a signal without description."""
        file_name, rest = _next_word(self.text)
        packing, rest = _next_word(rest)
        if not _is_file_name(file_name):
            self.refuse(f"the signal file is {shown(file_name)}, expected one beside the header")
        parts = _FORMAT.fullmatch(packing)
        if parts is None:
            self.refuse(f"the format is {shown(packing)}, expected such as 16, 16x2 or 16+24")
        if parts["format"] not in FORMATS and parts["format"] not in FLAC_BITS:
            known = ", ".join((*FORMATS, *FLAC_BITS))
            self.refuse(f"the format is {parts['format']}, expected one of {known}")
        gain, baseline, unit = _DEFAULT_GAIN, None, "mV"
        if rest:
            calibration, rest = _next_word(rest)
            gain, baseline, unit = self._calibration(calibration)
        numbers, name = self._integers(rest)
        _resolution, zero, initial_value = (*numbers, 0, 0, 0)[:3]
        return SignalSpec(
            name=name or default_name,
            file_name=file_name,
            format=parts["format"],
            samples_per_frame=self._integer(parts["samples"] or "1", "samples per frame", least=1),
            skew=self._integer(parts["skew"] or "0", "skew", least=0),
            byte_offset=self._integer(parts["offset"] or "0", "byte offset", least=0, most=2**62),
            gain=gain,
            baseline=zero if baseline is None else baseline,
            unit=unit,
            initial_value=initial_value,
        )

    def refuse(self, reason: str) -> NoReturn:
        """Raise DataError that names file and line."""
        raise DataError(
            f"{self.path}, line {self.number}: {reason}",
            hint="a header as in https://wfdb.io/spec/header-files.html is expected; " + COPY_AGAIN,
        )

    def _calibration(self, text: str) -> tuple[float, int | None, str]:
        """Parse `gain[(baseline)][/unit]`; a gain of 0 says that nobody calibrated the signal."""
        parts = _CALIBRATION.fullmatch(text)
        if parts is None:
            self.refuse(f"the gain is {shown(text)}, expected such as 200, 200/mV or 200(1024)/mV")
        gain = self._number(parts["gain"], "gain") if parts["gain"] else 0.0
        low, high = _GAIN_RANGE
        if gain != 0 and not low <= abs(gain) <= high:
            self.refuse(f"the gain is {gain:g}, expected {low:g} to {high:g} ADC units per unit")
        baseline = parts["baseline"]
        return (
            gain or _DEFAULT_GAIN,
            None if baseline is None else self._integer(baseline, "baseline"),
            parts["unit"] or "mV",
        )

    def _integers(self, rest: str) -> tuple[tuple[int, ...], str]:
        """Parse the whole numbers after the gain; return them and the description.

        A description may come early, as some write it who leave numbers out: then none is left.
        """
        numbers: list[int] = []
        for field in ("ADC resolution", "ADC zero", "initial value", "checksum", "block size"):
            begins_a_number = rest[:1] in tuple("+-.0123456789")
            if not begins_a_number and not any(map(_INTEGER.fullmatch, rest.split())):
                break
            word, rest = _next_word(rest)
            least = 0 if field == "ADC resolution" else -(2**32)
            numbers.append(self._integer(word, field, least=least, most=2**32))
        return tuple(numbers), rest

    def _integer(self, text: str, field: str, least: int = -(2**31), most: int = 2**31) -> int:
        if _INTEGER.fullmatch(text) is None or not least <= int(text) <= most:
            self.refuse(
                f"the {field} is {shown(text)}, expected a whole number of {least} to {most}"
            )
        return int(text)

    def _number(self, text: str, field: str) -> float:
        if _NUMBER.fullmatch(text) is None:
            self.refuse(f"the {field} is {shown(text)}, expected a number")
        return float(text)


def _is_file_name(name: str) -> bool:
    """Tell whether it names a file in a folder, and not one elsewhere."""
    leads_away = name in ("", ".", "..") or "/" in name or "\\" in name
    return not leads_away and name.isprintable() and len(name) <= 255


def _next_word(text: str) -> tuple[str, str]:
    """Return the first word and what follows it, both empty where there is none."""
    word, rest = (*text.split(maxsplit=1), "", "")[:2]
    return word, rest


def shown(text: str) -> str:
    """Return the text as it may be printed, in one short line."""
    return ascii(text if len(text) <= 60 else f"{text[:57]}...")
