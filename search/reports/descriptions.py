"""Configurations in a few words, for tables and for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ecgmodels.models.efficientecg.config import EfficientECGConfig
from ecgmodels.models.registry import FAMILIES

_OPTIONS: Mapping[str, str] = {
    "stages": "{} stages",
    "expansion": "expansion {}",
    "squeeze_ratio": "squeeze {}",
    "activation": "{}",
    "stem_stride": "stem stride {}",
    "leads_fused": "leads fused at {}",
    "template": "median beat beside each lead",
}
_ATTENTION: Mapping[str, str] = {"heads": "heads {}", "attention_width": "attention {} wide"}
_DIRECTIONS: Mapping[str, str] = {
    "features_to_signal": "features attend",
    "both": "both attend",
}
_MOST_NAMED = 2
"""Features that are told by name; of more, their number."""


def describe_configuration(candidate: Any) -> str:
    """Return an architecture in a few words; another problem's parameters as they are.

    Beside a network's family or base and its size, only what differs from the family's defaults is
    told.
    """
    model = candidate.get("model") if isinstance(candidate, dict) else None
    if not isinstance(model, dict) or model.get("model") not in FAMILIES:
        return ", ".join(f"{key} {_short(value)}" for key, value in candidate.items())
    ours = model["model"] == EfficientECGConfig.model
    size = _size(model) if ours else _baseline_size(model)
    options, attention = _options(model, _OPTIONS), _options(model, _ATTENTION)
    return ", ".join([*size, *options, *_fusion(model), *attention])


def _size(model: dict[str, Any]) -> list[str]:
    return [
        str(model["base"]),
        f"depth x{model['depth']:.2f}",
        f"width x{model['width']:.2f}",
        f"length x{model['resolution']:.2f}",
        f"kernels x{model['kernel_scale']:.2f}",
    ]


def _baseline_size(model: dict[str, Any]) -> list[str]:
    names = {"depth": "depth", "width": "width", "kernel_scale": "kernels"}
    sizes = [
        f"{word} x{model[name]:.2f}" for name, word in names.items() if model.get(name, 1) != 1
    ]
    return [str(model["model"]), *sizes]


def _options(model: dict[str, Any], words: Mapping[str, str]) -> list[str]:
    return [
        told.format(_short(model[name])) for name, told in words.items() if _differs(model, name)
    ]


def _fusion(model: dict[str, Any]) -> list[str]:
    features = model["features"]
    seen = f"{len(features)} features" if len(features) > _MOST_NAMED else "+".join(features)
    if model["fusion"] == "concat":
        return [f"{seen} concatenated"]
    if model["fusion"] == "attention":
        words = [f"attention to {seen} at {'+'.join(model['placements'])}"]
        return [*words, _DIRECTIONS[model["direction"]]] if _differs(model, "direction") else words
    return []


def _differs(model: dict[str, Any], name: str) -> bool:
    """Return whether a field is there and not at its family's default."""
    default = getattr(FAMILIES[model["model"]].config, name, None)
    return name in model and model[name] != default


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
