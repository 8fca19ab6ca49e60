"""The vocabulary of LUDB's header comments, and how many recordings have each statement.

Groups are the columns of the database's own table, ludb.csv. Spelling is that of the headers
without the commas, which separate classes on the command line, and with "Unipolar" for "UNIpolar".
The table has one statement more, "Pacemaker presence, undefined", for nine of the ten paced
recordings, and ">89" for the age of 90 of recording 34; otherwise both agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

LEAST_SCORED = 10
"""Classes that fewer of the 200 recordings have are kept, but not scored: of a class of nine, a
test part of a fifth holds one or two, and its F1 would be a matter of chance."""

RHYTHM = "Rhythm: "
"""Every header has one line that begins so."""

RHYTHMS: Mapping[str, int] = MappingProxyType(
    {
        "Sinus rhythm": 143,
        "Sinus bradycardia": 25,
        "Atrial fibrillation": 15,
        "Sinus arrhythmia": 8,
        "Sinus tachycardia": 4,
        "Atrial flutter typical": 3,
        "Irregular sinus rhythm": 2,
    }
)

# Beside the rhythm; ludb.csv has them in its column Rhythms, which is no group of diagnoses.
_BESIDE_RHYTHM = {"Wandering atrial pacemaker": 3, "Aberrant conduction": 1}

_AXIS = "Electric axis of the heart"
_AXES = {
    f"{_AXIS}: normal": 75,
    f"{_AXIS}: left axis deviation": 66,
    f"{_AXIS}: vertical": 26,
    f"{_AXIS}: horizontal": 20,
    f"{_AXIS}: right axis deviation": 3,
}
_CONDUCTION = {
    "Incomplete right bundle branch block": 29,
    "Left anterior hemiblock": 16,
    "I degree AV block": 10,
    "Incomplete left bundle branch block": 6,
    "III degree AV-block": 5,
    "Complete left bundle branch block": 4,
    "Complete right bundle branch block": 4,
    "Non-specific intravintricular conduction delay": 4,
    "Sinoatrial blockade undefined": 1,
}
_EXTRASYSTOLES = {
    "Ventricular extrasystole type: single PVC": 6,
    "Atrial extrasystole type: single PAC": 4,
    "Atrial extrasystole: SA-nodal extrasystole": 3,
    "Ventricular extrasystole localisation: RVOT anterior wall": 3,
    "Atrial extrasystole: left atrial": 2,
    "Atrial extrasystole: undefined": 2,
    "Ventricular extrasystole localisation: LVOT LVS": 2,
    "Ventricular extrasystole morphology: polymorphic": 2,
    "Ventricular extrasystole type: couplet": 2,
    "Ventricular extrasystole type: intercalary PVC": 2,
    "Atrial extrasystole type: allorhythmic pattern": 1,
    "Atrial extrasystole type: bigemini": 1,
    "Atrial extrasystole type: quadrigemini": 1,
    "Atrial extrasystole: low atrial": 1,
    "Ventricular extrasystole localisation: IVS middle part": 1,
    "Ventricular extrasystole localisation: LV undefined": 1,
    "Ventricular extrasystole localisation: RVOT antero-septal part": 1,
}
_HYPERTROPHIES = {
    "Left ventricular hypertrophy": 108,
    "Left atrial hypertrophy": 102,
    "Right atrial overload": 17,
    "Left atrial overload": 11,
    "Left ventricular overload": 11,
    "Right ventricular hypertrophy": 3,
    "Right atrial hypertrophy": 1,
}
_PACING = {
    "Unipolar ventricular pacing": 6,
    "Bipolar ventricular pacing": 2,
    "P-synchrony": 2,
    "Biventricular pacing": 1,
    "Unipolar atrial pacing": 1,
}
_WALLS = ("anterior wall", "apical", "inferior wall", "lateral wall", "posterior wall", "septal")


def _by_wall(statement: str, *counts: int) -> dict[str, int]:
    """Return a statement for each wall; 0 means that no recording has it."""
    walls = zip(_WALLS, counts, strict=True)
    return {f"{statement}: {wall}": count for wall, count in walls if count}


_ISCHEMIA = {
    **_by_wall("Ischemia", 5, 6, 10, 8, 2, 4),
    **_by_wall("Scar formation", 8, 5, 3, 3, 6, 9),
    **_by_wall("STEMI", 8, 5, 1, 7, 0, 8),
    **_by_wall("Undefined ischemia/scar/supp.NSTEMI", 12, 11, 3, 16, 4, 5),
}
_REPOLARIZATION = _by_wall("Non-specific repolarization abnormalities", 18, 11, 19, 13, 9, 15)
_OTHER = {"Early repolarization syndrome": 9}

STATEMENTS: Mapping[str, int] = MappingProxyType(
    _BESIDE_RHYTHM
    | _AXES
    | _CONDUCTION
    | _EXTRASYSTOLES
    | _HYPERTROPHIES
    | _PACING
    | _ISCHEMIA
    | _REPOLARIZATION
    | _OTHER
)
"""Every statement but the rhythms."""

GROUPS: Mapping[str, int] = MappingProxyType(
    {
        "Axis deviation": 69,
        "Conduction abnormalities": 66,
        "Extrasystolies": 14,
        "Hypertrophies": 142,
        "Cardiac pacing": 10,
        "Ischemia": 51,
        "Non-specific repolarization abnormalities": 49,
        "Other states": 9,
    }
)
"""The table's columns; of the axis only what is no variant of normal."""

_MEMBERS = {
    "Axis deviation": (f"{_AXIS}: left axis deviation", f"{_AXIS}: right axis deviation"),
    "Conduction abnormalities": tuple(_CONDUCTION),
    "Extrasystolies": tuple(_EXTRASYSTOLES),
    "Hypertrophies": tuple(_HYPERTROPHIES),
    "Cardiac pacing": tuple(_PACING),
    "Ischemia": tuple(_ISCHEMIA),
    "Non-specific repolarization abnormalities": tuple(_REPOLARIZATION),
    "Other states": tuple(_OTHER),
}
GROUP_OF: Mapping[str, str] = MappingProxyType(
    {statement: group for group, members in _MEMBERS.items() for statement in members}
)
"""Statement -> group; axes within the normal, and what stands beside the rhythm, are in none."""


def scored(classes: Mapping[str, int]) -> tuple[str, ...]:
    """Return the classes that enough recordings have."""
    return tuple(name for name, count in classes.items() if count >= LEAST_SCORED)


def spelt(text: str) -> str:
    """Return a header's line in the spelling of this vocabulary, where it is in it.

    "UNIpolar ventricular pacing. " is "Unipolar ventricular pacing"; what is not in the vocabulary
    comes back without spaces around it.
    """
    key = _key(text)
    return _SPELT.get(key, text.strip())


def _key(text: str) -> str:
    return " ".join(text.replace(",", " ").rstrip(". \t").casefold().split())


_SPELT = {_key(name): name for name in (*(f"{RHYTHM}{rhythm}" for rhythm in RHYTHMS), *STATEMENTS)}
