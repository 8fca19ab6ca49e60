"""The twelve standard leads: their names, however spelt, and how limb leads follow from two.

Einthoven's and Goldberger's leads are sums of the potentials of three electrodes, so that two of
them give all six: III = II - I (Einthoven's law), aVR = -(I + II)/2, aVL = I - II/2,
aVF = II - I/2 (Kligfield et al., "Recommendations for the standardization and interpretation of the
electrocardiogram, part I", Circulation 115, 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgmodels.errors import DataError

LIMB = ("I", "II", "III", "aVR", "aVL", "aVF")
PRECORDIAL = ("V1", "V2", "V3", "V4", "V5", "V6")
CANONICAL_12 = LIMB + PRECORDIAL
INDEPENDENT_8 = ("I", "II", *PRECORDIAL)
"""Those that are measured where only eight are stored; the others follow from I and II."""

_STANDARD = {name.lower(): name for name in CANONICAL_12}
_SHARES = {  # of I and of II
    "I": (1.0, 0.0),
    "II": (0.0, 1.0),
    "III": (-1.0, 1.0),
    "aVR": (-0.5, -0.5),
    "aVL": (1.0, -0.5),
    "aVF": (-0.5, 1.0),
}


def standard_lead(name: str) -> str:
    """Return a standard lead's standard spelling ("aVR" for "AVR"), and any other as it is."""
    return _STANDARD.get(name.strip().lower(), name)


def lead_order(stored: Sequence[str], wanted: Sequence[str], *, where: str) -> list[int]:
    """Return the index in `stored` of each wanted lead, whatever the case of its name.

    Raises:
        DataError: a wanted lead is absent or stored twice; `where` names the recording.
    """
    index_of: dict[str, int] = {}
    for index, name in enumerate(stored):
        key = name.strip().lower()
        if key in index_of:
            raise DataError(
                f"{where} has the lead {name} twice",
                hint="give each lead its own name in the recording's header",
            )
        index_of[key] = index
    missing = [name for name in wanted if name.lower() not in index_of]
    if missing:
        raise DataError(
            f"{where} has no lead {', '.join(missing)}; its leads are {', '.join(stored)}",
            hint=f"a recording needs the leads {', '.join(wanted)}, in any order and case",
        )
    return [index_of[name.lower()] for name in wanted]


def derive_limb_leads(
    lead_i: NDArray[np.floating[Any]], lead_ii: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return float64 [6, time], the leads of `LIMB`, from leads I and II [time] in any unit."""
    shares = np.array([_SHARES[name] for name in LIMB])
    return shares @ np.stack([lead_i, lead_ii]).astype(np.float64)


def with_derived_limb_leads(eight: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return float64 [12, time], the leads of `CANONICAL_12`, from [8, time] of `INDEPENDENT_8`."""
    limb = derive_limb_leads(eight[0], eight[1])
    return np.concatenate([limb, np.asarray(eight[2:], dtype=np.float64)])
