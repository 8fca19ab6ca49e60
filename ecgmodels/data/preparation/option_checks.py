"""What a single option of data preparation may be, whatever the others are."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import DataError

# Numbers beyond these are slips (of units, mostly) that would ask for terabytes of memory, or for
# filters that cannot be computed.
RATES_HZ = (10.0, 10_000.0)
"""QRS complexes hold up to some 30 Hz and are gone below 10 samples a second; pacemaker spikes are
recorded with up to some thousand, and no recorder for the skin goes beyond 10,000."""
LOWEST_CORNER_HZ = 0.01
"""Diagnostic ECG begins at 0.05 Hz (AHA 2007). A filter far below 0.01 Hz (a period of 100 s)
swings longer than recordings last, and its equations have no solution in floating point."""
LONGEST_WINDOW_MS = 60_000.0
"""Before or after the beat: a minute is a rhythm strip, for which there are crops."""
LONGEST_CROP_S = 3600.0
"""An hour; longer recordings can be kept whole by crop_s 'record'."""
LONGEST_BRIDGED_S = 5.0
"""A straight line over more than a few beats is no ECG."""

_MORE_THAN_0 = {
    "crop_s": (LONGEST_CROP_S, "10 seconds, or 'record' for whole recordings"),
    "stride_s": (LONGEST_CROP_S, "5 seconds"),
}
_AT_LEAST_0 = {
    "skip_first_s": (None, "300 seconds"),
    "max_bridged_s": (LONGEST_BRIDGED_S, "0.1 seconds"),
    "seed": (None, "0, 1 or 2"),
}
_PAIRS = ("window_ms", "filter_hz")


def check_choice(name: str, value: str | None, valid: Sequence[str]) -> None:
    """Raise DataError where a word is not one of the valid ones; None is always valid."""
    if value is not None and value not in valid:
        raise DataError(
            f"{name} is '{value}', expected one of {', '.join(valid)}",
            hint=nearest_hint(str(value), valid),
        )


def check_names(
    option: str, names: Sequence[str], valid: Sequence[str], owner: str, *, least: int
) -> None:
    """Raise DataError where a name is not valid, is there twice, or there are too few.

    Args:
        option: what the user called it.
        names: those asked for.
        valid: those there are.
        owner: who has them, with "does" or "do".
        least: how many are needed.
    """
    for name in names:
        if name not in valid:
            raise DataError(
                f"{option} names '{name}', which {owner} not have", hint=nearest_hint(name, valid)
            )
    if len(set(names)) < max(least, len(names)):
        raise DataError(
            f"{option} is '{', '.join(names)}', expected at least {least}, none of them twice",
            hint=f"there are: {', '.join(valid)}",
        )


def as_floats(name: str, value: Any, word: str | None) -> Any:
    """Return numbers as floats, None and `word` as they are.

    375 and 375.0 are the same window: one spelling, so that equal options give equal bytes.

    Raises:
        DataError: it is neither.
    """
    if value is None or (isinstance(value, str) and value == word):
        return value
    try:
        if name in _PAIRS and isinstance(value, Sequence) and not isinstance(value, str):
            return tuple(float(item) for item in value)
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        expected = f"a number or '{word}'" if word else "a number"
        raise DataError(
            f"{name} is '{value}', expected {expected}",
            hint=nearest_hint(str(value), [word]) if word else "give the number without its unit",
        ) from error


def check_numbers(options: Mapping[str, Any]) -> None:
    """Raise DataError naming the first number that is out of its range; None passes."""
    for name, (most, example) in _MORE_THAN_0.items():
        value = options[name]
        if isinstance(value, float) and not 0 < value <= most:
            raise DataError(
                f"{name} is {value:g}, expected more than 0 and at most {most:,g}",
                hint=f"say, {example}",
            )
    for name, (limit, example) in _AT_LEAST_0.items():
        value = options[name]
        if value is not None and not 0 <= value <= (limit or sys.float_info.max):
            at_most = f" and at most {limit:,g}" if limit else ""
            shown = f"{value:g}" if isinstance(value, float) else value
            raise DataError(
                f"{name} is {shown}, expected at least 0{at_most}", hint=f"say, {example}"
            )
    _check_rate(options["rate_hz"])
    _check_window(options["window_ms"])
    _check_filter(options["filter_hz"])
    folds = options["folds"]
    if folds is not None and (folds < 0 or folds == 1):
        raise DataError(
            f"folds is {folds}, expected 0 or at least 2",
            hint="one fold has nothing to train on; 0 keeps the fixed split alone",
        )


def _check_rate(rate_hz: float | str | None) -> None:
    slowest_hz, fastest_hz = RATES_HZ
    if isinstance(rate_hz, float) and not slowest_hz <= rate_hz <= fastest_hz:
        raise DataError(
            f"rate_hz is {rate_hz:g}, expected {slowest_hz:g} to {fastest_hz:,g}",
            hint="give samples a second, for example 128, or 'native' for the recordings' own rate",
        )


def _check_window(window_ms: Any) -> None:
    if window_ms is None:
        return
    before_ms, after_ms = _pair("window_ms", window_ms)
    if not (0 <= before_ms <= LONGEST_WINDOW_MS and 0 < after_ms <= LONGEST_WINDOW_MS):
        raise DataError(
            f"window_ms is {before_ms:g} before and {after_ms:g} after the beat, expected at least "
            f"0 and more than 0, each at most {LONGEST_WINDOW_MS:,g}",
            hint="give milliseconds, for example 375 and 625",
        )


def _check_filter(filter_hz: Any) -> None:
    if filter_hz in (None, "none"):
        return
    low_hz, high_hz = _pair("filter_hz", filter_hz)
    if not LOWEST_CORNER_HZ <= low_hz < high_hz <= RATES_HZ[1] / 2:
        raise DataError(
            f"filter_hz is {low_hz:g} to {high_hz:g}, expected {LOWEST_CORNER_HZ:g} <= lower < "
            f"upper corner <= {RATES_HZ[1] / 2:,g}",
            hint="give hertz, for example 0.5 and 40, or 'none' for no filter",
        )


def _pair(name: str, values: Any) -> tuple[float, float]:
    if not isinstance(values, tuple) or len(values) != 2:
        raise DataError(
            f"{name} is '{values}', expected two numbers",
            hint="for example 375 and 625 (window_ms), 0.5 and 40 (filter_hz)",
        )
    return values
