"""What data preparation can be asked for, and what it comes to with a database's customs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from ecgmodels.configs import Config
from ecgmodels.data.preparation.option_checks import (
    as_floats,
    check_choice,
    check_names,
    check_numbers,
)
from ecgmodels.data.segmentation.features import (
    DEFAULT_FEATURES,
    check_features,
    features_need_beats,
)
from ecgmodels.errors import DataError

if TYPE_CHECKING:
    from ecgmodels.data.databases.base import Recordings, Task

SegmentKind = Literal["beats", "crops"]
BeatSource = Literal["annotations", "xqrs", "neurokit"]
EdgePolicy = Literal["pad", "drop"]
Score = Literal["segment", "mean", "max"]
Setting = str | int | float | bool | tuple[str, ...] | None

STRATIFIED = "stratified"
"""The split that is drawn rather than official."""
_CHOICES = {
    "segments": get_args(SegmentKind),
    "beats": get_args(BeatSource),
    "edges": get_args(EdgePolicy),
    "short": get_args(EdgePolicy),
    "score": get_args(Score),
}
# Options that are numbers, and the word that may stand in their place.
_NUMBERS = {
    "window_ms": None,
    "skip_first_s": None,
    "crop_s": "record",
    "stride_s": None,
    "rate_hz": "native",
    "filter_hz": "none",
    "max_bridged_s": None,
}


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Config):
    """Options of `prepare`; None takes the database's custom, or what is said here."""

    task: str | None = None
    """What is to be told apart; None: the database's first task."""
    segments: SegmentKind | None = None
    """"beats": a window around each beat; "crops" of whole recordings; None: what is labelled."""
    beats: BeatSource | None = None
    """Where beats come from, or the detector; None: annotations where beats are labelled, else
    neurokit where beats are needed."""
    window_ms: tuple[float, float] | None = None
    """Milliseconds before and after the beat; None: 375 and 625, at 128 Hz together 128 samples."""
    edges: EdgePolicy | None = None
    """A window over an end of its record: "pad" repeats the end sample (None), "drop"."""
    skip_first_s: float | None = None
    """No beat from the first seconds of a record (AAMI's tables leave out 300); None: 0."""
    crop_s: float | Literal["record"] | None = None
    """Length of a crop; "record": whole recordings, in buckets of like length; None: 10."""
    stride_s: float | None = None
    """From the start of a crop to that of the next; None: the length of a crop. The last crop ends
    with the recording, so that nothing is lost."""
    short: EdgePolicy | None = None
    """Recordings shorter than a crop: "pad" fills with 0 (None), "drop"."""
    rate_hz: float | Literal["native"] | None = None
    """Sampling rate of the segments; "native": the recordings' own; None: 128 (beats), 100
    (crops)."""
    filter_hz: tuple[float, float] | Literal["none"] | None = None
    """Corners of the band-pass run over each whole record; None: 0.5 and 40."""
    max_bridged_s: float | None = None
    """Longest stretch of invalid samples that is interpolated; a segment that touches a longer one
    is rejected. None: 0.1, about the length of a QRS complex."""
    leads: tuple[str, ...] | None = None
    """Canonical lead names in the order wanted; None: all of the database."""
    classes: tuple[str, ...] | None = None
    """Classes kept, in the order of the labels; None: the task's customary ones."""
    features: tuple[str, ...] | None = None
    """Feature columns, see `ecgmodels.data.segmentation.features`; empty for none."""
    split: str | None = None
    """An official split by name, or "stratified"; None: the first official one, else stratified."""
    folds: int | None = None
    """Patient-grouped folds of the development records, next to the fixed split; None: 4."""
    seed: int | None = None
    """Of the stratified split and of the folds; None: 0."""
    score: Score | None = None
    """How the segments' answers become one a record; None: "segment" (each for itself) where beats
    are labelled, else "mean"."""

    def __post_init__(self) -> None:
        for name, word in _NUMBERS.items():
            object.__setattr__(self, name, as_floats(name, getattr(self, name), word))
        for name, valid in _CHOICES.items():
            check_choice(name, getattr(self, name), valid)
        check_numbers(vars(self))


