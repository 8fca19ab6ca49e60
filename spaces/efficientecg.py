"""The EfficientECG family as parameters: sizes, blocks, fusion of features, fusion of leads.

Sizes come from a base and from compound scaling: depth alpha^phi, width beta^phi, resolution
gamma^phi with gamma = 2 / (alpha * beta^2), so one step of phi doubles or halves the work. phi is
spread evenly, sizes therefore over magnitudes: with 2 leads and 4 classes, from about 4 k
parameters (base "tiny", phi -3) to 1.2 M (base "small", phi 3); base "b0" goes on to 40 M. With
scaling "direct" the three multipliers are drawn each for itself.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, get_args

from ecgmodels.models.efficientecg.bases import BASES, placement_names
from ecgmodels.models.efficientecg.config import (
    STEM_STRIDES,
    Activation,
    Direction,
    EfficientECGConfig,
    compound_scaling,
)
from spaces.parameters import Choice, Float, Parameter, Pick

FAMILY = EfficientECGConfig.model
WITHOUT_ATTENTION = ("none", "concat")
SEPARATOR = "+"
BY_BASE = "base"
"""Expansion as the base has it."""
EVERY = "all"
"""Every stage of the base."""
AT_INPUT = "input"

_LONGEST = max((placement_names(base) for base in BASES), key=len)
_MOST_STAGES = max(len(base.stages) for base in BASES.values())
_MULTIPLIER = (0.05, 20.0)


def _sets_of_places() -> tuple[str, ...]:
    """Return every set of places of the longest base, joined by "+" in the signal's order."""
    sizes = range(1, len(_LONGEST) + 1)
    sets = itertools.chain(*(itertools.combinations(_LONGEST, size) for size in sizes))
    return tuple(SEPARATOR.join(places) for places in sets)


PARAMETERS: Mapping[str, Parameter] = MappingProxyType(
    {
        "base": Choice(("tiny", "small"), allowed=tuple(BASES)),
        "scaling": Choice(("compound",), allowed=("compound", "direct")),
        "phi": Float(-3.0, 3.0, allowed=(-6.0, 6.0)),
        # The box stays where gamma >= 1 (1.3 * 1.24^2 = 1.999), so that by default no proposal is
        # turned down, and holds the paper's optimum (1.2, 1.1). Wider ranges are allowed; the
        # corner beyond is then refused candidate by candidate.
        "alpha": Float(1.0, 1.3, allowed=(1.0, 2.0)),
        "beta": Float(1.0, 1.24, allowed=(1.0, 2.0**0.5)),
        # Much of what phi spans, each by itself.
        "depth": Float(0.5, 2.0, log=True, allowed=_MULTIPLIER),
        "width": Float(0.5, 2.0, log=True, allowed=_MULTIPLIER),
        "resolution": Float(0.25, 2.0, log=True, allowed=_MULTIPLIER),
        # Kernels of 5 taps become 5 to 21, the lengths that suit ECG; every kernel of the bases
        # "tiny" and "small" has 5, and of "b0" those of stages 3, 5 and 6 (the others, of 3, become
        # 3 to 13). At 1 a network is its base as it stands.
        "kernel_scale": Float(1.0, 4.2, log=True, allowed=(0.1, 20.0)),
        "expansion": Choice((BY_BASE,), allowed=(BY_BASE, 1, 2, 3, 4, 5, 6, 8)),
        "squeeze_ratio": Float(0.25, 0.25, allowed=(1 / 64, 1.0)),
        "stages": Choice((EVERY,), allowed=(EVERY, *range(1, _MOST_STAGES + 1))),
        "activation": Choice(("silu",), allowed=get_args(Activation)),
        "stem_stride": Choice((2,), allowed=STEM_STRIDES),
        "leads_fused": Choice((AT_INPUT,), allowed=(AT_INPUT, *_LONGEST)),
        "fusion": Choice(
            (*WITHOUT_ATTENTION, "stem", "stage2", "stage4", "head", "stem+head", "stage2+stage4"),
            allowed=(*WITHOUT_ATTENTION, *_sets_of_places()),
        ),
        "direction": Choice(get_args(Direction)),
        "heads": Choice((2,), allowed=(1, 2, 3, 4, 6, 8, 12, 16)),
        "attention_width": Choice((16, 32), allowed=(4, 8, 12, 16, 24, 32, 48, 64, 96, 128)),
        "dropout": Float(0.0, 0.5, allowed=(0.0, 0.9)),
        "drop_path": Float(0.0, 0.3, allowed=(0.0, 0.9)),
    }
)
"""The family's parameters with their default ranges; one fixed by default is searched only when a
study file gives it a range."""

