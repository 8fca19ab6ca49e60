"""How candidates are trained: what is searched unless it is fixed, and what may be searched."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, get_args

from ecgmodels.errors import ConfigError
from ecgmodels.training.config import MAINS_HZ, ClassWeighting, LossName, TrainingConfig
from spaces.errors import SpaceError
from spaces.parameters import Choice, Float, Parameter, Pick
from spaces.shape import DataShape

NONE = "none"
"""What a study file writes for None, which TOML does not have."""

SEARCHED: Mapping[str, Parameter] = MappingProxyType(
    {
        "learning_rate": Float(3e-4, 1e-2, log=True, allowed=(1e-7, 1.0)),
        "weight_decay": Float(1e-4, 1e-1, log=True, allowed=(0.0, 10.0)),
        "class_weighting": Choice(("none", "sqrt", "balanced"), allowed=get_args(ClassWeighting)),
    }
)
"""Searched by default; to fix one, a study file sets it under `[space.ranges]`."""


def _fixed(name: str, low: float, high: float) -> Float:
    """Return a number that stays at `TrainingConfig`'s default unless a range is asked for."""
    default = getattr(TrainingConfig, name)
    return Float(default, default, allowed=(low, high))


SEARCHABLE: Mapping[str, Parameter] = MappingProxyType(
    {
        "loss": Choice((TrainingConfig.loss,), allowed=get_args(LossName)),
        "focal_gamma": _fixed("focal_gamma", 0.1, 10.0),
        "label_smoothing": _fixed("label_smoothing", 0.0, 0.5),
        "ema_decay": Choice((NONE,), allowed=(NONE, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999, 0.9999)),
        "gradient_clip": Choice((NONE,), allowed=(NONE, 0.1, 0.3, 1.0, 3.0, 10.0)),
        "amplitude_scale": _fixed("amplitude_scale", 0.0, 0.9),
        "noise_uv": _fixed("noise_uv", 0.0, 500.0),
        "time_shift": _fixed("time_shift", 0.0, 0.5),
        "baseline_wander_uv": _fixed("baseline_wander_uv", 0.0, 5_000.0),
        "mains_hum_uv": _fixed("mains_hum_uv", 0.0, 1_000.0),
        "mains_hz": Choice((TrainingConfig.mains_hz,), allowed=MAINS_HZ),
        "lead_dropout": _fixed("lead_dropout", 0.0, 0.9),
    }
)
"""At `TrainingConfig`'s default, or at the `[training]` of a study file, unless searched."""

PARAMETERS: Mapping[str, Parameter] = MappingProxyType({**SEARCHED, **SEARCHABLE})

_OPTIONAL = ("ema_decay", "gradient_clip")


def suggest_training(pick: Pick, shared: Mapping[str, Any]) -> TrainingConfig:
    """Return how one candidate is trained, asking only for what has an effect.

    Args:
        pick: asks for a parameter of `PARAMETERS`.
        shared: fields that all candidates share.

    Raises:
        ConfigError: the settings do not go together.
    """
    fields = dict(shared)
    for name in PARAMETERS:
        if name in shared or not _has_effect(name, fields):
            continue
        value = pick(name)
        fields[name] = None if value == NONE and name in _OPTIONAL else value
    return TrainingConfig(**fields)


def check_shared(
    shape: DataShape, shared: Mapping[str, Any], ranges: Mapping[str, object]
) -> TrainingConfig:
    """Return what all candidates share, once it is found fit for the dataset and the search.

    Raises:
        SpaceError: a setting is searched, and so cannot be shared.
        ConfigError: a setting is unknown, out of range, or nothing for such a dataset.
    """
    for name in shared:
        if name in SEARCHED:
            raise SpaceError(
                f"training.{name} is searched by the space",
                hint=f"to fix it, set {name} under [space.ranges] instead",
            )
        if name in SEARCHABLE and name in ranges:
            raise SpaceError(
                f"training.{name} is fixed, and space.ranges.{name} asks to search it",
                hint="leave one of the two out",
            )
    config = TrainingConfig.from_dict(shared)
    config.require_fit(leads=shape.leads, rate_hz=shape.rate_hz)
    return config


def check_augmentation(
    shape: DataShape, config: TrainingConfig, parameters: Mapping[str, Parameter]
) -> None:
    """Raise SpaceError where an augmentation is searched that such a dataset cannot have."""
    largest = config
    for name in ("lead_dropout", "mains_hum_uv", "mains_hz"):
        if name not in parameters:  # it is shared
            continue
        high: Any = _highest(parameters[name])
        largest = dataclasses.replace(largest, **{name: high})
        try:
            largest.require_fit(leads=shape.leads, rate_hz=shape.rate_hz)
        except ConfigError as error:
            raise SpaceError(f"space.ranges.{name}: {error}", hint=error.hint) from error


def _highest(parameter: Parameter) -> Any:
    return max(parameter.options) if isinstance(parameter, Choice) else parameter.high


def _has_effect(name: str, fields: Mapping[str, Any]) -> bool:
    if name == "focal_gamma":
        return bool(fields["loss"] == "focal")
    if name == "mains_hz":
        return bool(fields["mains_hum_uv"] > 0)
    return True
