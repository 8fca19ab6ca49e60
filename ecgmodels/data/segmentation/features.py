"""Patient and rhythm features of each segment, computed before any segment is left out.

RR intervals count every beat: an interval measured over a beat that was dropped (an unclassifiable
one, say) would be twice too long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ecgmodels.configs import nearest_hint
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.errors import DataError

if TYPE_CHECKING:
    from ecgmodels.data.preparation.options import ResolvedOptions, SegmentKind

LOCAL_INTERVALS = 10
"""RR intervals in the local mean, the ten of de Chazal et al. 2004, here those already past."""
LEAST_BEATS = 3
"""Beats that a crop's rhythm is measured on: with two, one interval has no deviation."""


@dataclass(frozen=True, kw_only=True, eq=False)
class PWaves:
    """The P wave before each beat of a record.

    present: bool [beat]; False where it is not known.
    known: bool [beat], False where it cannot be told: at the record's ends, in gaps.
    pr_interval_s: float64 [beat], seconds from the beginning of the P wave to that of the QRS
        complex; NaN where there is none, or it is not known.
    """

    present: NDArray[np.bool_]
    known: NDArray[np.bool_]
    pr_interval_s: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class FeatureContext:
    """What features are computed from: a record, and the windows of it that may become segments.

    beats: those the windows were cut around, or that lie in the crops; None where nothing asked.
    start, stop: int64 [window], half-open range in the record at its own rate. Windows around
        beats are one a beat, in the order of the beats.
    p_waves: of the beats; None where nothing asked.
    """

    record: Record
    beats: Beats | None
    start: NDArray[np.int64]
    stop: NDArray[np.int64]
    p_waves: PWaves | None = None

    def __len__(self) -> int:
        return len(self.start)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """One number a segment: `compute` returns float64 [window], NaN where it is unknown."""

    name: str
    causal: bool
    """False where the number needs beats that come after the segment's own."""
    per: Literal["record", "beat", "crop"]
    """What it describes. Those of the record go with windows around beats and with crops."""
    needs: Literal["nothing", "beats", "p_waves"]
    """What must be in the context; P waves come with beats."""
    compute: Callable[[FeatureContext], NDArray[np.float64]]


def age(context: FeatureContext) -> NDArray[np.float64]:
    """Age in years."""
    known = context.record.age
    return np.full(len(context), np.nan if known is None else known)


def sex(context: FeatureContext) -> NDArray[np.float64]:
    """0 = male, 1 = female, as PTB-XL codes it."""
    code = {None: np.nan, "male": 0.0, "female": 1.0}[context.record.sex]
    return np.full(len(context), code)


def rr_previous_s(context: FeatureContext) -> NDArray[np.float64]:
    """Seconds since the beat before; unknown for the first."""
    return np.diff(_beats(context).sample, prepend=np.nan) / context.record.rate_hz


def rr_next_s(context: FeatureContext) -> NDArray[np.float64]:
    """Seconds until the next beat; unknown for the last. Not causal."""
    return np.diff(_beats(context).sample, append=np.nan) / context.record.rate_hz


