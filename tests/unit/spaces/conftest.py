"""A trial without Optuna, the shapes of datasets, and a space with every parameter searched."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from ecgmodels.models.efficientecg.bases import BASES
from ecgmodels.models.registry import FAMILIES
from spaces import DataShape
from spaces.ecg import ECGSpace


class RandomTrial:
    """Draws from a seeded generator and remembers, as `asked`, what it was asked."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.asked: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        if log:
            drawn = math.exp(self._random.uniform(math.log(low), math.log(high)))
        else:
            drawn = self._random.uniform(low, high)
        return self._remembered(name, min(max(drawn, low), high))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return self._remembered(name, self._random.randrange(low, high + 1, step))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._remembered(name, self._random.choice(list(choices)))

    def _remembered(self, name: str, value: Any) -> Any:
        assert name not in self.asked, f"{name} was asked for twice"
        self.asked[name] = value
        return value


@pytest.fixture
def random_trial() -> Callable[[int], RandomTrial]:
    return RandomTrial


@pytest.fixture
def shape() -> DataShape:
    """Windows around beats in two leads, as MIT-BIH gives them."""
    return DataShape(
        leads=2,
        samples=256,
        classes=4,
        features=("age", "sex", "rr_previous_s", "rr_next_s", "rr_ratio", "p_wave"),
        rate_hz=360.0,
        aligned=True,
    )


@pytest.fixture
def featureless() -> DataShape:
    """Crops of one lead with nothing beside them."""
    return DataShape(leads=1, samples=1000, classes=5, rate_hz=100.0)


OPEN: Mapping[str, Any] = {
    "model": list(FAMILIES),
    "base": list(BASES),
    "scaling": ["compound", "direct"],
    "alpha": [1.0, 1.6],
    "expansion": ["base", 1, 3],
    "squeeze_ratio": [0.05, 1.0],
    "stages": ["all", 1, 2, 4],
    "activation": ["silu", "relu", "gelu", "hardswish"],
    "stem_stride": [1, 2, 4],
    "leads_fused": ["input", "stem", "stage2", "head"],
    "fusion": ["none", "concat", "stem", "stage2+stage4", "stem+stage1+head", "head"],
    "features": ["all", "patient", "causal", "rhythm+p_wave"],
    "template": [False, True],
    "heads": [1, 2, 3, 4],
    "attention_width": [8, 12, 32],
    "baseline_width": [0.1, 1.5],
    "baseline_depth": [0.5, 1.5],
    "baseline_kernel_scale": [0.5, 2.0],
    "baseline_dropout": ["published", 0.2],
    "baseline_fusion": ["none", "concat"],
    "class_weighting": ["none", "effective"],
    "loss": ["cross_entropy", "focal"],
    "focal_gamma": [0.5, 4.0],
    "label_smoothing": [0.0, 0.2],
    "ema_decay": ["none", 0.99],
    "gradient_clip": ["none", 1.0],
    "amplitude_scale": [0.0, 0.3],
    "noise_uv": [0.0, 50.0],
    "time_shift": [0.0, 0.1],
    "baseline_wander_uv": [0.0, 500.0],
    "mains_hum_uv": [0.0, 50.0],
    "mains_hz": [50, 60],
    "lead_dropout": [0.0, 0.3],
}
"""Ranges that leave nothing fixed; those that are not here are searched by default."""


@pytest.fixture
def open_ranges() -> dict[str, Any]:
    return dict(OPEN)


@pytest.fixture
def open_space(shape: DataShape) -> ECGSpace:
    return ECGSpace(shape, {"epochs": 9}, OPEN)
