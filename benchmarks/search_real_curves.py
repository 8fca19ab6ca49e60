"""The surrogate of EfficientECG on MIT-BIH, as the other problems are: accuracy against size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from search_synthetic import (
    FloatArray,
    Parameter,
    SyntheticEpoch,
    SyntheticProblem,
    choice,
    real,
    whole,
)

from search.problem import Context
from spaces.parameters import Choice, Float
from spaces.parameters import Parameter as Searched

CURVES = Path(__file__).with_name("data") / "mitdb_curves.parquet"
METRIC = "balanced_accuracy"


class RealCurves(SyntheticProblem):
    """What `MITDBSurrogate` predicts: the real space, real sizes, curves as real ones were."""

    name: ClassVar[str] = "mitdb"
    chance: ClassVar[float] = 0.25

    def __init__(self) -> None:
        import mitdb_forest  # no other problem needs the models
        from mitdb_surrogate import MITDBSurrogate, fitted

        self._surrogate = MITDBSurrogate(CURVES)
        self.max_epochs = self._surrogate.max_epochs
        fitted_by = Path(mitdb_forest.__file__).read_bytes()
        self.fingerprint = hashlib.sha256(CURVES.read_bytes() + fitted_by).hexdigest()
        parameters = fitted(CURVES.resolve())[0].space.parameters
        self.space = tuple(_flat(name, of) for name, of in parameters.items() if not of.fixed)

    def suggest(self, trial: Any) -> Any:
        return self._surrogate.suggest(trial)

    def key(self, candidate: Any) -> str:
        return self._surrogate.key(candidate)

    def cost(self, candidate: Any) -> dict[str, float]:
        return dict(self._surrogate.cost(candidate))

    def learn(self, candidate: Any, context: Any) -> Iterator[SyntheticEpoch]:
        for epoch in self._surrogate.learn(candidate, context):
            metrics = {"accuracy": epoch.metrics[METRIC]}
            yield SyntheticEpoch(number=epoch.number, metrics=metrics, seconds=epoch.seconds)

    def curve(self, candidate: Any, seed: int, max_epochs: int) -> FloatArray:
        context = Context(seed=seed, max_epochs=max_epochs)
        epochs = self._surrogate.learn(candidate, context)
        return np.array([epoch.metrics[METRIC] for epoch in epochs])


def _flat(name: str, searched: Searched) -> Parameter:
    if isinstance(searched, Choice):
        return choice(name, *searched.options)
    if isinstance(searched, Float):
        return real(name, searched.low, searched.high, log=searched.log)
    return whole(name, searched.low, searched.high, log=searched.log, step=searched.step)
