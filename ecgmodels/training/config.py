"""How a model is trained, as data (no torch here, so that spaces load quickly)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from ecgmodels.configs import Config, nearest_hint
from ecgmodels.errors import ConfigError

ClassWeighting = Literal["none", "sqrt", "balanced", "effective"]
LossName = Literal["cross_entropy", "focal"]

MAINS_HZ = (50.0, 60.0)
"""The frequencies of the world's mains."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig(Config):
    """Options of `ecgmodels.training.fitting.fit`.

    Raises:
        ConfigError: a value is out of range, or has no effect beside the others.
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

    loss: LossName = "cross_entropy"
    """Cross-entropy over the classes (of several labels: binary, over each), or its focal form,
    which looks away from what is told apart already."""

    focal_gamma: float = 2.0
    """Exponent of the focal loss (Lin et al. 2017, whose best it is): larger looks further away."""

    label_smoothing: float = 0.0
    """Share of the target spread over all classes; of several labels, each moves towards 1/2."""

    gradient_clip: float | None = None
    """Largest gradient norm, or None."""

    ema_decay: float | None = None
    """Validate and keep an exponential moving average of the weights, or None."""

    class_weighting: ClassWeighting = "none"
    """Loss weight of a class by its training count n: 1, 1 / sqrt(n), 1 / n ("balanced") or
    (1 - b) / (1 - b^n) with b = 0.9999 ("effective", see `optimisation.EFFECTIVE_BETA`), scaled so
    that the mean over training segments is 1. Of several labels, the weight of having a class: the
    ratio of these weights between those who have it and those who have not."""

    segments_per_epoch: int | None = None
    """Segments an epoch reads (rounded up to whole batches), or None for as many as there are."""

    early_stop_epochs: int | None = None
    """End when so many epochs in a row were no better than the best before them, and keep the best
    epoch's model; None: train to the end and keep the last one's."""

    early_stop_metric: str = "mean_f1"
    """What better means: a metric of `Epoch.metrics`; the lower the better if it ends in "_loss",
    else the higher."""

    amplitude_scale: float = 0.0
    """Augmentation: multiply each segment by a number within 1 +- this."""

    baseline_wander_uv: float = 0.0
    """Augmentation: let each lead's baseline wander by up to this."""

    mains_hum_uv: float = 0.0
    """Augmentation: add hum of the mains of up to this amplitude. (It has little to teach where
    preparation filtered the recordings below `mains_hz`, as it does by default.)"""

    mains_hz: float = 50.0
    """Frequency of that hum: 50 or 60."""

    noise_uv: float = 0.0
    """Augmentation: add white noise of this standard deviation."""

    time_shift: float = 0.0
    """Augmentation: move each segment by up to this share of its length."""

    lead_dropout: float = 0.0
    """Augmentation: with this probability, a lead is silent for a segment; never all of them."""

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("segments_per_epoch", "early_stop_epochs"):
            value = getattr(self, name)
            self._require(name, value is None or value >= 1, "at least 1, or None")
        for name in ("learning_rate", "focal_gamma"):
            value = getattr(self, name)
            self._require(name, math.isfinite(value) and value > 0, "a number above 0")
        for name in ("weight_decay", "baseline_wander_uv", "mains_hum_uv", "noise_uv"):
            value = getattr(self, name)
            self._require(name, math.isfinite(value) and value >= 0, "a number of at least 0")
        for name in ("label_smoothing", "amplitude_scale", "time_shift", "lead_dropout"):
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
        self._require("mains_hz", self.mains_hz in MAINS_HZ, "50 or 60")
        _require_choice("class_weighting", self.class_weighting, get_args(ClassWeighting))
        _require_choice("loss", self.loss, get_args(LossName))
        self._refuse_without_effect("focal_gamma", "loss", self.loss == "focal", "'focal'")
        self._refuse_without_effect(
            "mains_hz", "mains_hum_uv", self.mains_hum_uv > 0, "the hum's amplitude"
        )
        self._refuse_without_effect(
            "early_stop_metric",
            "early_stop_epochs",
            self.early_stop_epochs is not None,
            "how many epochs to wait",
        )

    def require_fit(self, *, leads: int, rate_hz: float) -> None:
        """Check that segments of so many leads at this sampling rate can be augmented as asked.

        Raises:
            ConfigError: a single lead would be dropped, or the mains cannot be sampled.
        """
        if self.lead_dropout and leads == 1:
            raise ConfigError(
                f"lead_dropout {self.lead_dropout!r} has no effect: the segments have one lead, "
                "and never all leads are dropped",
                hint="leave out lead_dropout, or prepare the data with more leads",
            )
        if self.mains_hum_uv and self.mains_hz >= rate_hz / 2:
            raise ConfigError(
                f"mains_hum_uv needs mains_hz below half the sampling rate, got {self.mains_hz:g} "
                f"Hz at rate_hz {rate_hz:g}",
                hint="leave out mains_hum_uv, or prepare the data at a higher rate_hz",
            )

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigError(
                f"{name} must be {expected}, got {getattr(self, name)!r}", hint=f"change {name}"
            )

    def _refuse_without_effect(self, name: str, key: str, has_effect: bool, value: str) -> None:
        """Refuse `name` where it was set, and `key` was not to a `value` that gives it effect."""
        if not has_effect and getattr(self, name) != getattr(TrainingConfig, name):
            raise ConfigError(
                f"{name} {getattr(self, name)!r} has no effect with {key} {getattr(self, key)!r}",
                hint=f"set {key} to {value}, or leave out {name}",
            )


def _require_choice(name: str, value: Any, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigError(f"{name} '{value}' is unknown", hint=nearest_hint(str(value), valid))
