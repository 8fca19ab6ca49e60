"""Plans as the study's log keeps them."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.engine.conductor import Plan


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """Return a plan as JSON-ready values."""
    return json.loads(json.dumps(dataclasses.asdict(plan)))


def plan_from_dict(values: Mapping[str, Any]) -> Plan:
    """Return the plan that `plan_to_dict` wrote down; what it does not say is at its default."""
    from search.engine.conductor import Plan

    return typing.cast("Plan", _built(Plan, values))


def _built(kind: Any, value: Any) -> Any:
    """Build what a field of type `kind` holds from its JSON."""
    if value is None:
        return None
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _built(next(one for one in arguments if one is not type(None)), value)
    if origin is tuple:
        return tuple(_built(arguments[0], item) for item in value)
    if dataclasses.is_dataclass(kind):
        types_of = typing.get_type_hints(kind)
        known = {name: each for name, each in value.items() if name in types_of}
        return typing.cast(Any, kind)(
            **{name: _built(types_of[name], each) for name, each in known.items()}
        )
    return value
