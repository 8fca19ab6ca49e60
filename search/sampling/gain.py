"""How much hypervolume a candidate is expected to add to a front.

Exact objectives are known before training; what is learned is expected to be normal. With one
learned objective and one exact one the expectation is a sum over the steps of the front, without
error (`expected_gain`). Otherwise hypervolume is what it is on average over directions, each the
reach of the front along it (Zhang and Golovin 2020, "Random hypervolume scalarizations for provable
multi-objective black box optimization"), over draws of what is learned (`sampled_gain`).

Everything is minimised.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

FloatArray = npt.NDArray[np.float64]

_SQRT_2PI = float(np.sqrt(2.0 * np.pi))


def expected_gain(
    front: FloatArray,
    size: FloatArray,
    mean: FloatArray,
    deviation: FloatArray,
    reference: tuple[float, float],
) -> FloatArray:
    """Return the expected hypervolume that each candidate adds, float64 [candidate].

    Args:
        front: float64 [point, 2], of size and what is learned.
        size: float64 [candidate], exact.
        mean: float64 [candidate], of what is learned.
        deviation: float64 [candidate], its standard deviation.
        reference: the worst size and the worst result that count.
    """
    worst_size, worst = reference
    inside = front[(front[:, 0] < worst_size) & (front[:, 1] < worst)]
    inside = inside[np.lexsort((inside[:, 1], inside[:, 0]))]
    before = np.minimum.accumulate(np.concatenate([[worst], inside[:, 1]]))
    steps = inside[inside[:, 1] < before[:-1]]
    # Between two edges, the front's result is one level: to have less there is to gain.
    edges = np.concatenate([[-np.inf], steps[:, 0], [worst_size]])
    levels = np.concatenate([[worst], steps[:, 1]])
    width = np.maximum(edges[None, 1:] - np.maximum(edges[None, :-1], size[:, None]), 0.0)
    gain = expected_improvement(levels[None, :], mean[:, None], deviation[:, None])
    return np.asarray(np.sum(width * gain, axis=1))


def expected_improvement(level: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
    """Return the expectation of how far a normal variable lies below `level`, or 0 if above."""
    z = (level - mean) / deviation
    return np.asarray(deviation * (z * ndtr(z) + np.exp(-0.5 * z * z) / _SQRT_2PI))


def sampled_gain(
    front: FloatArray,
    mean: FloatArray,
    deviation: FloatArray,
    reference: FloatArray,
    rng: np.random.Generator,
    *,
    directions: int = 128,
    draws: int = 16,
) -> FloatArray:
    """Return the expected hypervolume that each candidate adds, up to a factor, for any objectives.

    Args:
        front: float64 [point, objective].
        mean: float64 [candidate, objective].
        deviation: float64 [candidate, objective]; 0 where an objective is exact.
        reference: float64 [objective], the worst that counts.
        rng: draws directions and results, alike for all candidates.
    """
    objectives = len(reference)
    towards = np.abs(rng.standard_normal((directions, objectives))) + 1e-9
    towards /= np.linalg.norm(towards, axis=1, keepdims=True)

    def reach(points: FloatArray) -> FloatArray:
        """Return float64 [direction, point]."""
        return np.asarray(((reference - points)[None] / towards[:, None]).min(axis=2))

    covered = np.maximum(reach(front).max(axis=1, initial=0.0), 0.0)
    gain = np.zeros(len(mean))
    for _ in range(draws):
        drawn = mean + deviation * rng.standard_normal(objectives)
        further = np.maximum(reach(drawn), covered[:, None])
        gain += np.mean(further**objectives - (covered**objectives)[:, None], axis=0)
    return gain / draws
