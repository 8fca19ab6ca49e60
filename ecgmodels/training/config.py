"""How a model is trained, as data (no torch here, so that spaces load quickly)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

from ecgmodels.configs import Config, nearest_hint
from ecgmodels.errors import ConfigError

ClassWeighting = Literal["none", "sqrt", "balanced"]


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """Options of `ecgmodels.training.fitting.fit`.

    Raises:
        ConfigError: a value is out of range.
    """

    epochs: int = 20
    """Length of the learning-rate schedule, and the last epoch."""

    batch_size: int = 128
    """Segments in a step, over all workers together."""

    learning_rate: float = 2e-3
    """Peak of the schedule: linear warm-up, then a cosine down to 0."""

    weight_decay: float = 0.05
    """AdamW's decoupled decay of weights; norms, biases and tokens have none."""

    warmup_epochs: float = 0.5
    """Length of the linear warm-up."""

    label_smoothing: float = 0.0
    """Share of the target spread over all classes; of several labels, each moves towards 1/2."""

    gradient_clip: float | None = None
    """Largest gradient norm, or None."""

    ema_decay: float | None = None
    """Validate and keep an exponential moving average of the weights, or None."""

    class_weighting: ClassWeighting = "none"
    """Loss weight of a class by its training count n: 1, 1 / sqrt(n) or 1 / n, scaled so that the
    mean over training segments is 1. Of several labels, the weight of having a class: 1,
    sqrt(without / with) or without / with."""

    segments_per_epoch: int | None = None
    """Segments an epoch reads (rounded up to whole batches), or None for as many as there are."""

    amplitude_scale: float = 0.0
    """Augmentation: multiply each segment by a number within 1 +- this."""

    noise_uv: float = 0.0
    """Augmentation: add white noise of this standard deviation."""

    time_shift: float = 0.0
    """Augmentation: move each segment by up to this share of its length."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        if self.segments_per_epoch is not None:
            self._require("segments_per_epoch", self.segments_per_epoch >= 1, "at least 1")
        self._require(
            "learning_rate",
            math.isfinite(self.learning_rate) and self.learning_rate > 0,
            "a number above 0",
        )
        for name in ("weight_decay", "noise_uv"):
            value = getattr(self, name)
            self._require(name, math.isfinite(value) and value >= 0, "a number of at least 0")
        for name in ("label_smoothing", "amplitude_scale", "time_shift"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        self._require(
            "warmup_epochs",
            0 <= self.warmup_epochs < self.epochs,
            f"at least 0 and below epochs ({self.epochs})",
        )
        if self.gradient_clip is not None:
            self._require("gradient_clip", self.gradient_clip > 0, "above 0, or None")
        if self.ema_decay is not None:
            self._require("ema_decay", 0 < self.ema_decay < 1, "between 0 and 1, or None")
        if self.class_weighting not in get_args(ClassWeighting):
            raise ConfigError(
                f"class_weighting '{self.class_weighting}' is unknown",
                hint=nearest_hint(str(self.class_weighting), get_args(ClassWeighting)),
            )

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigError(
                f"{name} must be {expected}, got {getattr(self, name)!r}", hint=f"change {name}"
            )
