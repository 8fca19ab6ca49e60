"""What a search may vary: a range of real numbers, a range of integers, or a choice of options.

A parameter says what is searched by default and, as `allowed`, what may be searched at all. A study
file's `[space.ranges]` moves the first within the second:

    phi = [-2.0, 1.0]                 bounds of a number
    learning_rate = { high = 1e-2 }   the same by name (low, high, log, step); the rest stays
    heads = [1, 2]                    options of a choice
    base = "tiny"                     fixed: never suggested, no sampler spends a dimension on it
"""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from ecgmodels.configs import nearest_hint
from spaces.errors import SpaceError

Option = str | int | float | bool

_ANY = (-math.inf, math.inf)
_MOST_LISTED = 12


class Trial(Protocol):
    """Whatever proposes values: one of Optuna's trials, or anything with these three methods."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int: ...

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclasses.dataclass(frozen=True)
class Float:
    """Real numbers from `low` to `high`, both included; `log` spreads them over magnitudes."""

    low: float
    high: float
    log: bool = dataclasses.field(default=False, kw_only=True)
    allowed: tuple[float, float] = dataclasses.field(default=_ANY, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if not _is_number(bound) or not math.isfinite(bound):
                raise SpaceError(
                    f"expected finite numbers as bounds, got {bound!r}",
                    hint="give [low, high], or one number to fix the parameter",
                )
        _check_bounds(self)

    @property
    def fixed(self) -> bool:
        """Whether a single value is left."""
        return self.low == self.high

    def suggest(self, trial: Trial, name: str) -> float:
        """Return a value within the bounds; a fixed one is returned without asking the trial."""
        if self.fixed:
            return float(self.low)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def from_toml(self, value: object) -> Float:
        """Return this parameter as a study file wants it (see the module's docstring).

        Raises:
            SpaceError: not a number, two numbers or a table of them, or not allowed.
        """
        return dataclasses.replace(self, **_bounds_from_toml(value, ("low", "high", "log")))

    def to_toml(self) -> float | dict[str, Any]:
        """Return what `from_toml` reads back: the value of a fixed parameter, or the table."""
        return self.low if self.fixed else {"low": self.low, "high": self.high, "log": self.log}


@dataclasses.dataclass(frozen=True)
class Int:
    """Integers from `low` to `high`, both included, `step` apart."""

    low: int
    high: int
    step: int = dataclasses.field(default=1, kw_only=True)
    log: bool = dataclasses.field(default=False, kw_only=True)
    allowed: tuple[float, float] = dataclasses.field(default=_ANY, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        for number in (self.low, self.high, self.step):
            if isinstance(number, bool) or not isinstance(number, int):
                raise SpaceError(
                    f"expected whole numbers, got {number!r}",
                    hint="give [low, high] without a decimal point, or one whole number",
                )
        _check_bounds(self)
        if self.step < 1 or (self.high - self.low) % self.step:
            raise SpaceError(
                f"steps of {self.step} do not lead from {self.low} to {self.high}",
                hint="give a step that divides high - low",
            )
        if self.log and self.step != 1:
            raise SpaceError(
                f"a logarithmic range has no step, got {self.step}", hint="leave out step or log"
            )

    @property
    def fixed(self) -> bool:
        """Whether a single value is left."""
        return self.low == self.high

    def suggest(self, trial: Trial, name: str) -> int:
        """Return a value within the bounds; a fixed one is returned without asking the trial."""
        if self.fixed:
            return self.low
        return trial.suggest_int(name, self.low, self.high, step=self.step, log=self.log)

    def from_toml(self, value: object) -> Int:
        """Return this parameter as a study file wants it; like `Float.from_toml`, and `step`."""
        return dataclasses.replace(self, **_bounds_from_toml(value, ("low", "high", "step", "log")))

    def to_toml(self) -> int | dict[str, Any]:
        """Return what `from_toml` reads back: the value of a fixed parameter, or the table."""
        if self.fixed:
            return self.low
        return {"low": self.low, "high": self.high, "step": self.step, "log": self.log}


@dataclasses.dataclass(frozen=True)
class Choice:
    """One of `options`; `allowed` holds further ones that are searched only when asked for."""

    options: tuple[Option, ...]
    allowed: tuple[Option, ...] = dataclasses.field(default=(), kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not self.options:
            raise SpaceError("a choice has no options", hint=f"valid: {_listed(self.allowed)}")
        for index, option in enumerate(self.options):
            if _find(option, self.options[:index]) is not None:
                raise SpaceError(f"option {option!r} is listed twice", hint="list it once")
        if not self.allowed:
            object.__setattr__(self, "allowed", self.options)
        for option in self.options:
            if _find(option, self.allowed) is None:
                raise SpaceError(f"{option!r} is not an option", hint=self._advice(option))

    def _advice(self, option: object) -> str:
        names = [str(known) for known in self.allowed]
        near = difflib.get_close_matches(str(option), names, n=1) if isinstance(option, str) else []
        return f"did you mean '{near[0]}'?" if near else f"valid: {_listed(self.allowed)}"

    @property
    def fixed(self) -> bool:
        """Whether a single option is left."""
        return len(self.options) == 1

    def suggest(self, trial: Trial, name: str) -> Option:
        """Return one of the options; the only one is returned without asking the trial."""
        if self.fixed:
            return self.options[0]
        option: Option = trial.suggest_categorical(name, self.options)
        return option

    def from_toml(self, value: object) -> Choice:
        """Return this parameter with the option, or the list of options, that a study file gives.

        Raises:
            SpaceError: an option is not allowed; the hint names the nearest that is.
        """
        if isinstance(value, Mapping):
            raise SpaceError(
                "expected a list of options, got a table", hint=f"valid: {_listed(self.allowed)}"
            )
        wanted = tuple(value) if isinstance(value, list | tuple) else (value,)
        # The allowed spelling is kept: 1 for an option 1.0 must not make another categorical in
        # Optuna.
        found = (_find(option, self.allowed) for option in wanted)
        options = tuple(
            option if known is None else known for option, known in zip(wanted, found, strict=True)
        )
        return dataclasses.replace(self, options=options)

    def to_toml(self) -> Option | list[Option]:
        """Return what `from_toml` reads back: the only option, or the list."""
        return self.options[0] if self.fixed else list(self.options)


Parameter = Float | Int | Choice

Pick = Callable[[str], Any]
"""Returns the value of the parameter of that name, asking a trial unless it is fixed."""


def overridden(
    parameters: Mapping[str, Parameter], overrides: Mapping[str, object]
) -> dict[str, Parameter]:
    """Return the parameters with a study file's `[space.ranges]` applied.

    Raises:
        SpaceError: a name is not a parameter, or a value does not suit it; the message starts with
            the name.
    """
    result = dict(parameters)
    for name, value in overrides.items():
        if name not in parameters:
            raise SpaceError(
                f"space.ranges.{name}: the space has no such parameter",
                hint=nearest_hint(name, parameters),
            )
        try:
            result[name] = parameters[name].from_toml(value)
        except SpaceError as error:
            raise SpaceError(f"space.ranges.{name}: {error}", hint=error.hint) from error
    return result


def _bounds_from_toml(value: object, keys: Sequence[str]) -> dict[str, Any]:
    """Return the fields that `value` sets: of a table, of two bounds, or of the only value left."""
    if isinstance(value, Mapping):
        for key in value:
            if key not in keys:
                raise SpaceError(f"unknown key '{key}'", hint=nearest_hint(str(key), keys))
        if not isinstance(value.get("log", False), bool):
            raise SpaceError(f"log is true or false, not {value['log']!r}", hint="log = true")
        return dict(value)
    if isinstance(value, list | tuple):
        if len(value) != 2:
            raise SpaceError(
                f"expected two bounds, got {len(value)}",
                hint="give [low, high], or one number to fix the parameter",
            )
        return {"low": value[0], "high": value[1]}
    return {"low": value, "high": value}


def _check_bounds(parameter: Float | Int) -> None:
    low, high = parameter.low, parameter.high
    if low > high:
        raise SpaceError(
            f"the lower bound {low} is above the upper bound {high}",
            hint=f"write [{high}, {low}]",
        )
    least, most = parameter.allowed
    if low < least or high > most:
        raise SpaceError(
            f"[{low}, {high}] is more than can be built", hint=f"stay within [{least:g}, {most:g}]"
        )
    if parameter.log and low <= 0 and not parameter.fixed:
        raise SpaceError(
            f"a logarithmic range cannot start at {low}",
            hint="give a lower bound above 0, or { log = false } with both bounds",
        )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _find(option: object, options: Sequence[Option]) -> Option | None:
    """Return the equal one of `options`; True is not 1 here, though 1 is 1.0."""
    for known in options:
        if known == option and isinstance(known, bool) == isinstance(option, bool):
            return known
    return None


def _listed(options: Sequence[Option]) -> str:
    rest = f", ... ({len(options)} in all)" if len(options) > _MOST_LISTED else ""
    return ", ".join(str(option) for option in options[:_MOST_LISTED]) + rest
