"""What data preparation can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ecgmodels.configs import Config, nearest_hint
from ecgmodels.data.databases.base import Database
from ecgmodels.data.segmentation.features import FEATURES, check_features
from ecgmodels.errors import DataError

EDGE_POLICIES = ("pad", "drop")


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(Config):
    """Options of `prepare`; None takes what the database is customarily used with."""

    window_ms: tuple[float, float] = (375.0, 625.0)
    """Milliseconds before and after the beat; at 128 Hz together 128 samples."""
    rate_hz: float | None = 128.0
    """Sampling rate of the segments; None keeps the recordings' own."""
    filter_hz: tuple[float, float] | None = (0.5, 40.0)
    """Corners of the band-pass run over each whole record; None leaves the signal as it is."""
    leads: tuple[str, ...] | None = None
    """Canonical lead names in the order wanted; None keeps all of the database."""
    classes: tuple[str, ...] | None = None
    """Classes kept, in the order of the labels; None keeps the database's customary ones."""
    features: tuple[str, ...] = tuple(FEATURES)
    """Feature columns, see `ecgmodels.data.segmentation.features`; empty for none."""
    edges: str = "pad"
    """A window that reaches over an end of its record: "pad" repeats the end sample, "drop"."""
    mapping: str | None = None
    """The mapping from annotation codes to classes, by name."""
    split: str | None = None
    """The official split, by name."""
    folds: int = 4
    """Patient-grouped folds of the development records, next to the fixed split; 0 for none."""

    def __post_init__(self) -> None:
        # 375 and 375.0 are the same window: one spelling, so that equal options give equal bytes.
        for name in ("window_ms", "rate_hz", "filter_hz"):
            object.__setattr__(self, name, _floats(getattr(self, name)))
        _check_numbers(self)
        check_features(self.features)
        if self.edges not in EDGE_POLICIES:
            raise DataError(
                f"edges is '{self.edges}', expected one of {', '.join(EDGE_POLICIES)}",
                hint=nearest_hint(self.edges, EDGE_POLICIES),
            )


@dataclass(frozen=True, kw_only=True)
class ResolvedOptions(PrepareOptions):
    """Options in which nothing is left to the database; made by `resolve`."""

    leads: tuple[str, ...]
    classes: tuple[str, ...]
    mapping: str
    split: str


def resolve(options: PrepareOptions, database: Database) -> ResolvedOptions:
    """Write out every default of the database, and check names against it.

    Raises:
        DataError: a lead, class, mapping or split is not the database's.
    """
    customary = {
        "leads": database.leads,
        "classes": database.default_classes,
        "mapping": next(iter(database.mappings)),
        "split": database.split_names[0],
    }
    chosen = {name: value for name, value in vars(options).items() if value is not None}
    native = {"rate_hz": None, "filter_hz": None}  # here None is a choice, not a default
    resolved = ResolvedOptions(**(native | customary | chosen))
    _check_names(database, "leads", resolved.leads, database.leads, least=1)
    _check_names(database, "classes", resolved.classes, database.classes, least=2)
    _check_names(database, "mapping", [resolved.mapping], list(database.mappings), least=1)
    _check_names(database, "split", [resolved.split], database.split_names, least=1)
    return resolved


def window_samples(window_ms: tuple[float, float], rate_hz: float) -> tuple[int, int]:
    """Return whole samples before the beat, and from the beat on."""
    before_ms, after_ms = window_ms
    return round(before_ms * rate_hz / 1000), round(after_ms * rate_hz / 1000)


def _floats(value: Any) -> Any:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return tuple(float(item) for item in value)
    return value if value is None else float(value)


def _check_numbers(options: PrepareOptions) -> None:
    before_ms, after_ms = options.window_ms
    if before_ms < 0 or after_ms <= 0:
        raise DataError(
            f"window_ms is {before_ms:g} before and {after_ms:g} after the beat, "
            "expected at least 0 and more than 0",
            hint="give milliseconds, for example 375 and 625",
        )
    if options.rate_hz is not None and not options.rate_hz > 0:
        raise DataError(
            f"rate_hz is {options.rate_hz:g}, expected more than 0",
            hint="give samples a second, for example 128, or None for the recordings' own rate",
        )
    if options.rate_hz is not None and sum(window_samples(options.window_ms, options.rate_hz)) < 2:
        raise DataError(
            f"window_ms holds fewer than two samples at {options.rate_hz:g} Hz",
            hint="give a longer window or a higher rate_hz",
        )
    if options.filter_hz is not None:
        low_hz, high_hz = options.filter_hz
        if not 0 < low_hz < high_hz:
            raise DataError(
                f"filter_hz is {low_hz:g} to {high_hz:g}, expected 0 < lower < upper corner",
                hint="give hertz, for example 0.5 and 40, or None for no filter",
            )
        if options.rate_hz is not None and high_hz >= options.rate_hz / 2:
            raise DataError(
                f"filter_hz reaches {high_hz:g} Hz, half of rate_hz is {options.rate_hz / 2:g} Hz",
                hint=f"choose an upper corner below {options.rate_hz / 2:g} Hz or a higher rate_hz",
            )
    if options.folds < 0 or options.folds == 1:
        raise DataError(
            f"folds is {options.folds}, expected 0 or at least 2",
            hint="one fold has nothing to train on; 0 keeps the fixed split alone",
        )


def _check_names(
    database: Database, option: str, names: Sequence[str], valid: Sequence[str], *, least: int
) -> None:
    for name in names:
        if name not in valid:
            raise DataError(
                f"{option} names '{name}', which {database.name} does not have",
                hint=nearest_hint(name, valid),
            )
    if len(set(names)) < max(least, len(names)):
        raise DataError(
            f"{option} is '{', '.join(names)}', expected at least {least}, none of them twice",
            hint=f"{database.name} has: {', '.join(valid)}",
        )
