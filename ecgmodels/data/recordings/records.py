"""A recording as every database hands it over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sex = Literal["female", "male"]

MV_PER_UNIT: Mapping[str, float] = MappingProxyType(
    {"v": 1e3, "mv": 1.0, "\u00b5v": 1e-3, "\u03bcv": 1e-3, "uv": 1e-3, "nv": 1e-6}
)
"""Millivolts in one of each unit, in lower case; the sign for micro has two code points."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Beats:
    """Every beat of one recording, in the order of time, also of classes nobody keeps.

    sample: int64 [beat], position of the beat (R peak in MIT-BIH) at the record's own rate.
    symbol: str [beat], the database's annotation code; empty where a detector found the beat.
    """

    sample: NDArray[np.int64]
    symbol: NDArray[np.str_]

    def __len__(self) -> int:
        return len(self.sample)


@dataclass(frozen=True, kw_only=True, eq=False)
class Record:
    """One recording of one patient.

    signal_mv: float64 [lead, time], millivolts; NaN where the recorder marked a sample invalid.
    leads: the recording's own name of each lead, in the order of the database's canonical leads.
    units: the recording's own name of a lead -> the unit that the recording declares for it, such
        as uV; without an entry where its format declares none.
    age: years; None where the database does not know it.
    beats: the annotated beats; None where nobody annotated any.
    labels: the classes of the whole recording under the task that was asked for, also such as are
        not kept; empty where it has none of them; None where the task labels beats, or nobody
        labelled this recording.
    extra: further features of the patient or recording, by name; one that is absent or NaN is
        unknown.
    """

    id: str
    patient_id: str
    signal_mv: NDArray[np.float64]
    rate_hz: float
    leads: tuple[str, ...]
    age: float | None
    sex: Sex | None
    beats: Beats | None = None
    labels: tuple[str, ...] | None = None
    units: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, float] = field(default_factory=dict)
