"""Patient and rhythm features of each beat, computed before any beat is left out.

RR intervals count every annotated beat: an interval measured over a beat that was dropped (an
unclassifiable one, say) would be twice too long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ecgmodels.configs import nearest_hint
from ecgmodels.data.recordings.records import Record
from ecgmodels.errors import DataError

LOCAL_INTERVALS = 10
"""RR intervals in the local mean, the ten of de Chazal et al. 2004, here those already past."""


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number a beat: `compute(record)` is float64 [beat], NaN where it is unknown."""

    name: str
    causal: bool
    """False where the number needs beats that come after this one."""
    compute: Callable[[Record], NDArray[np.float64]]


def age(record: Record) -> NDArray[np.float64]:
    """Age in years."""
    return np.full(len(record.beats), np.nan if record.age is None else record.age)


def sex(record: Record) -> NDArray[np.float64]:
    """0 = male, 1 = female, as PTB-XL codes it."""
    code = {None: np.nan, "male": 0.0, "female": 1.0}[record.sex]
    return np.full(len(record.beats), code)


def rr_previous_s(record: Record) -> NDArray[np.float64]:
    """Seconds since the beat before; unknown for the first."""
    return np.diff(record.beats.sample, prepend=np.nan) / record.rate_hz


def rr_next_s(record: Record) -> NDArray[np.float64]:
    """Seconds until the next beat; unknown for the last. Not causal."""
    return np.diff(record.beats.sample, append=np.nan) / record.rate_hz


def rr_ratio(record: Record) -> NDArray[np.float64]:
    """`rr_previous_s` over the mean of up to ten intervals before it: below 1 is premature.

    The interval itself is not in the mean, so a premature beat does not lower its own standard.
    Unknown for the first two beats, which have no interval before.
    """
    intervals = rr_previous_s(record)[1:]
    sums = np.concatenate([[0.0], np.cumsum(intervals)])
    stop = np.arange(len(intervals))
    start = np.maximum(stop - LOCAL_INTERVALS, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = intervals * (stop - start) / (sums[stop] - sums[start])
    ratio[~np.isfinite(ratio)] = np.nan
    return np.concatenate([np.full(min(1, len(record.beats)), np.nan), ratio])


FEATURES: dict[str, Feature] = {
    compute.__name__: Feature(name=compute.__name__, causal=causal, compute=compute)
    for compute, causal in [
        (age, True),
        (sex, True),
        (rr_previous_s, True),
        (rr_next_s, False),
        (rr_ratio, True),
    ]
}


def check_features(names: Sequence[str]) -> None:
    """Raise DataError where a name is not in `FEATURES`, or is there twice."""
    for name in names:
        if name not in FEATURES:
            raise DataError(
                f"features names '{name}', which does not exist", hint=nearest_hint(name, FEATURES)
            )
    if len(set(names)) < len(names):
        raise DataError(
            f"features names one twice: {', '.join(names)}", hint="name each feature once"
        )


def compute_features(record: Record, names: Sequence[str]) -> NDArray[np.float32]:
    """Return float32 [beat, feature] over all beats of the record, NaN = unknown."""
    columns = np.empty((len(record.beats), len(names)), dtype=np.float32)
    for index, name in enumerate(names):
        columns[:, index] = FEATURES[name].compute(record)
    return columns
