"""Frozen configurations that go to plain dictionaries (JSON, TOML) and come back."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable, Mapping
from typing import Any, Self

from ecgmodels.errors import ConfigError


class Config:
    """Mixin for frozen keyword-only dataclasses of numbers, strings, booleans, None and tuples."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values; tuples become lists."""
        return {
            field.name: _plain(getattr(self, field.name))
            for field in dataclasses.fields(self)  # type: ignore[arg-type]
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the configuration from `to_dict`'s result.

        Raises:
            ConfigError: a key is not a field; the message names the nearest one.
        """
        fields = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
        for key in values:
            if key not in fields:
                raise ConfigError(
                    f"{cls.__name__} has no field '{key}'",
                    hint=nearest_hint(key, fields),
                )
        return cls(**{key: _frozen(value) for key, value in values.items()})


def nearest_hint(key: str, valid: Iterable[str]) -> str:
    """Return advice that names the valid key most like `key`, or all of them when none is near."""
    names = sorted(valid)
    near = difflib.get_close_matches(key, names, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"valid: {', '.join(names)}"


def _plain(value: Any) -> Any:
    if isinstance(value, Config):
        return value.to_dict()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


def _frozen(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_frozen(item) for item in value)
    return value
