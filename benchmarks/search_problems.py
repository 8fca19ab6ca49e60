"""The problems that searches are compared on, and which of them are for tuning.

`TUNING` are for looking at while a search is changed. `FINAL` are for the table, and nothing but
the table: their families share none of the tuning problems' spaces, formulas or seeds, and were
fixed before a search of ours had run on any of them.

One more final problem, `SURROGATE`, is fitted to real learning curves of EfficientECG on MIT-BIH;
it is in `FINAL` where their table is (see mitdb_surrogate.py).
"""

from __future__ import annotations

from functools import cache

from search_final_curves import LateBloomers, Overfitting, Ravine
from search_final_spaces import FewBeats, ManyKnobs, Rotated, Tables
from search_real_curves import CURVES, RealCurves
from search_synthetic import SyntheticProblem
from search_tuning_curves import Balanced, Cliffs, SlowGiants
from search_tuning_spaces import Branches, Coarse, Noisy

_Family = type[SyntheticProblem]

_TUNING: tuple[_Family, ...] = (Balanced, SlowGiants, Cliffs, Coarse, Branches, Noisy)
_FINAL: tuple[_Family, ...] = (
    Overfitting,
    LateBloomers,
    Rotated,
    Tables,
    Ravine,
    ManyKnobs,
    FewBeats,
)

SURROGATE = RealCurves.name
TUNING = tuple(family.name for family in _TUNING)
FINAL = (*(family.name for family in _FINAL), *([SURROGATE] if CURVES.exists() else []))


@cache
def make_problem(name: str) -> SyntheticProblem:
    """Return the problem of that name, the same one each time: problems do not change."""
    families: tuple[_Family, ...] = (*_TUNING, *_FINAL, RealCurves)
    return {family.name: family for family in families}[name]()
