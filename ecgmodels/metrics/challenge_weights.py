"""What the PhysioNet/CinC Challenges 2020 and 2021 credit for one diagnosis given for another.

The numbers are those of the tables that the challenges were scored by: weights.csv in
github.com/physionetchallenges/evaluation-2020 and evaluation-2021 (BSD 2-Clause licence, (c) 2020,
2021 PhysioNet/Computing in Cardiology Challenges). The challenges' cardiologists judged how alike
diagnoses are in outcome and treatment (Perez Alday et al., Physiol Meas 41(12), 2020). What they
came to lies on a line: an entry off the diagonal is 1/2 less the distance between two numbers, one
a diagnosis, which are kept here instead of 26 x 26 entries. Two pairs of what was new in 2021 are
exceptions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

NORMAL = "NSR"
"""Sinus rhythm: the answer of the inactive model, whose score is 0."""

_DISTANCE_FROM_NORMAL = {
    "AF": 0.25,
    "AFL": 0.25,
    "BBB": 0.225,
    "Brady": 0.05,
    "CLBBB": 0.225,
    "CRBBB": 0.15,
    "IAVB": 0.05,
    "IRBBB": 0.05,
    "LAD": 0.1,
    "LAnFB": 0.1,
    "LPR": 0.05,
    "LQRSV": 0.175,
    "LQT": 0.2,
    "NSIVCB": 0.1,
    "NSR": 0.0,
    "PAC": 0.0875,
    "PR": 0.125,
    "PRWP": 0.175,
    "PVC": 0.125,
    "QAb": 0.35,
    "RAD": 0.1,
    "SA": 0.05,
    "SB": 0.05,
    "STach": 0.125,
    "TAb": 0.25,
    "TInv": 0.25,
}
"""The 26 diagnoses of 2021 by their abbreviations; of those scored as one, the first."""

_EXCEPTIONS = {("BBB", "CLBBB"): 0.475, ("LQRSV", "PRWP"): 0.475}

_NEW_IN_2021 = ("BBB", "CLBBB", "PRWP")

DISTANCES: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        # What was left bundle branch block in 2020 is one with the complete block in 2021.
        "cinc2020": {
            name: distance
            for name, distance in {**_DISTANCE_FROM_NORMAL, "LBBB": 0.225}.items()
            if name not in _NEW_IN_2021
        },
        "cinc2021": _DISTANCE_FROM_NORMAL,
    }
)
"""Challenge -> diagnosis -> its place on the line that starts at sinus rhythm."""


def weights(challenge: str) -> tuple[Sequence[str], npt.NDArray[np.float64]]:
    """Return the diagnoses that a challenge scores, and what one is worth in place of another.

    Returns:
        names: abbreviations, as `ecgmodels.data.databases.snomed` has them.
        weights: float64 [true, given], symmetric, 1 on the diagonal.
    """
    names = tuple(DISTANCES[challenge])
    place = np.array([DISTANCES[challenge][name] for name in names])
    # The published numbers have four decimals: rounding takes off what subtraction adds.
    table = (0.5 - abs(place[:, None] - place)).round(4)
    np.fill_diagonal(table, 1.0)
    for (one, other), weight in _EXCEPTIONS.items():
        if one in names and other in names:
            here, there = names.index(one), names.index(other)
            table[here, there] = table[there, here] = weight
    return names, table
