"""Mean and standard deviation of signals and features, summed record by record."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import fsum, sqrt

import numpy as np
from numpy.typing import NDArray

from ecgmodels.configs import Config

_ONE_RECORD = np.zeros(1, dtype=np.int64)
_CHUNK_SAMPLES = 2**20
"""Summed at a time, so that the wide copies of a long recording stay small."""


@dataclass(frozen=True, kw_only=True)
class Normalisation(Config):
    """What to subtract and divide by; a deviation of 0 (a constant) is given as 1."""

    signal_mean_uv: tuple[float, ...]
    """One a lead."""
    signal_std_uv: tuple[float, ...]
    feature_mean: tuple[float, ...]
    """One a feature, over the segments where it is known; 0 where it never is."""
    feature_std: tuple[float, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Moments:
    """Sums over the segments of each of some records; those of the signal are exact.

    samples: int64 [record], samples of one lead.
    signal_sum, signal_squares: int64 [record, lead], microvolts and their squares.
    feature_count: int64 [record, feature], segments where the feature is known.
    feature_sum, feature_squares: float64 [record, feature].
    """

    samples: NDArray[np.int64]
    signal_sum: NDArray[np.int64]
    signal_squares: NDArray[np.int64]
    feature_count: NDArray[np.int64]
    feature_sum: NDArray[np.float64]
    feature_squares: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, records: NDArray[np.bool_]) -> Moments:
        """Return the moments of the records where the mask is True."""
        return Moments(**{name: values[records] for name, values in vars(self).items()})

    @classmethod
    def join(cls, parts: Iterable[Moments]) -> Moments:
        """Return the moments of all the records of all the parts (at least one), in order."""
        columns = [vars(part) for part in parts]
        names = columns[0]
        return cls(**{name: np.concatenate([part[name] for part in columns]) for name in names})


def moments_of(
    signal_uv: NDArray[np.int16],
    valid_samples: NDArray[np.int32],
    features: NDArray[np.float32],
    first_segment: NDArray[np.int64] = _ONE_RECORD,
) -> Moments:
    """Sum over the segments of each record; samples beyond the valid ones do not count.

    Args:
        signal_uv: int16 [segment, lead, time].
        valid_samples: int32 [segment].
        features: float32 [segment, feature], NaN unknown.
        first_segment: int64 [record], where each record's segments begin, ascending and none
            empty; by default all segments are of one record, which may have none.
    """
    records, leads = len(first_segment), signal_uv.shape[1]
    if not len(valid_samples):
        return _no_moments(records, leads, features.shape[1])
    sums, squares = _signal_sums(signal_uv, valid_samples)
    known = np.isfinite(features)
    values = np.where(known, features, np.float32(0)).astype(np.float64)
    # reduceat adds up a record in the same order wherever it lies: the sums are always the same.
    return Moments(
        samples=np.add.reduceat(valid_samples.astype(np.int64), first_segment),
        signal_sum=np.add.reduceat(sums, first_segment),
        signal_squares=np.add.reduceat(squares, first_segment),
        feature_count=np.add.reduceat(known.astype(np.int64), first_segment),
        feature_sum=np.add.reduceat(values, first_segment),
        feature_squares=np.add.reduceat(values**2, first_segment),
    )


def normalisation_over(moments: Iterable[Moments]) -> Normalisation:
    """Return mean and (population) standard deviation over all records, whatever their order."""
    joined = Moments.join(moments)
    samples = int(joined.samples.sum())
    signal = [
        _mean_and_std(samples, _exact_sum(sums), _exact_sum(squares))
        for sums, squares in zip(joined.signal_sum.T, joined.signal_squares.T, strict=True)
    ]
    feature = [
        _mean_and_std(int(counts.sum()), fsum(sums.tolist()), fsum(squares.tolist()))
        for counts, sums, squares in zip(
            joined.feature_count.T, joined.feature_sum.T, joined.feature_squares.T, strict=True
        )
    ]
    return Normalisation(
        signal_mean_uv=tuple(mean for mean, _ in signal),
        signal_std_uv=tuple(std for _, std in signal),
        feature_mean=tuple(mean for mean, _ in feature),
        feature_std=tuple(std for _, std in feature),
    )


def _signal_sums(
    signal_uv: NDArray[np.int16], valid_samples: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return sum and sum of squares, int64 [segment, lead] each."""
    segments, leads, samples = signal_uv.shape
    sums = np.empty((segments, leads), dtype=np.int64)
    squares = np.empty((segments, leads), dtype=np.int64)
    step = max(1, _CHUNK_SAMPLES // (leads * samples))
    # Whole numbers up to 2**53 are exact in float64, which is summed twice as fast.
    dtype = np.float64 if samples <= 2 ** (53 - 30) else np.int64
    for start in range(0, segments, step):
        chunk = slice(start, start + step)
        exact = signal_uv[chunk].astype(dtype)
        if (valid_samples[chunk] < samples).any():
            exact *= (np.arange(samples) < valid_samples[chunk, None])[:, None, :]
        sums[chunk] = exact.sum(axis=2)
        squares[chunk] = np.einsum("slt,slt->sl", exact, exact)
    return sums, squares


def _no_moments(records: int, leads: int, features: int) -> Moments:
    return Moments(
        samples=np.zeros(records, dtype=np.int64),
        signal_sum=np.zeros((records, leads), dtype=np.int64),
        signal_squares=np.zeros((records, leads), dtype=np.int64),
        feature_count=np.zeros((records, features), dtype=np.int64),
        feature_sum=np.zeros((records, features)),
        feature_squares=np.zeros((records, features)),
    )


def _exact_sum(values: NDArray[np.int64]) -> int:
    """Sum int64 numbers that together may need more than 64 bits."""
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def _mean_and_std(count: int, total: float, squares: float) -> tuple[float, float]:
    if not count:
        return 0.0, 1.0
    mean = total / count
    variance = squares / count - mean * mean
    # A constant's variance comes out as rounding error, of either sign.
    if variance <= 1e-12 * max(mean * mean, 1e-300):
        return mean, 1.0
    return mean, sqrt(variance)
