"""Flags of the command line, made from the fields of a configuration."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import inspect
import textwrap
import types
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from ecgmodels.configs import Config


def add_config_flags(
    parser: argparse._ActionsContainer,
    kind: type[Config],
    *,
    prefix: str,
    aliases: Mapping[str, str] | None = None,
    customs: Mapping[str, object] | None = None,
    notes: Mapping[str, str] | None = None,
) -> None:
    """Add a flag for each field: `rate_hz` becomes `--rate-hz`, its docstring the help.

    Flags that are not given leave nothing in the namespace; see `chosen`.

    Args:
        parser: where the flags go.
        kind: a configuration whose fields are strings, numbers, booleans and tuples of them.
        prefix: of the names in the namespace, so that two configurations do not meet.
        aliases: field -> another flag that means the same.
        customs: field -> the value it has if it is left out, to be told.
        notes: field -> what else its help says.
    """
    docstrings, hints = field_docstrings(kind), get_type_hints(kind)
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        flags = [
            f"--{field.name.replace('_', '-')}",
            *filter(None, [(aliases or {}).get(field.name)]),
        ]
        text = docstrings.get(field.name, field.name).replace("None", "left out")
        text = f"{text} {(notes or {}).get(field.name, '')}".rstrip()
        default = (customs or {}).get(field.name, field.default)
        if default is not None and default is not dataclasses.MISSING:
            text = f"{text} (default: {written(default)})"
        options: dict[str, Any] = {
            "dest": prefix + field.name,
            "default": argparse.SUPPRESS,
            "help": text.replace("%", "%%"),
        }
        if hints[field.name] is bool:
            parser.add_argument(*flags, action=argparse.BooleanOptionalAction, **options)
        else:
            reader = _reader(hints[field.name], none=field.default is not None)
            parser.add_argument(*flags, type=reader, metavar=_metavar(hints[field.name]), **options)


def chosen(options: argparse.Namespace, prefix: str) -> dict[str, Any]:
    """Return the fields whose flags were given."""
    return {
        name.removeprefix(prefix): value
        for name, value in vars(options).items()
        if name.startswith(prefix)
    }


def written(value: object) -> str:
    """Return a value as the command line takes it."""
    if isinstance(value, tuple):
        return ",".join(map(written, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def field_docstrings(kind: type[Config]) -> dict[str, str]:
    """Return field -> the docstring under it, on one line; empty where there is no source."""
    found: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for field, below in pairwise(body):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        found[field.target.id] = " ".join(text.split())
    return found


def _reader(hint: Any, *, none: bool) -> Callable[[str], Any]:
    """Return what turns an argument into a value of the type."""
    kinds = _kinds(hint)

    def read(text: str) -> Any:
        if none and text == "none" and type(None) in kinds:
            return None
        for kind in kinds:
            if get_origin(kind) is Literal and text in get_args(kind):
                return text
        try:
            for kind in kinds:
                if get_origin(kind) is tuple:
                    return _read_tuple(text, get_args(kind))
                if kind in (int, float, str):
                    return kind(text)
        except ValueError:
            pass
        raise argparse.ArgumentTypeError(f"expected {_metavar(hint)}, got '{text}'")

    return read


def _read_tuple(text: str, kinds: tuple[Any, ...]) -> tuple[Any, ...]:
    parts = [part.strip() for part in text.split(",")]
    if kinds[-1] is not Ellipsis:
        return tuple(kind(part) for kind, part in zip(kinds, parts, strict=True))
    return () if text == "none" else tuple(kinds[0](part) for part in parts if part)


def _metavar(hint: Any) -> str:
    """Return what help shows in place of the value: NUMBER|record, A,B,..., pad|drop."""
    names: list[str] = []
    for kind in _kinds(hint):
        if get_origin(kind) is Literal:
            names += get_args(kind)
        elif get_origin(kind) is tuple:
            names.append("A,B,..." if get_args(kind)[-1] is Ellipsis else "X,Y")
        elif kind is not type(None):
            names.append({int: "NUMBER", float: "NUMBER", str: "NAME"}[kind])
    return "|".join(names)


def _kinds(hint: Any) -> Iterable[Any]:
    """Return the members of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
