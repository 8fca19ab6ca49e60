"""The baseline families as parameters: at their published size, or over a range of sizes.

All families share these parameters, under names of their own: a name has one range in a study, and
what is a good width for an EfficientECG says nothing of a ResNet's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from ecgmodels.models.base import ModelConfig
from ecgmodels.models.efficientecg.config import EfficientECGConfig
from ecgmodels.models.registry import FAMILIES
from spaces.parameters import Choice, Float, Parameter, Pick

FAMILY_NAMES = tuple(name for name in FAMILIES if name != EfficientECGConfig.model)
PREFIX = "baseline_"
PUBLISHED = "published"
"""Dropout as the family's paper, or the benchmark it is known from, has it."""


def _fixed(low: float, high: float) -> Float:
    return Float(1.0, 1.0, log=True, allowed=(low, high))


PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "baseline_width": _fixed(0.05, 4.0),
        "baseline_depth": _fixed(0.1, 4.0),
        "baseline_kernel_scale": _fixed(0.1, 4.0),
        "baseline_dropout": Choice(
            (PUBLISHED,), allowed=(PUBLISHED, 0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
        ),
        "baseline_fusion": Choice(("none",), allowed=("none", "concat")),
    }
)
"""Fixed where they are, as published and without features, unless a study file gives a range."""


def has_field(family: str, parameter: str) -> bool:
    """Return whether a family has what a parameter of `PARAMETERS` sets."""
    fields = dataclasses.fields(FAMILIES[family].config)
    return parameter.removeprefix(PREFIX) in {field.name for field in fields}


def suggest_model(
    family: str, pick: Pick, shared: Mapping[str, Any], features: Callable[[], tuple[str, ...]]
) -> ModelConfig:
    """Return one member of a baseline family, asking only for what the family has.

    Args:
        family: one of `FAMILY_NAMES`.
        pick: asks for a parameter of `PARAMETERS`.
        shared: the fields that every family has: leads, samples, classes, template.
        features: asks for the features that a candidate sees.

    Raises:
        ConfigError: the sizes cannot be built.
    """
    fields = dict(shared)
    for name in PARAMETERS:
        if has_field(family, name) and (value := pick(name)) != PUBLISHED:
            fields[name.removeprefix(PREFIX)] = value
    if fields["fusion"] != "none":
        fields["features"] = features()
    return FAMILIES[family].config(**fields)