def rr_ratio(context: FeatureContext) -> NDArray[np.float64]:
    """`rr_previous_s` over the mean of up to ten intervals before it: below 1 is premature.

    The interval itself is not in the mean, so a premature beat does not lower its own standard.
    Unknown for the first two beats, which have no interval before.
    """
    intervals = rr_previous_s(context)[1:]
    sums = np.concatenate([[0.0], np.cumsum(intervals)])
    stop = np.arange(len(intervals))
    start = np.maximum(stop - LOCAL_INTERVALS, 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = intervals * (stop - start) / (sums[stop] - sums[start])
    ratio[~np.isfinite(ratio)] = np.nan
    return np.concatenate([np.full(min(1, len(context)), np.nan), ratio])


def heart_rate_bpm(context: FeatureContext) -> NDArray[np.float64]:
    """Beats a minute in the crop, from the mean RR interval; unknown below three beats."""
    with np.errstate(divide="ignore"):
        rate = 60 / np.array([rr.mean() if len(rr) else np.nan for rr in _rr_s(context)])
    rate[~np.isfinite(rate)] = np.nan
    return rate


def rr_sd_s(context: FeatureContext) -> NDArray[np.float64]:
    """Sample standard deviation of the RR intervals in the crop, s; unknown below three beats."""
    return np.array([rr.std(ddof=1) if len(rr) else np.nan for rr in _rr_s(context)])


def p_wave(context: FeatureContext) -> NDArray[np.float64]:
    """1 where a P wave goes before the beat, 0 where none does. Not causal: neighbours decide."""
    waves = _p_waves(context)
    return np.where(waves.known, waves.present.astype(np.float64), np.nan)


def pr_interval_s(context: FeatureContext) -> NDArray[np.float64]:
    """Seconds from the beginning of the P wave to that of the QRS complex. Not causal."""
    return _p_waves(context).pr_interval_s


def p_wave_share(context: FeatureContext) -> NDArray[np.float64]:
    """Share of the crop's beats with a P wave, of those where it can be told."""
    return _over_beats(context, p_wave(context), np.mean)


def median_pr_interval_s(context: FeatureContext) -> NDArray[np.float64]:
    """Median PR interval of the crop's beats, seconds; unknown where none has a P wave."""
    return _over_beats(context, pr_interval_s(context), np.median)


FEATURES: dict[str, Feature] = {
    feature.name: feature
    for feature in (
        Feature(name="age", causal=True, per="record", needs="nothing", compute=age),
        Feature(name="sex", causal=True, per="record", needs="nothing", compute=sex),
        Feature(
            name="rr_previous_s", causal=True, per="beat", needs="beats", compute=rr_previous_s
        ),
        Feature(name="rr_next_s", causal=False, per="beat", needs="beats", compute=rr_next_s),
        Feature(name="rr_ratio", causal=True, per="beat", needs="beats", compute=rr_ratio),
        Feature(
            name="heart_rate_bpm", causal=True, per="crop", needs="beats", compute=heart_rate_bpm
        ),
        Feature(name="rr_sd_s", causal=True, per="crop", needs="beats", compute=rr_sd_s),
        Feature(name="p_wave", causal=False, per="beat", needs="p_waves", compute=p_wave),
        Feature(
            name="pr_interval_s", causal=False, per="beat", needs="p_waves", compute=pr_interval_s
        ),
        Feature(
            name="p_wave_share", causal=False, per="crop", needs="p_waves", compute=p_wave_share
        ),
        Feature(
            name="median_pr_interval_s",
            causal=False,
            per="crop",
            needs="p_waves",
            compute=median_pr_interval_s,
        ),
    )
}

DEFAULT_FEATURES: dict[SegmentKind, tuple[str, ...]] = {
    "beats": ("age", "sex", "rr_previous_s", "rr_next_s", "rr_ratio"),
    "crops": ("age", "sex"),
}
"""Taken unless others are asked for, before the database's own."""


def check_features(names: Sequence[str], segments: SegmentKind, own: Sequence[str]) -> None:
    """Raise DataError where a feature does not exist, does not fit the segments, or is there twice.

    Args:
        names: the features asked for.
        segments: what the record is cut into.
        own: the features that the recordings bring with them (`Recordings.extra_features`).
    """
    for name in own:
        if name in FEATURES:
            raise DataError(
                f"the recordings bring a feature '{name}', a name that has another meaning here",
                hint="rename that column of the recordings",
            )
    other: Literal["beat", "crop"] = "crop" if segments == "beats" else "beat"
    fitting = [*(name for name, feature in FEATURES.items() if feature.per != other), *own]
    for name in names:
        if name in FEATURES and name not in fitting:
            raise DataError(
                f"features names '{name}', a number of each {other}, but segments are {segments}",
                hint=f"with {segments} there are: {', '.join(fitting)}",
            )
        if name not in fitting:
            raise DataError(
                f"features names '{name}', which does not exist", hint=nearest_hint(name, fitting)
            )
    if len(set(names)) < len(names):
        raise DataError(
            f"features names one twice: {', '.join(names)}", hint="name each feature once"
        )


def needs_beats(options: ResolvedOptions) -> bool:
    """Tell whether segments or features need the beats of each record."""
    return options.segments == "beats" or _need(options.features, "beats", "p_waves")


def needs_p_waves(options: ResolvedOptions) -> bool:
    """Tell whether a feature needs the P wave before each beat."""
    return _need(options.features, "p_waves")


def features_need_beats(names: Sequence[str]) -> bool:
    """Tell whether one of the features is computed from beats."""
    return _need(names, "beats", "p_waves")


def non_causal_features(names: Sequence[str]) -> tuple[str, ...]:
    """Return those that a live signal cannot give in time: they need later beats."""
    return tuple(name for name in names if name in FEATURES and not FEATURES[name].causal)


def compute_features(context: FeatureContext, names: Sequence[str]) -> NDArray[np.float32]:
    """Return float32 [window, feature] over all windows of the record, NaN = unknown.

    A name that is not in `FEATURES` is one of the recording's own (`Record.extra`).
    """
    columns = np.empty((len(context), len(names)), dtype=np.float32)
    for index, name in enumerate(names):
        if name in FEATURES:
            columns[:, index] = FEATURES[name].compute(context)
        else:
            columns[:, index] = context.record.extra.get(name, np.nan)
    return columns


def _need(names: Sequence[str], *needs: str) -> bool:
    return any(name in FEATURES and FEATURES[name].needs in needs for name in names)


def _beats(context: FeatureContext) -> Beats:
    if context.beats is None:
        raise ValueError("a feature of beats was asked for without beats")
    return context.beats


def _p_waves(context: FeatureContext) -> PWaves:
    if context.p_waves is None:
        raise ValueError("a feature of P waves was asked for without P waves")
    return context.p_waves


def _over_beats(
    context: FeatureContext,
    values: NDArray[np.float64],
    summary: Callable[[NDArray[np.float64]], np.floating[Any]],
) -> NDArray[np.float64]:
    """Return `summary` of the known values, float64 [beat], of the beats in each window."""
    first, last = np.searchsorted(_beats(context).sample, [context.start, context.stop])
    windows = [values[a:b] for a, b in zip(first.tolist(), last.tolist(), strict=True)]
    known = [inside[~np.isnan(inside)] for inside in windows]
    return np.array([summary(inside) if len(inside) else np.nan for inside in known])


def _rr_s(context: FeatureContext) -> list[NDArray[np.float64]]:
    """Return the RR intervals within each window, none where it holds fewer than three beats."""
    sample = _beats(context).sample
    first, last = np.searchsorted(sample, [context.start, context.stop])
    return [
        np.diff(sample[begin:end] if end - begin >= LEAST_BEATS else sample[:0])
        / context.record.rate_hz
        for begin, end in zip(first.tolist(), last.tolist(), strict=True)
    ]
