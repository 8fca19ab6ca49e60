"""What accuracy a candidate will reach: a Gaussian process over parameters, sizes and epochs.

All learning curves are modelled together, so results of one epoch say something of what others
would reach after fifty. An accuracy after `e` epochs is the sum of

    a curve that all candidates share,                    k(log e)
    what a candidate's parameters change of its end,      k(x)
    and of its course,                                    k(x) * k(log e)
    what earlier studies let expect of its end,           b f, of one study each
    chance of one training, alike over all its epochs,    same candidate
    chance of one epoch,                                  same result

with Matern kernels of smoothness 5/2 (Rasmussen and Williams 2006, section 4.2.1) and a length
scale for every parameter. How much of an earlier study's expectation `f` holds here, `b`, is normal
around all of it, shared among these studies: a few results tell when it is nothing. The scales are
those of greatest posterior density under priors that grow with the number of dimensions (Hvarfner,
Hellsten, Nardi 2024, "Vanilla Bayesian optimization performs great in high dimensions").
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.spatial.distance import cdist

from search.sampling.encoding import Encoder

FloatArray = npt.NDArray[np.float64]

_STEPS = 40
"""Of a search for the scales."""
_JITTER = 1e-6
_NOISE_AT_LEAST = 1e-3
_SPREAD_PRIORS = {"shared": 0.5, "end": 1.0, "course": 0.4, "training": 0.1, "epoch": 0.1}
"""Medians of the standard deviations of the five summands, of results scaled to 1."""
_SPREAD_SD = 1.0
_FOREKNOWN_SPREAD = 0.5
"""Median of the standard deviation of how much of an earlier study's expectation holds."""
_SQRT5 = math.sqrt(5.0)


@dataclass(frozen=True, kw_only=True)
class Results:
    """Results of training, one a row."""

    encoder: Encoder
    rows: FloatArray
    """float64 [result, coordinate]: the candidates, as `encoder` gives them."""
    candidate: npt.NDArray[np.int64]
    """int64 [result]: a number for each candidate, from 0 on."""
    epochs: FloatArray
    """float64 [result]"""
    values: FloatArray
    """float64 [result], whatever is learned; larger is better."""
    foreknown: FloatArray | None = None
    """float64 [result, earlier study]: what these let expect of the candidates, in units in which
    the better ones are spread by 1; None where there are none."""

    @property
    def expected(self) -> FloatArray:
        """`foreknown`, float64 [result, earlier study], without a column if there is none."""
        return np.zeros((len(self.values), 0)) if self.foreknown is None else self.foreknown