@dataclass(frozen=True, kw_only=True)
class ResolvedOptions(Config):
    """Options in which nothing is left open; made by `resolve`.

    What has no effect in the combination chosen is None: `window_ms`, `edges` and `skip_first_s`
    with crops; `crop_s`, `stride_s` and `short` with beats; `split` where nothing is labelled.
    """

    task: str
    segments: SegmentKind
    beats: BeatSource | None
    """None: beats are not needed."""
    window_ms: tuple[float, float] | None
    edges: EdgePolicy | None
    skip_first_s: float | None
    crop_s: float | None
    """None with crops: whole recordings."""
    stride_s: float | None
    short: EdgePolicy | None
    rate_hz: float | None
    """None: the recordings' own."""
    filter_hz: tuple[float, float] | None
    """None: no filter."""
    max_bridged_s: float
    leads: tuple[str, ...]
    classes: tuple[str, ...]
    """Empty where nothing is labelled."""
    features: tuple[str, ...]
    split: str | None
    folds: int
    seed: int
    score: Score
    settings: dict[str, Setting] = field(default_factory=dict)
    """The database's own options."""

    def __post_init__(self) -> None:
        settings = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in self.settings.items()
        }
        object.__setattr__(self, "settings", settings)


def resolve(
    options: PrepareOptions,
    recordings: Recordings,
    defaults: Mapping[str, Any],
    settings: Config,
) -> ResolvedOptions:
    """Write out every default, and check all names against the opened recordings.

    Args:
        options: what was asked for.
        recordings: opened for `options.task`.
        defaults: the database's customary options (`Database.defaults`); one that has no effect
            in the combination asked for is passed over.
        settings: the database's own options.

    Raises:
        DataError: a name is not the recordings', or an option has no effect in this combination.
    """
    task = recordings.task
    # A custom of the database goes through the same checks as a wish.
    customs = PrepareOptions(**defaults)

    def chosen(name: str, otherwise: Any) -> Any:
        for source in (options, customs):
            if (value := getattr(source, name)) is not None:
                return value
        return otherwise

    segments: SegmentKind = chosen("segments", "beats" if task.labels == "beat" else "crops")
    own = recordings.extra_features
    features = chosen("features", DEFAULT_FEATURES[segments] + own)
    whole = segments == "crops" and chosen("crop_s", 10.0) == "record"
    _refuse_what_has_no_effect(options, task, segments, features, whole=whole)
    check_features(features, segments, own)
    windows, crops = segments == "beats", segments == "crops" and not whole
    rate_hz = chosen("rate_hz", 128.0 if windows else 100.0)
    filter_hz = chosen("filter_hz", (0.5, 40.0))
    crop_s = chosen("crop_s", 10.0) if crops else None
    source = None
    if windows or features_need_beats(features):
        source = chosen("beats", "annotations" if _labels_beats(task) else "neurokit")
    alone = whole or _labels_beats(task)  # there is nothing to combine
    official = recordings.official_splits
    resolved = ResolvedOptions(
        task=task.name,
        segments=segments,
        beats=source,
        window_ms=chosen("window_ms", (375.0, 625.0)) if windows else None,
        edges=chosen("edges", "pad") if windows else None,
        skip_first_s=chosen("skip_first_s", 0.0) if windows else None,
        crop_s=crop_s,
        stride_s=chosen("stride_s", crop_s) if crops else None,
        short=chosen("short", "pad") if crops else None,
        rate_hz=None if rate_hz == "native" else rate_hz,
        filter_hz=None if filter_hz == "none" else filter_hz,
        max_bridged_s=chosen("max_bridged_s", 0.1),
        leads=chosen("leads", recordings.leads),
        classes=chosen("classes", task.default_classes),
        features=features,
        split=chosen("split", official[0] if official else STRATIFIED) if task.classes else None,
        folds=chosen("folds", 4) if task.classes else 0,
        seed=chosen("seed", 0),
        score="segment" if alone else chosen("score", "mean"),
        settings=dict(vars(recordings.settings or settings)),
    )
    if options.seed is not None and not resolved.folds and resolved.split != STRATIFIED:
        raise DataError(
            "seed has no effect: nothing is drawn without folds or a stratified split",
            hint="leave seed out, or ask for folds or the split 'stratified'",
        )
    _check_against(recordings, resolved)
    _check_together(resolved)
    return resolved


