"""What is wrong with a study file, in two lines: which key, what was expected, and the way out."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Any, Union

from pydantic import BaseModel, JsonValue, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from ecgmodels.configs import nearest_hint
from search.errors import StudyFileError

_EXPECTED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge} or more",
    "less_than_equal": "at most {le}",
    "invalid-json-value": "text, a number, true or false",
    "string_too_short": "some text",
    "too_short": "at least one",
    "literal_error": "{expected}",
}
"""Pydantic's kind of error -> what was expected, its context filled in."""


def refusal(message: str, hint: str) -> PydanticCustomError:
    """Return what a validator raises: it is told of the table or key where it was raised."""
    return PydanticCustomError("refused", "{message}", {"message": message, "hint": hint})


def explained(error: ValidationError, model: type[BaseModel], file: str) -> StudyFileError:
    """Return the first of Pydantic's errors in the words of a study file."""
    details = error.errors(include_url=False)[0]
    message, hint = _message_and_hint(details, model)
    return StudyFileError(f"{file}: {message}", hint=hint)


def type_problem(value: object, annotation: Any) -> str | None:
    """Return "expected a whole number, got ..." when the value is not of the annotated type."""
    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)[0]
        return f"expected {_expected(details)}, got {_shown(value)}"
    return None


def dotted(location: tuple[int | str, ...]) -> str:
    """Return a key's path: `trials.wide.workers`, `objectives[0].metric`."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return "".join(parts).removeprefix(".")


def _message_and_hint(details: ErrorDetails, model: type[BaseModel]) -> tuple[str, str]:
    kind, location = details["type"], details["loc"]
    free = _free_value(location, model, kind)
    if free is not None:
        return (
            f"{dotted(free)}: expected {_expected(details)}, got {_shown(details['input'])}",
            "write a number, text in quotes, true, false, or a list or table of these",
        )
    path, value, context = dotted(location), details["input"], details.get("ctx", {})
    if kind == "refused":
        message = context["message"]
        return (f"{path}: {message}" if path else message), context["hint"]
    if kind == "extra_forbidden":
        return f"unknown key '{path}'", _place_of(location, model)
    if kind == "missing":
        return f"'{path}' is missing", f"add {_example(location, model)}"
    if kind == "literal_error":
        valid = [str(option) for option in typing.get_args(_annotation(location, model))]
        return (
            f"{path}: expected {_expected(details)}, got {_shown(value)}",
            nearest_hint(str(value), valid),
        )
    return f"{path}: expected {_expected(details)}, got {_shown(value)}", (
        f"write [{path}] and its keys below"
        if kind in ("model_type", "dict_type")
        else f"write {_example(location, model)}"
    )


def _free_value(
    location: tuple[int | str, ...], model: type[BaseModel], kind: str
) -> tuple[int | str, ...] | None:
    """Return the path of a value that may be of any JSON type; None for all other keys.

    Pydantic puts the type that it found there before each part of such a path, and at its end.
    """
    if kind == "invalid-json-value":  # a date or a time
        return location
    for count in range(1, len(location)):
        if _annotation(location[:count], model) is JsonValue:
            return (*location[:count], *location[count + 1 :: 2])
    return None


def _expected(details: ErrorDetails) -> str:
    return _EXPECTED.get(details["type"], details["msg"]).format(**details.get("ctx", {}))


def _place_of(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Advise on an unknown key: it belongs to another table, or is misspelt."""
    key = str(location[-1])
    for home in _all_keys(model):
        if home.rpartition(".")[2] == key:
            if "." in home:
                return f"did you mean '{home}'?"
            return f"'{key}' belongs at the top of the file, before the first [table]"
    table = _annotation(location[:-1], model)
    return nearest_hint(key, table.model_fields)


def _all_keys(model: type[BaseModel], prefix: str = "") -> list[str]:
    keys = []
    for name, field in model.model_fields.items():
        keys.append(prefix + name)
        inner = _without_none(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += _all_keys(inner, f"{prefix}{name}.")
    return keys


def _annotation(location: tuple[int | str, ...], model: type[BaseModel]) -> Any:
    """Return the type at a path of the file: a table's class, a Literal, ..."""
    found: Any = model
    for part in location:
        if isinstance(found, type) and issubclass(found, BaseModel):
            found = _without_none(found.model_fields[str(part)].annotation)
        else:  # tuple[Table, ...] or dict[str, Table]
            position = 1 if typing.get_origin(found) is dict else 0
            found = typing.get_args(found)[position]
    return found


def _without_none(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return next(a for a in typing.get_args(annotation) if a is not type(None))
    return annotation


def _example(location: tuple[int | str, ...], model: type[BaseModel]) -> str:
    """Return an assignment that would be right, with the key's default or example."""
    table, key = _annotation(location[:-1], model), str(location[-1])
    if not (isinstance(table, type) and issubclass(table, BaseModel)):
        return f"{key} = ..., as the documentation of study files shows"
    field = table.model_fields[key]
    if field.examples:
        return f"{key} = {_toml(field.examples[0])}"
    default = field.get_default(call_default_factory=True)
    if isinstance(default, str | int | float):
        return f"{key} = {_toml(default)}"
    if typing.get_origin(_annotation(location, model)) is tuple:
        return f"[[{key}]] and its keys below"
    return f"{key} = {_SAMPLES.get(_without_none(field.annotation), '...')}"


_SAMPLES: Mapping[Any, str] = {float: "1.0", int: "1", str: '"text"', bool: "true"}


def _toml(value: object) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    return _toml(value)
