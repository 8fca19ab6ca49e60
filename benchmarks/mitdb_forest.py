"""Predicts learning curves from configurations: a forest fitted to the table, and its error.

Extremely randomised trees (Geurts et al. 2006), one forest for all epochs and metrics, so that a
predicted curve is an average of real ones. Trees on purpose: the searches that are compared model
accuracy with Gaussian processes and kernel densities, and would find their own assumptions again in
a surrogate of that kind.

What the forest cannot know, the seed's part and its own error, is measured on configurations held
out from it and put back by `CurveForest.draw`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from mitdb_protocol import CurveProtocol
from mitdb_table import LearningCurve
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.model_selection import KFold

from ecgmodels import EfficientECGConfig, cost
from search.problem import ReplayTrial
from spaces import Candidate

METRICS = ("mean_f1", "balanced_accuracy", "macro_f1", "macro_auc")
"""What is predicted of a curve."""

FOLDS = 5
LEAST_CURVES = 10
_ALIKE = 40
"""Held-out configurations, those of the nearest prediction, of which two lend their errors."""

_PLACES = ("stem", "stage2", "stage4", "head")
_WEIGHTINGS = ("none", "sqrt", "balanced")

FloatArray = npt.NDArray[np.float64]


def features(candidate: Candidate) -> list[float]:
    """Return a configuration as numbers: sizes, shape, fusion, regularisation, training."""
    model, training = candidate.model, candidate.training
    assert isinstance(model, EfficientECGConfig)
    sizes = cost(model)
    return [
        *(math.log(sizes[name]) for name in ("parameters", "macs")),
        *(math.log(value) for value in (model.depth, model.width, model.resolution)),
        math.log(model.kernel_scale),
        float(model.base == "small"),
        float(bool(model.features)),
        float(model.fusion == "concat"),
        *(float(place in model.placements) for place in _PLACES),
        float(model.fusion == "attention" and model.direction != "features_to_signal"),
        float(model.fusion == "attention" and model.direction != "signal_to_features"),
        float(model.attention_width if model.fusion == "attention" else 0),
        model.dropout,
        model.drop_path,
        math.log(training.learning_rate),
        math.log(training.weight_decay),
        float(_WEIGHTINGS.index(training.class_weighting)),
    ]


@dataclass(frozen=True, kw_only=True)
class CurveData:
    """The curves that ran to the end, as arrays.

    rows: float64 [configuration, feature].
    metrics: float64 [configuration, metric, epoch], metrics in the order of `METRICS`.
    epoch_s: float64 [configuration].
    parameters: int64 [configuration].
    left_out: how many did not run to the end.
    """

    rows: FloatArray
    metrics: FloatArray
    epoch_s: FloatArray
    parameters: npt.NDArray[np.int64]
    left_out: int

    @classmethod
    def of(cls, protocol: CurveProtocol, curves: Sequence[LearningCurve]) -> CurveData:
        """Build every configuration again from its parameters.

        Raises:
            ValueError: there are too few, or one is of another size now.
        """
        whole = [curve for curve in curves if curve.epochs == protocol.epochs]
        if len(whole) < LEAST_CURVES:
            raise ValueError(f"a surrogate needs {LEAST_CURVES} curves or more, not {len(whole)}")
        return cls(
            rows=np.array([features(_rebuilt(protocol, curve)) for curve in whole]),
            metrics=np.array([[curve.metrics[name] for name in METRICS] for curve in whole]),
            epoch_s=np.array([curve.epoch_s for curve in whole], dtype=np.float64),
            parameters=np.array([curve.parameters for curve in whole]),
            left_out=len(curves) - len(whole),
        )


def _rebuilt(protocol: CurveProtocol, curve: LearningCurve) -> Candidate:
    candidate = protocol.space.suggest(ReplayTrial(curve.params))
    if (found := cost(candidate.model)["parameters"]) != curve.parameters:
        raise ValueError(
            f"configuration {curve.number} had {curve.parameters:,} parameters when its curve was "
            f"measured and has {found:,} now: the models changed, collect the curves again"
        )
    return candidate


class CurveForest:
    """Curves of configurations that were never trained."""

    def __init__(self, data: CurveData) -> None:
        self._shape = data.metrics.shape[1:]
        self._forest = _fitted(data.rows, data.metrics)
        self._seconds = _fitted(data.rows, np.log(data.epoch_s), trees=50)
        self.held_out = held_out_predictions(data)
        """float64 [configuration, metric, epoch], each by a forest that never saw it."""
        self._errors = data.metrics - self.held_out
        self._held_out_ends = self.held_out[:, 0, -1]

    def predict(self, candidate: Candidate) -> tuple[FloatArray, float]:
        """Return the expected curve, float64 [metric, epoch], and the seconds of an epoch."""
        row = np.array([features(candidate)])
        expected = self._forest.predict(row).reshape(self._shape)
        return expected, math.exp(float(self._seconds.predict(row)[0]))

    def draw(self, expected: FloatArray, chance: np.random.Generator) -> FloatArray:
        """Return a curve as a training might have it, around the expected one.

        The errors of two held-out configurations of a similar expected end are added, whole and
        turned by an angle: so they keep the variance, and the likeness from epoch to epoch and
        metric to metric, that errors have.
        """
        near = np.argsort(np.abs(self._held_out_ends - expected[0, -1]), kind="stable")[:_ALIKE]
        one, other = chance.choice(near, size=2, replace=False)
        angle = chance.uniform(0.0, math.pi / 2)
        error = math.cos(angle) * self._errors[one] + math.sin(angle) * self._errors[other]
        return np.clip(expected + error, 0.0, 1.0)


def held_out_predictions(data: CurveData) -> FloatArray:
    """Return what forests fitted to the other folds expect of each fold's curves."""
    expected = np.empty_like(data.metrics)
    for others, own in KFold(FOLDS, shuffle=True, random_state=0).split(data.rows):
        forest = _fitted(data.rows[others], data.metrics[others])
        expected[own] = forest.predict(data.rows[own]).reshape(expected[own].shape)
    return expected


def _fitted(rows: FloatArray, targets: FloatArray, *, trees: int = 200) -> Any:
    forest = ExtraTreesRegressor(
        n_estimators=trees, min_samples_leaf=2, max_features=0.5, random_state=0
    )
    return forest.fit(rows, targets.reshape(len(rows), -1).squeeze())
