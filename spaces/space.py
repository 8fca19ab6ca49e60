"""What a space is, and how a study file names one: by a known name or by import path."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol, Self, runtime_checkable

from ecgmodels.configs import nearest_hint
from spaces.candidate import Candidate
from spaces.errors import SpaceError
from spaces.parameters import Parameter, Trial
from spaces.shape import DataShape

SPACES: Mapping[str, str] = MappingProxyType({"efficientecg": "spaces.ecg:ECGSpace"})
"""Spaces that come along: name -> import path, imported when asked for."""


@runtime_checkable
class Space(Protocol):
    """What is searched. Built as `MySpace(shape, training)`.

    `shape` is the `DataShape`; `training` maps fields of `TrainingConfig` to values that every
    candidate shares (the number of epochs is always one of them).
    """

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """Everything that may be varied, conditional parameters too, by the name in the study."""
        ...

    def with_ranges(self, overrides: Mapping[str, object]) -> Self:
        """Return this space with a study file's `[space.ranges]` applied.

        Raises:
            SpaceError: an unknown name, or a value that does not suit the parameter.
        """
        ...

    def suggest(self, trial: Trial) -> Candidate:
        """Build a candidate, asking the trial only for what this candidate needs (define-by-run).

        Without side effects: the same answers give the same candidate.

        Raises:
            CandidateRefused: this combination cannot be built; the search asks for another.
        """
        ...


def build_space(
    name: str,
    shape: DataShape,
    training: Mapping[str, Any],
    ranges: Mapping[str, object] = MappingProxyType({}),
) -> Space:
    """Return the space that a study file asks for.

    Args:
        name: a key of `SPACES`, or "module:Class" importable from the current folder.
        shape: the dataset's.
        training: fields of `TrainingConfig` that every candidate shares, `epochs` among them.
        ranges: parameter -> bounds, options or a fixed value.

    Raises:
        SpaceError: the space cannot be imported, does not follow `Space`, or refuses a range.
    """
    space = _load(name)(shape, training)
    if not isinstance(space, Space):
        raise SpaceError(
            f"space '{name}' does not follow spaces.space.Space",
            hint="it needs .parameters, with_ranges(overrides) and suggest(trial)",
        )
    return space.with_ranges(ranges)


def _load(name: str) -> Any:
    path = SPACES.get(name, name)
    module, colon, attribute = path.partition(":")
    if not (module and colon and attribute):
        raise SpaceError(
            f"there is no space '{name}'",
            hint=f'{nearest_hint(name, SPACES)}; one of your own is "module:Class"',
        )
    try:
        namespace = vars(importlib.import_module(module))
    except ImportError as error:
        raise SpaceError(
            f"space '{name}': {module} cannot be imported: {error}",
            hint="run where the module is importable, such as the folder that holds it",
        ) from error
    classes = {key: value for key, value in namespace.items() if isinstance(value, type)}
    if attribute not in classes:
        raise SpaceError(
            f"space '{name}': {module} has no class '{attribute}'",
            hint=nearest_hint(attribute, classes),
        )
    return classes[attribute]
