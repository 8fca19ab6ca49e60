"""What is trained to see what a step costs: networks of three sizes, made-up segments.

Nothing here is drawn by chance twice: whoever asks gets the same segments and weights.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from made_segments import MadeSegments

from ecgmodels import EfficientECGConfig
from ecgmodels.data import Normalisation
from ecgmodels.models.registry import cost

BATCH = 64
CLASSES = 5
STD_UV = 300.0
FEATURES = ("age", "sex", "rr_previous", "rr_next", "rr_local_ratio")

SIZES: dict[str, dict[str, Any]] = {
    "20 k": {"base": "tiny", "width": 1.25},
    "300 k": {"base": "small", "width": 1.6},
    "3.9 M": {"base": "b0"},
}
"""About so many parameters; the last is EfficientNet-B0's table. `Work.name` has exact counts."""
INPUTS = ((2, 256), (12, 1000))
STEPS = {"20 k": 24, "300 k": 12, "3.9 M": 4}
"""Steps in a round of measurement: some tenths of a second."""
ATTENTION = {"fusion": "attention", "placements": ("stage3",), "features": FEATURES}


@dataclass(frozen=True, kw_only=True)
class Work:
    """A network and its input."""

    size: str
    leads: int
    samples: int
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def config(self) -> EfficientECGConfig:
        """Without dropout, so that both sides compute the same."""
        return EfficientECGConfig(
            leads=self.leads,
            samples=self.samples,
            classes=CLASSES,
            dropout=0.0,
            **SIZES[self.size],
            **self.options,
        )

    @property
    def steps(self) -> int:
        return STEPS[self.size]

    @property
    def parameters(self) -> int:
        return cost(self.config)["parameters"]

    @property
    def name(self) -> str:
        fusion = ", attention" if self.options else ""
        return f"{self.parameters:,} parameters{fusion}, {self.leads} x {self.samples}"

    def segments(self) -> MadeSegments:
        """Return as many random segments as a round's steps take, some features unknown."""
        random = np.random.default_rng(0)
        number = BATCH * self.steps
        features = random.standard_normal((number, len(self.config.features)), np.float32)
        features[random.random(features.shape) < 0.1] = np.nan
        shape = (number, self.leads, self.samples)
        return MadeSegments(
            signal_uv=random.normal(0, STD_UV, shape).astype(np.int16),
            valid_samples=np.full(number, self.samples, np.int32),
            label=random.integers(0, CLASSES, number),
            features=features,
            record=np.zeros(number, np.int32),
        )

    def normalisation(self) -> Normalisation:
        features = len(self.config.features)
        return Normalisation(
            signal_mean_uv=(0.0,) * self.leads,
            signal_std_uv=(STD_UV,) * self.leads,
            feature_mean=(0.0,) * features,
            feature_std=(1.0,) * features,
        )


WORKS = tuple(
    Work(size=size, leads=leads, samples=samples) for size in SIZES for leads, samples in INPUTS
)
WITH_ATTENTION = Work(size="300 k", leads=2, samples=256, options=ATTENTION)


def synchronise(device: str) -> None:
    """Wait for a GPU."""
    if device == "cuda":
        torch.cuda.synchronize()