COMPOUND = ("phi", "alpha", "beta")
DIRECT = ("depth", "width", "resolution")
_ALWAYS = ("kernel_scale", "squeeze_ratio", "activation", "stem_stride", "dropout", "drop_path")


def suggest_model(
    pick: Pick, shared: Mapping[str, Any], features: Callable[[], tuple[str, ...]]
) -> EfficientECGConfig:
    """Return one member of the family, asking only for what it needs.

    alpha and beta are not asked for where phi is 0, nor the expansion of a single stage (which
    never expands), nor anything of attention where there is none.

    Args:
        pick: asks for a parameter of `PARAMETERS`.
        shared: the fields that every family has: leads, samples, classes, template.
        features: asks for the features that a candidate sees.

    Raises:
        ConfigError: gamma falls below 1, a place does not exist, or the sizes cannot be built.
    """
    fields = {**shared, "base": pick("base"), **_multipliers(pick)}
    fields |= {name: pick(name) for name in _ALWAYS}
    fields["stages"] = stages_kept(pick("stages"))
    if fields["stages"] != 1:
        expansion = pick("expansion")
        fields["expansion"] = None if expansion == BY_BASE else expansion
    fields["leads_fused"] = pick("leads_fused")
    fusion = pick("fusion")
    if fusion != "none":
        fields["features"] = features()
    if fusion in WITHOUT_ATTENTION:
        fields["fusion"] = fusion
    else:
        placements, direction = tuple(fusion.split(SEPARATOR)), pick("direction")
        fields |= {"fusion": "attention", "placements": placements, "direction": direction}
    if fusion not in WITHOUT_ATTENTION or fields["leads_fused"] != AT_INPUT:
        fields |= {name: pick(name) for name in ("heads", "attention_width")}
    return EfficientECGConfig(**fields)


def in_signal_order(wanted: object) -> object:
    """Return options of `fusion` with their places as the signal meets them: "head+stem" too."""
    if isinstance(wanted, list | tuple):
        return [in_signal_order(option) for option in wanted]
    if not isinstance(wanted, str) or not set(places := wanted.split(SEPARATOR)) <= set(_LONGEST):
        return wanted
    return SEPARATOR.join(sorted(places, key=_LONGEST.index))


def stages_kept(option: Any) -> int | None:
    """Return the configuration's `stages` for an option of the parameter."""
    return None if option == EVERY else option


def why_places_conflict(
    base: str, stages: Any, leads_fused: str = AT_INPUT, fusion: str = "none"
) -> str | None:
    """Return why these options cannot be built together; None where they can."""
    kept = stages_kept(stages)
    if kept is not None and kept > len(BASES[base].stages):
        return f"base '{base}' has no {kept} stages"
    places = placement_names(base, kept)
    of = f"base '{base}'" if kept is None else f"the first {kept} stages of base '{base}'"
    attention = [] if fusion in WITHOUT_ATTENTION else fusion.split(SEPARATOR)
    for place in [*([leads_fused] if leads_fused != AT_INPUT else []), *attention]:
        if place not in places:
            return f"there is no '{place}' in {of}"
    if leads_fused != AT_INPUT and attention:
        first = min(attention, key=places.index)
        if places.index(first) < places.index(leads_fused):
            return f"'{first}' lies before '{leads_fused}', where leads become one"
    return None


def _multipliers(pick: Pick) -> dict[str, float]:
    if pick("scaling") == "direct":
        return {name: pick(name) for name in DIRECT}
    phi = pick("phi")
    if phi == 0.0:
        return {}
    return dict(zip(DIRECT, compound_scaling(phi, pick("alpha"), pick("beta")), strict=True))
