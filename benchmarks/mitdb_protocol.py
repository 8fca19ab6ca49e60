"""What the learning curves on MIT-BIH are of: the space, the beats, and which configurations.

The space is the default one (`spaces.ecg.ECGSpace`) with `phi` from -4 to 2 in place of -3 to 3:
as wide, one halving of the work lower, so that 400 trainings of 27 epochs are affordable. It holds
3.9 k to 630 k parameters and 0.02 to 9 M MACs, and nothing in it is refused: the space itself is
the bound on sizes, the same one for whoever searches it.

The n-th configuration depends on n alone: one coordinate of a scrambled Sobol sequence for each
parameter (Sobol 1967; Owen 1998), whether the configuration asks for it or not. So any number of
the first configurations is spread over the whole space.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import FloatDistribution, IntDistribution
from scipy.stats import qmc

from ecgmodels import cost
from ecgmodels.configs import Config
from ecgmodels.data import Dataset, Segments
from search.ecg_problem import data_shape
from search.sampling.drawing import from_unit
from spaces import Candidate, DataShape, Space, build_space

SPLIT = "fixed"
"""The development split: validation is six of DS1's 22 patients."""

_RANGES = {"phi": [-4.0, 2.0]}
_TRAINING = {"batch_size": 128, "amplitude_scale": 0.2, "noise_uv": 20.0, "time_shift": 0.02}
"""As in examples/mitdb.toml."""


@dataclass(frozen=True, kw_only=True)
class CurveProtocol(Config):
    """Everything that two learning curves must have in common to stand in one table."""

    dataset_hash: str
    shape: DataShape
    epochs: int
    """Length of every training, and of its learning-rate schedule."""
    train_beats: int = 10_000
    validation_beats: int = 5_000
    seed: int = 0
    """Of the sequence of configurations and of which beats are taken."""
    ranges: Mapping[str, Any] = field(default_factory=lambda: dict(_RANGES))
    training: Mapping[str, Any] = field(default_factory=lambda: dict(_TRAINING))

    @classmethod
    def of(cls, dataset: Dataset, epochs: int) -> CurveProtocol:
        return cls(dataset_hash=dataset.hash, shape=data_shape(dataset), epochs=epochs)

    @classmethod
    def from_json(cls, text: str) -> CurveProtocol:
        values = json.loads(text)
        return cls(**{**values, "shape": DataShape.from_dict(values["shape"])})

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), sort_keys=True)

    def differences(self, other: CurveProtocol) -> list[str]:
        """Return the names of the fields in which two protocols differ."""
        return [f.name for f in fields(self) if getattr(self, f.name) != getattr(other, f.name)]

    @cached_property
    def space(self) -> Space:
        training = {**self.training, "epochs": self.epochs}
        return build_space("efficientecg", self.shape, training, self.ranges)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One point of the sequence."""

    number: int
    params: Mapping[str, Any]
    """What the space asked for, by the names it asked with."""
    candidate: Candidate
    key: str
    parameters: int
    macs: int


def configurations(protocol: CurveProtocol, count: int) -> list[Configuration]:
    """Return the first `count` configurations."""
    names = sorted(name for name, p in protocol.space.parameters.items() if not p.fixed)
    sequence = qmc.Sobol(len(names), scramble=True, seed=protocol.seed)
    points = sequence.random_base2(max(count - 1, 0).bit_length())[:count]
    return [
        _configuration(protocol, number, dict(zip(names, point.tolist(), strict=True)))
        for number, point in enumerate(points)
    ]


def _configuration(
    protocol: CurveProtocol, number: int, point: Mapping[str, float]
) -> Configuration:
    trial = _PointTrial(point)
    candidate = protocol.space.suggest(trial)
    return Configuration(
        number=number,
        params=trial.params,
        candidate=candidate,
        key=candidate.key(protocol.dataset_hash),
        **{name: int(value) for name, value in cost(candidate.model).items()},
    )


class _PointTrial:
    """Answers `suggest_*` with a point's coordinates, from 0 to 1, by the parameter's name."""

    def __init__(self, point: Mapping[str, float]) -> None:
        self.params: dict[str, Any] = {}
        self._point = point

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        distribution = FloatDistribution(low, high, log=log)
        self.params[name] = float(from_unit(distribution, self._point[name]))
        return float(self.params[name])

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        distribution = IntDistribution(low, high, step=step, log=log)
        self.params[name] = int(from_unit(distribution, self._point[name]))
        return int(self.params[name])

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        place = int(self._point[name] * len(choices))
        self.params[name] = choices[min(place, len(choices) - 1)]
        return self.params[name]


def chosen_beats(segments: Segments, common: int, count: int, seed: int) -> Segments:
    """Return a fixed choice of beats: every one of the rarer classes, and of `common` the rest.

    Beats stay in the order of their records. Thinning out the commonest class alone leaves
    everything that tells configurations apart: N is nine of ten beats.

    Args:
        common: the label that is thinned out.
        count: beats to keep in all.
        seed: of which are kept.
    """
    is_common = np.asarray(segments.label) == common
    wanted = count - int((~is_common).sum())
    kept = np.random.default_rng(seed).permutation(np.flatnonzero(is_common))[:wanted]
    rows = np.sort(np.concatenate([np.flatnonzero(~is_common), kept]))
    return Segments(
        signal_uv=np.ascontiguousarray(segments.signal_uv[rows]),
        valid_samples=segments.valid_samples[rows],
        label=segments.label[rows],
        features=segments.features[rows],
        record=segments.record[rows],
        start_sample=segments.start_sample[rows],
        records=segments.records,
    )
