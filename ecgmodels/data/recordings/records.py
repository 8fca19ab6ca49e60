"""A recording as every database hands it over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Sex = Literal["female", "male"]


@dataclass(frozen=True, kw_only=True, eq=False)
class Beats:
    """Every annotated beat of one recording, in the order of time, also of classes nobody keeps.

    sample: int64 [beat], position of the beat (R peak in MIT-BIH) at the record's own rate.
    symbol: str [beat], the database's annotation code.
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
    age: years; None where the database does not know it.
    """

    id: str
    patient_id: str
    signal_mv: NDArray[np.float64]
    rate_hz: float
    leads: tuple[str, ...]
    age: float | None
    sex: Sex | None
    beats: Beats