class CurveModel:
    """A model of results, and what it expects of others."""

    def __init__(self, results: Results, max_epochs: int, scales: Mapping[str, float]) -> None:
        """Fit to `results`.

        Args:
            max_epochs: what epochs are scaled by.
            scales: logarithms of the model's scales, as `scales` of an earlier model; those that
                are missing are at their priors' medians.
        """
        self._results = results
        self._log_max = math.log(max(max_epochs, 2))
        self._centre, self._unit = location(results.values)
        x, t, f = results.rows, self._time(results.epochs), results.expected
        self._x, self._t, self._f = x, t, f
        self._trust = np.full(f.shape[1], 1.0 / max(f.shape[1], 1))
        y = squashed((results.values - self._centre) / self._unit)
        self._y = y - f @ self._trust
        of_parameters = [f"{name}:" for name in results.encoder.names]
        of_studies = [f"earlier study {place}" for place in range(f.shape[1])]
        self._names = (*_SPREAD_PRIORS, "time", *of_parameters, *of_studies)
        self._time_distances = (t[:, None] - t[None, :]) ** 2
        self._same = (results.candidate[:, None] == results.candidate[None, :]).astype(np.float64)
        self._priors = _priors(len(of_parameters), len(of_studies))
        pairs = zip(self._names, self._priors[:, 0], strict=True)
        self._scales = np.array([scales.get(name, median) for name, median in pairs])
        self._decompose()

    @property
    def scales(self) -> dict[str, float]:
        """The logarithms of the scales, by what they are the scales of."""
        return dict(zip(self._names, self._scales.tolist(), strict=True))

    def refit(self) -> None:
        """Move the scales to where their posterior density is greatest.

        Searched from the present ones and from the priors' medians: once a parameter's scale is so
        long that it counts for nothing, no slope leads back.
        """
        low, high = self._priors[:, 0] - 3.0, self._priors[:, 0] + 3.0
        starts = [np.clip(self._scales, low, high), self._priors[:, 0]]
        found = [
            minimize(
                self._loss,
                start,
                jac=True,
                method="L-BFGS-B",
                bounds=list(zip(low, high, strict=True)),
                options={"maxiter": _STEPS},
            )
            for start in starts
        ]
        self._scales = np.asarray(min(found, key=lambda one: one.fun).x)
        self._decompose()

    def predict(
        self,
        rows: FloatArray,
        epochs: Sequence[float],
        known: Sequence[int] | None = None,
        foreknown: FloatArray | None = None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and standard deviation of results, in their own unit, float64 [epoch, row].

        Args:
            rows: float64 [row, coordinate].
            epochs: after which they are asked for.
            known: each one's number in `Results.candidate`; -1 where it has no results yet.
            foreknown: of each what `Results.foreknown` is of a result; there if that is.
        """
        s = self._unpack(self._scales)
        over_x = _matern(self._squares(s, rows))
        at = self._time(np.asarray(epochs, dtype=np.float64))
        over_t = _matern((at[:, None] - self._t[None, :]) ** 2 * s.inverse_square_time)
        same = 0.0
        if known is not None:
            same = s.training * (np.asarray(known)[:, None] == self._results.candidate[None, :])
        f = np.zeros((len(rows), 0)) if foreknown is None else foreknown
        alike = same + (f * s.of_studies) @ self._f.T
        mean, deviation = np.empty((2, len(at), len(rows)))
        prior = s.shared + s.end + s.course + s.training + f**2 @ s.of_studies
        for place, of_time in enumerate(over_t):
            cross = over_x * (s.end + s.course * of_time) + (s.shared * of_time + alike)
            half = solve_triangular(self._factor, cross.T, lower=True, check_finite=False)
            mean[place] = f @ self._trust + cross @ self._weights
            deviation[place] = np.sqrt(np.maximum(prior - np.sum(half**2, axis=0), 1e-10))
        return self._centre + self._unit * unsquashed(mean), self._unit * deviation

    # The numbers ------------------------------------------------------------------------------

    def _time(self, epochs: FloatArray) -> FloatArray:
        return np.log(epochs) / self._log_max

    def _squares(self, s: _Scales, rows: FloatArray) -> FloatArray:
        """Return squared distances to the results in units of the scales, float64 [row, result]."""
        units = np.sqrt(s.inverse_squares)[self._results.encoder.group]
        return np.asarray(cdist(rows * units, self._x * units, "sqeuclidean"))

    @cached_property
    def _square_distances(self) -> FloatArray:
        """Squared distances between results, parameter by parameter, float64 [group, r, r]."""
        encoder = self._results.encoder
        out = np.zeros((len(encoder.names), len(self._x), len(self._x)))
        for column, group in enumerate(encoder.group):
            out[group] += (self._x[:, column, None] - self._x[None, :, column]) ** 2
        return out

    def _unpack(self, scales: FloatArray) -> _Scales:
        shared, end, course, training, epoch = np.exp(2.0 * scales[:5]).tolist()
        of_parameters, of_studies = np.split(scales[6:], [len(self._results.encoder.names)])
        return _Scales(
            shared=shared,
            end=end,
            course=course,
            training=training,
            noise=epoch + _NOISE_AT_LEAST**2,
            inverse_square_time=math.exp(-2.0 * scales[5]),
            inverse_squares=np.exp(-2.0 * of_parameters),
            of_studies=np.exp(2.0 * of_studies),
        )

    def _covariance(self, s: _Scales, over_x: FloatArray, over_t: FloatArray) -> FloatArray:
        covariance = s.shared * over_t + s.end * over_x + s.course * over_x * over_t
        covariance += s.training * self._same + (self._f * s.of_studies) @ self._f.T
        covariance[np.diag_indices_from(covariance)] += s.noise + _JITTER
        return covariance

    def _decompose(self) -> None:
        s = self._unpack(self._scales)
        over_x = _matern(self._squares(s, self._x))
        over_t = _matern(self._time_distances * s.inverse_square_time)
        self._factor = cholesky(self._covariance(s, over_x, over_t), lower=True)
        self._weights = cho_solve((self._factor, True), self._y)

    def _loss(self, scales: FloatArray) -> tuple[float, FloatArray]:
        """Return the negative logarithm of the posterior density, and its gradient."""
        s = self._unpack(scales)
        r2 = np.tensordot(s.inverse_squares, self._square_distances, axes=1)
        over_x = _matern(r2)
        over_t = _matern(self._time_distances * s.inverse_square_time)
        try:
            factor = cholesky(self._covariance(s, over_x, over_t), lower=True)
        except np.linalg.LinAlgError:
            return 1e10, np.zeros_like(scales)
        weights = cho_solve((factor, True), self._y)
        loss = 0.5 * self._y @ weights + np.log(np.diag(factor)).sum()
        inverse = cho_solve((factor, True), np.eye(len(self._y)))
        # Of the loss by the covariance, to be summed over its change by each scale.
        slope = 0.5 * (inverse - np.outer(weights, weights))
        gradient = np.empty_like(scales)
        gradient[0] = 2.0 * s.shared * np.sum(slope * over_t)
        gradient[1] = 2.0 * s.end * np.sum(slope * over_x)
        gradient[2] = 2.0 * s.course * np.sum(slope * over_x * over_t)
        gradient[3] = 2.0 * s.training * np.sum(slope * self._same)
        gradient[4] = 2.0 * (s.noise - _NOISE_AT_LEAST**2) * np.trace(slope)
        t2 = self._time_distances * s.inverse_square_time
        by_t = slope * (s.shared + s.course * over_x) * _matern_slope(t2)
        gradient[5] = -2.0 * np.sum(by_t * t2)
        by_x = slope * (s.end + s.course * over_t) * _matern_slope(r2)
        sums = np.tensordot(self._square_distances, by_x, axes=2)
        of_studies = np.einsum("rf,rs,sf->f", self._f, slope, self._f, optimize=True)
        gradient[6:] = np.concatenate(
            [-2.0 * s.inverse_squares * sums, 2.0 * s.of_studies * of_studies]
        )
        centre, sd = self._priors.T
        away = (scales - centre) / sd
        return float(loss + 0.5 * away @ away), gradient + away / sd


@dataclass(frozen=True, kw_only=True)
class _Scales:
    """Variances of the summands, and of how much holds of each earlier study; inverse squares of
    length scales."""

    shared: float
    end: float
    course: float
    training: float
    noise: float
    inverse_square_time: float
    inverse_squares: FloatArray
    of_studies: FloatArray


def _priors(groups: int, studies: int) -> FloatArray:
    """Return mean and standard deviation of the logarithm of each scale, float64 [scale, 2]."""
    spreads = [(math.log(spread), _SPREAD_SD) for spread in _SPREAD_PRIORS.values()]
    time = [(0.0, 0.7)]
    lengths = [(math.log(0.5) + 0.5 * math.log(max(groups, 1)), 1.0)] * groups
    of_studies = [(math.log(_FOREKNOWN_SPREAD), 1.0)] * studies
    return np.array(spreads + time + lengths + of_studies)


def _matern(r2: FloatArray) -> FloatArray:
    r = _SQRT5 * np.sqrt(r2)
    return (1.0 + r + r * r / 3.0) * np.exp(-r)


def _matern_slope(r2: FloatArray) -> FloatArray:
    """Return the derivative by the squared distance."""
    r = _SQRT5 * np.sqrt(r2)
    return -(5.0 / 6.0) * (1.0 + r) * np.exp(-r)


def location(values: FloatArray) -> tuple[float, float]:
    """Return the centre and the unit that results are measured by: those of the better half.

    What fails altogether lies far below, and is not what has to be told apart.
    """
    better = values[values >= np.median(values)]
    centre = float(np.median(better))
    unit = float(np.std(values[values >= np.quantile(values, 0.2)]))
    return centre, unit if unit > 1e-9 else 1.0


_FLOOR = 2.0


def squashed(y: FloatArray) -> FloatArray:
    """Return `y`, growing ever more slowly below: how bad a failure is says little."""
    below = np.minimum(y + _FLOOR, 0.0)
    return np.asarray(np.where(y < -_FLOOR, -_FLOOR - np.log1p(-below), y))


def unsquashed(y: FloatArray) -> FloatArray:
    """Undo `squashed`."""
    below = np.minimum(y + _FLOOR, 0.0)
    return np.asarray(np.where(y < -_FLOOR, -_FLOOR + 1.0 - np.exp(-below), y))
