"""Ranges that nothing depends on while the other ranges are as they are: refused, with the reason.

What a space's `suggest` asks for only under a condition has its condition here too; a test holds
the two against each other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from spaces import baselines, efficientecg
from spaces.errors import SpaceError
from spaces.parameters import Choice, Float, Parameter


@dataclass(frozen=True, kw_only=True)
class Idle:
    """Parameters without effect, and why."""

    names: tuple[str, ...]
    because: str
    remedy: str
    """What would give them an effect."""


def check_effects(
    parameters: Mapping[str, Parameter], shared: Mapping[str, Any], ranges: Mapping[str, object]
) -> None:
    """Raise SpaceError for a range that has no effect.

    Args:
        parameters: the whole space; what a study file leaves out of it may well be idle.
        shared: training settings that all candidates share.
        ranges: what the study file sets.
    """
    values = _Values(parameters, shared)
    for find in (_families, _scaling, _attention, _features, _training):
        for idle in find(values):
            for name in idle.names:
                if name in ranges:
                    raise SpaceError(
                        f"space.ranges.{name} has no effect: {idle.because}",
                        hint=f"leave out {name}, or {idle.remedy}",
                    )


class _Values:
    """What candidates can have."""

    def __init__(self, parameters: Mapping[str, Parameter], shared: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._shared = shared

    def options(self, name: str) -> set[Any]:
        """Return the options of a choice, or what all candidates share."""
        if name in self._shared:
            return {self._shared[name]}
        return set(cast(Choice, self._parameters[name]).options)

    def always(self, name: str, number: float) -> bool:
        """Return whether a number is fixed there."""
        if name in self._shared:
            return bool(self._shared[name] == number)
        parameter = cast(Float, self._parameters[name])
        return parameter.fixed and parameter.low == number


def _families(values: _Values) -> Iterator[Idle]:
    searched = values.options("model")
    if efficientecg.FAMILY not in searched:
        yield Idle(
            names=tuple(efficientecg.PARAMETERS),
            because=f"model has no '{efficientecg.FAMILY}'",
            remedy=f"add '{efficientecg.FAMILY}' to model",
        )
    for name in baselines.PARAMETERS:
        having = [family for family in baselines.FAMILY_NAMES if baselines.has_field(family, name)]
        if not searched & set(having):
            yield Idle(
                names=(name,),
                because="no family of model has it",
                remedy=f"add one of {', '.join(having)} to model",
            )


def _scaling(values: _Values) -> Iterator[Idle]:
    if values.options("scaling") == {"direct"}:
        yield Idle(
            names=efficientecg.COMPOUND,
            because="scaling is 'direct'",
            remedy="add 'compound' to scaling",
        )
    if values.options("scaling") == {"compound"}:
        yield Idle(
            names=efficientecg.DIRECT,
            because="scaling is 'compound', where phi, alpha and beta decide it",
            remedy="add 'direct' to scaling",
        )
    if values.always("phi", 0.0):
        yield Idle(
            names=("alpha", "beta"),
            because="phi is fixed at 0, where they change nothing",
            remedy="give phi a range",
        )
    if values.options("stages") == {1}:
        yield Idle(
            names=("expansion",), because="the first stage never expands", remedy="keep more stages"
        )


def _attention(values: _Values) -> Iterator[Idle]:
    if values.options("fusion") - set(efficientecg.WITHOUT_ATTENTION):
        return
    because = "no option of fusion is an attention"
    remedy = "add a placement such as 'head' to fusion"
    yield Idle(names=("direction",), because=because, remedy=remedy)
    if values.options("leads_fused") == {efficientecg.AT_INPUT}:
        yield Idle(names=("heads", "attention_width"), because=because, remedy=remedy)


def _features(values: _Values) -> Iterator[Idle]:
    by_family = {
        family: "fusion" if family == efficientecg.FAMILY else "baseline_fusion"
        for family in values.options("model")
    }
    if not any(values.options(fusion) - {"none"} for fusion in by_family.values()):
        yield Idle(
            names=("features",),
            because="no candidate sees features",
            remedy=f"add 'concat' to {' or '.join(sorted(set(by_family.values())))}",
        )


def _training(values: _Values) -> Iterator[Idle]:
    if "focal" not in values.options("loss"):
        yield Idle(
            names=("focal_gamma",),
            because="no option of loss is 'focal'",
            remedy="add 'focal' to loss",
        )
    if values.always("mains_hum_uv", 0.0):
        yield Idle(
            names=("mains_hz",), because="mains_hum_uv is 0", remedy="give mains_hum_uv a range"
        )
