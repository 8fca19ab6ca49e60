"""Which features of the dataset a candidate sees: all of them, groups of them, or single ones.

An option joins names by "+", as in "patient+rr_ratio". A group stands for those of its features
that the dataset holds; a name that stands for none is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from ecgmodels.configs import nearest_hint
from ecgmodels.data.segmentation.features import FEATURES, Feature, non_causal_features
from spaces.errors import SpaceError
from spaces.parameters import Choice

ALL = "all"
SEPARATOR = "+"


def _known(belongs: Callable[[Feature], bool]) -> Callable[[str], bool]:
    return lambda name: name in FEATURES and belongs(FEATURES[name])


GROUPS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {
        ALL: lambda name: True,
        # What a live signal gives in time; what a table says of the patient is always there.
        "causal": lambda name: not non_causal_features([name]),
        # Age and sex.
        "patient": _known(lambda feature: feature.per == "record"),
        # RR intervals, and what is computed from them.
        "rhythm": _known(lambda feature: feature.needs == "beats"),
        # P waves and PR intervals: what the atria do.
        "atrial": _known(lambda feature: feature.needs == "p_waves"),
    }
)
"""Group -> whether a feature belongs to it."""


def features_of(option: str, held: tuple[str, ...]) -> tuple[str, ...]:
    """Return the features that an option stands for, in the dataset's order.

    Args:
        option: names of groups and features, joined by "+".
        held: the features that the dataset holds.

    Raises:
        SpaceError: a name stands for no feature of the dataset.
    """
    chosen: set[str] = set()
    for name in option.split(SEPARATOR):
        found = {feature for feature in held if GROUPS[name](feature)} if name in GROUPS else {name}
        if not found:
            raise SpaceError(
                f"'{option}': the dataset has none of the group '{name}'",
                hint=f"it has {', '.join(held) or 'no features at all'}",
            )
        if not found <= set(held):
            raise SpaceError(
                f"'{option}': the dataset has no feature '{name}'",
                hint=nearest_hint(name, _names(held)),
            )
        chosen |= found
    return tuple(feature for feature in held if feature in chosen)


def features_parameter(held: tuple[str, ...], wanted: object) -> Choice:
    """Return the choice of features for a dataset: all it holds, and whatever a study file names.

    Args:
        held: the features that the dataset holds.
        wanted: the option, or the list of options, of a study file; None where it says nothing.

    Raises:
        SpaceError: an option names what the dataset lacks, or two stand for the same features.
    """
    listed = wanted if isinstance(wanted, list | tuple) else [wanted]
    # What is not text is not allowed, and the parameter says so.
    options = [option for option in listed if isinstance(option, str)]
    meanings: dict[tuple[str, ...], str] = {}
    for option in options:
        meaning = features_of(option, held)
        if (same := meanings.setdefault(meaning, option)) != option:
            raise SpaceError(
                f"'{same}' and '{option}' are the same here: {', '.join(meaning)}",
                hint="leave one of them out",
            )
    return Choice((ALL,), allowed=tuple(dict.fromkeys([ALL, *_names(held), *options])))


def _names(held: tuple[str, ...]) -> list[str]:
    """Return what options may be made of: the groups that the dataset has, and its features."""
    return [*(name for name, has in GROUPS.items() if any(map(has, held))), *held]