def window_samples(window_ms: tuple[float, float], rate_hz: float) -> tuple[int, int]:
    """Return whole samples before the beat, and from the beat on."""
    before_ms, after_ms = window_ms
    return round(before_ms * rate_hz / 1000), round(after_ms * rate_hz / 1000)


def _labels_beats(task: Task) -> bool:
    return task.labels == "beat" and bool(task.classes)


def _refuse_what_has_no_effect(
    options: PrepareOptions,
    task: Task,
    segments: SegmentKind,
    features: Sequence[str],
    *,
    whole: bool,
) -> None:
    """Raise DataError naming the first option that could not change anything, and why."""
    crops, labelled = segments == "crops", bool(task.classes)
    if crops and _labels_beats(task):
        raise DataError(
            f"segments is 'crops', but task '{task.name}' labels single beats: a crop has no label",
            hint="take segments 'beats', or a task that labels whole recordings",
        )
    idle = {
        "on crops": (crops, ("window_ms", "edges", "skip_first_s")),
        "on windows around beats": (not crops, ("crop_s", "stride_s", "short")),
        "on whole recordings (crop_s 'record')": (whole, ("stride_s", "short")),
        "on crops without a feature of their beats": (
            crops and not features_need_beats(features),
            ("beats",),
        ),
        f"because task '{task.name}' labels nothing": (not labelled, ("classes", "split")),
    }
    for reason, (applies, names) in idle.items():
        for name in names:
            if applies and getattr(options, name) is not None:
                raise DataError(f"{name} has no effect {reason}", hint=f"leave {name} out")
    if options.folds and not labelled:
        raise DataError(
            f"folds has no effect because task '{task.name}' labels nothing", hint="leave folds out"
        )
    if options.score in ("mean", "max") and (whole or _labels_beats(task)):
        what = "each recording is one segment" if whole else f"'{task.name}' labels single beats"
        raise DataError(
            f"score is '{options.score}', but {what}: there is nothing to combine",
            hint="leave score out",
        )


def _check_against(recordings: Recordings, resolved: ResolvedOptions) -> None:
    task = recordings.task
    check_names("leads", resolved.leads, recordings.leads, "the recordings do", least=1)
    if task.classes:
        least = 1 if task.multi_label else 2
        owner = f"task '{task.name}' does"
        check_names("classes", resolved.classes, task.classes, owner, least=least)
        valid = (*recordings.official_splits, STRATIFIED)
        check_names("split", [resolved.split or ""], valid, "the database does", least=1)


def _check_together(resolved: ResolvedOptions) -> None:
    """Raise DataError where two numbers, each possible by itself, contradict each other."""
    crop_s, stride_s, rate_hz = resolved.crop_s, resolved.stride_s, resolved.rate_hz
    if crop_s is not None and stride_s is not None and stride_s > crop_s:
        raise DataError(
            f"stride_s is {stride_s:g}, more than crop_s ({crop_s:g}): crops would leave gaps",
            hint=f"give at most {crop_s:g}",
        )
    if rate_hz is None:
        return
    if resolved.filter_hz is not None and resolved.filter_hz[1] >= rate_hz / 2:
        raise DataError(
            f"filter_hz reaches {resolved.filter_hz[1]:g} Hz, half of rate_hz is {rate_hz / 2:g} "
            "Hz",
            hint=f"choose an upper corner below {rate_hz / 2:g} Hz or a higher rate_hz",
        )
    window_ms = resolved.window_ms
    if window_ms is not None and sum(window_samples(window_ms, rate_hz)) < 2:
        raise DataError(
            f"window_ms holds fewer than two samples at {rate_hz:g} Hz",
            hint="give a longer window or a higher rate_hz",
        )
    if crop_s is not None and round(crop_s * rate_hz) < 2:
        raise DataError(
            f"crop_s holds fewer than two samples at {rate_hz:g} Hz",
            hint="give a longer crop or a higher rate_hz",
        )
