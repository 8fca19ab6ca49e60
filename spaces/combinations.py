"""Options that nothing goes with: refused before a search begins.

A combination that leaving out one option cannot mend is refused candidate by candidate instead.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, cast

from spaces import efficientecg
from spaces.errors import SpaceError
from spaces.parameters import Choice, Float, Parameter
from spaces.shape import DataShape

_OF_PLACES = ("base", "stages", "leads_fused", "fusion")
"""What decides where fusion can happen, each after those it depends on."""


def check_combinations(parameters: Mapping[str, Parameter]) -> None:
    """Raise SpaceError for an option that cannot be built with any of the others' options.

    alpha and beta have to leave room for a gamma of 1, and each place where features or leads are
    fused has to exist in some base with some number of stages.
    """
    alpha, beta = (cast(Float, parameters[name]).low for name in ("alpha", "beta"))
    if alpha * beta**2 > 2.0 + 1e-9:
        raise SpaceError(
            f"space.ranges: alpha from {alpha:g} and beta from {beta:g} leave gamma below 1",
            hint="lower their lower bounds until alpha * beta^2 is at most 2",
        )
    for count in range(2, len(_OF_PLACES) + 1):
        names = _OF_PLACES[:count]
        _check_each_goes_with_some(parameters, names, names[-1])
    for name in _OF_PLACES:
        _check_each_goes_with_some(parameters, _OF_PLACES, name)


def buildable_fusions(parameters: Mapping[str, Parameter]) -> Parameter:
    """Return `fusion` without the options that some base, stages or fusion of leads rules out."""
    kept = _options(parameters, "fusion")
    for others in _combinations(parameters, _OF_PLACES[:-1]):
        if efficientecg.why_places_conflict(**others) is None:
            kept = [
                option
                for option in kept
                if efficientecg.why_places_conflict(**others, fusion=option) is None
            ]
    return parameters["fusion"].from_toml(kept)


def check_dataset(shape: DataShape, parameters: Mapping[str, Parameter]) -> None:
    """Raise SpaceError for an option that needs what the dataset does not have."""
    for name in ("fusion", "baseline_fusion"):
        for option in _options(parameters, name):
            if option != "none" and not shape.features:
                raise SpaceError(
                    f"space.ranges.{name}: '{option}' needs features, and the dataset has none",
                    hint=f"prepare the dataset with features, or leave {name} out",
                )
    for option in _options(parameters, "leads_fused"):
        if option != efficientecg.AT_INPUT and shape.leads == 1:
            raise SpaceError(
                f"space.ranges.leads_fused: '{option}' needs several leads, the dataset has one",
                hint="leave leads_fused out",
            )
    if True in _options(parameters, "template") and not shape.aligned:
        raise SpaceError(
            "space.ranges.template: a median beat needs windows around beats, and the dataset's "
            "segments are crops",
            hint="leave template out, or prepare the dataset with windows around beats",
        )


def _check_each_goes_with_some(
    parameters: Mapping[str, Parameter], names: tuple[str, ...], name: str
) -> None:
    """Raise SpaceError for an option of `name` that conflicts with all combinations of `names`."""
    reasons = [
        (combination[name], efficientecg.why_places_conflict(**combination))
        for combination in _combinations(parameters, names)
    ]
    for option in _options(parameters, name):
        conflicts = [why for found, why in reasons if found == option]
        if all(conflicts):
            others = " or ".join(other for other in names if other != name)
            raise SpaceError(
                f"space.ranges.{name}: {option!r} cannot be built: {conflicts[0]}",
                hint=f"leave out {option!r}, or change {others}",
            )


def _combinations(
    parameters: Mapping[str, Parameter], names: tuple[str, ...]
) -> list[dict[str, Any]]:
    options = [_options(parameters, name) for name in names]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*options)]


def _options(parameters: Mapping[str, Parameter], name: str) -> list[Any]:
    return list(cast(Choice, parameters[name]).options)
