"""What a single option of data preparation may be, whatever the others are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import DataError

_MORE_THAN_0 = {"crop_s": "10 seconds", "stride_s": "5 seconds", "rate_hz": "128 samples a second"}
_AT_LEAST_0 = {"skip_first_s": "300 seconds", "max_bridged_s": "0.1 seconds", "seed": "0, 1 or 2"}


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
        if isinstance(value, Sequence) and not isinstance(value, str):
            return tuple(float(item) for item in value)
        return float(value)
    except (TypeError, ValueError) as error:
        expected = f"a number or '{word}'" if word else "a number"
        raise DataError(
            f"{name} is '{value}', expected {expected}",
            hint=nearest_hint(str(value), [word]) if word else "give the number without its unit",
        ) from error


def check_numbers(options: Mapping[str, Any]) -> None:
    """Raise DataError naming the first number that is out of its range; None passes."""
    for name, example in _MORE_THAN_0.items():
        value = options[name]
        if isinstance(value, float) and not 0 < value < math.inf:
            raise DataError(f"{name} is {value:g}, expected more than 0", hint=f"say, {example}")
    for name, example in _AT_LEAST_0.items():
        value = options[name]
        if value is not None and not 0 <= value < math.inf:
            raise DataError(f"{name} is {value:g}, expected at least 0", hint=f"say, {example}")
    if options["window_ms"] is not None:
        before_ms, after_ms = _pair("window_ms", options["window_ms"])
        if not (0 <= before_ms < math.inf and 0 < after_ms < math.inf):
            raise DataError(
                f"window_ms is {before_ms:g} before and {after_ms:g} after the beat, "
                "expected at least 0 and more than 0",
                hint="give milliseconds, for example 375 and 625",
            )
    if options["filter_hz"] not in (None, "none"):
        low_hz, high_hz = _pair("filter_hz", options["filter_hz"])
        if not 0 < low_hz < high_hz < math.inf:
            raise DataError(
                f"filter_hz is {low_hz:g} to {high_hz:g}, expected 0 < lower < upper corner",
                hint="give hertz, for example 0.5 and 40, or 'none' for no filter",
            )
    folds = options["folds"]
    if folds is not None and (folds < 0 or folds == 1):
        raise DataError(
            f"folds is {folds}, expected 0 or at least 2",
            hint="one fold has nothing to train on; 0 keeps the fixed split alone",
        )


def _pair(name: str, values: Any) -> tuple[float, float]:
    if not isinstance(values, tuple) or len(values) != 2:
        raise DataError(
            f"{name} is '{values}', expected two numbers",
            hint="for example 375 and 625 (window_ms), 0.5 and 40 (filter_hz)",
        )
    return values
