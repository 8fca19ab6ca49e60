"""Mean and standard deviation of signals and features, summed record by record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, sqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ecgmodels.configs import Config

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Normalisation(Config):
    """What to subtract and divide by; a deviation of 0 (a constant) is given as 1."""

    signal_mean_uv: tuple[float, ...]
    """One a lead."""
    signal_std_uv: tuple[float, ...]
    feature_mean: tuple[float, ...]
    """One a feature, over the segments where it is known; 0 where it never is."""
    feature_std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Sums over the segments of one record; those of the signal are whole numbers, so exact."""

    samples: int
    signal_sum: tuple[int, ...]
    signal_squares: tuple[int, ...]
    feature_count: tuple[int, ...]
    feature_sum: tuple[float, ...]
    feature_squares: tuple[float, ...]


def moments_of(signal_uv: NDArray[np.int16], features: NDArray[np.float32]) -> Moments:
    """Sum int16 [segment, lead, time] and float32 [segment, feature] over all but lead, feature."""
    exact = signal_uv.astype(np.int64)
    known = features.astype(np.float64)
    return Moments(
        samples=signal_uv.shape[0] * signal_uv.shape[2],
        signal_sum=tuple(exact.sum(axis=(0, 2)).tolist()),
        signal_squares=tuple(np.einsum("slt,slt->l", exact, exact).tolist()),
        feature_count=tuple(np.isfinite(known).sum(axis=0).tolist()),
        feature_sum=tuple(np.nansum(known, axis=0).tolist()),
        feature_squares=tuple(np.nansum(known**2, axis=0).tolist()),
    )


def normalisation_over(records: Iterable[Moments]) -> Normalisation:
    """Return mean and (population) standard deviation over the records, whatever their order."""
    moments = list(records)
    samples = sum(record.samples for record in moments)
    signal_sum = _columns(record.signal_sum for record in moments)
    signal_squares = _columns(record.signal_squares for record in moments)
    signal = [
        _mean_and_std(samples, sum(sums), sum(squares))
        for sums, squares in zip(signal_sum, signal_squares, strict=True)
    ]
    feature = [
        _mean_and_std(sum(counts), fsum(sums), fsum(squares))
        for counts, sums, squares in zip(
            _columns(record.feature_count for record in moments),
            _columns(record.feature_sum for record in moments),
            _columns(record.feature_squares for record in moments),
            strict=True,
        )
    ]
    return Normalisation(
        signal_mean_uv=tuple(mean for mean, _ in signal),
        signal_std_uv=tuple(std for _, std in signal),
        feature_mean=tuple(mean for mean, _ in feature),
        feature_std=tuple(std for _, std in feature),
    )


def _columns(rows: Iterable[tuple[T, ...]]) -> list[tuple[T, ...]]:
    return list(zip(*rows, strict=True))


def _mean_and_std(count: int, total: float, squares: float) -> tuple[float, float]:
    if not count:
        return 0.0, 1.0
    mean = total / count
    variance = squares / count - mean * mean
    # A constant's variance comes out as rounding error, of either sign.
    if variance <= 1e-12 * max(mean * mean, 1e-300):
        return mean, 1.0
    return mean, sqrt(variance)
