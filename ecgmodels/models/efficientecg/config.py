"""The EfficientECG family as data: its bases, its configuration and the compound-scaling rule.

EfficientNet (Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019) with k*k convolutions read as k, and patient or rhythm features fused in.
`ecgmodels.models.efficientecg.plan.resolve` turns a configuration into the network's exact sizes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal, get_args

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError
from ecgmodels.models.base import ModelConfig

Fusion = Literal["none", "concat", "attention"]
Direction = Literal["signal_to_features", "features_to_signal", "both"]


@dataclass(frozen=True)
class Stage:
    """One row of a stage table: `layers` inverted-residual blocks, the first one strided."""

    expansion: int
    channels: int
    layers: int
    stride: int
    kernel: int


@dataclass(frozen=True)
class Base:
    """The network that multipliers of 1 give; scaling is relative to it."""

    stem_channels: int
    stem_kernel: int
    stages: tuple[Stage, ...]
    head_channels: int
    divisor: int
    """Scaled channel counts are multiples of this."""


BASES: Mapping[str, Base] = MappingProxyType(
    {
        # Table 1 of the paper; 3.87 M parameters.
        "b0": Base(
            stem_channels=32,
            stem_kernel=3,
            stages=(
                Stage(expansion=1, channels=16, layers=1, stride=1, kernel=3),
                Stage(expansion=6, channels=24, layers=2, stride=2, kernel=3),
                Stage(expansion=6, channels=40, layers=2, stride=2, kernel=5),
                Stage(expansion=6, channels=80, layers=3, stride=2, kernel=3),
                Stage(expansion=6, channels=112, layers=3, stride=1, kernel=5),
                Stage(expansion=6, channels=192, layers=4, stride=2, kernel=5),
                Stage(expansion=6, channels=320, layers=1, stride=1, kernel=3),
            ),
            head_channels=1280,
            divisor=8,
        ),
        # 120 k parameters: B0 cut after its fourth stage, expansion 4, longer kernels.
        "small": Base(
            stem_channels=16,
            stem_kernel=5,
            stages=(
                Stage(expansion=1, channels=16, layers=1, stride=1, kernel=5),
                Stage(expansion=4, channels=24, layers=2, stride=2, kernel=5),
                Stage(expansion=4, channels=40, layers=2, stride=2, kernel=5),
                Stage(expansion=4, channels=64, layers=2, stride=2, kernel=5),
            ),
            head_channels=256,
            divisor=4,
        ),
        # 13 k parameters, for a device's own processor.
        "tiny": Base(
            stem_channels=8,
            stem_kernel=5,
            stages=(
                Stage(expansion=1, channels=8, layers=1, stride=1, kernel=5),
                Stage(expansion=3, channels=16, layers=1, stride=2, kernel=5),
                Stage(expansion=3, channels=24, layers=1, stride=2, kernel=5),
                Stage(expansion=3, channels=32, layers=1, stride=2, kernel=5),
            ),
            head_channels=96,
            divisor=4,
        ),
    }
)


@dataclass(frozen=True, kw_only=True)
class EfficientECGConfig(ModelConfig):
    """One member of the family.

    Raises:
        ConfigError: a value is out of range, or has no effect beside the others.
    """

    model: ClassVar[str] = "efficientecg"

    base: str = "b0"
    """Key of `BASES`: the stage table that the multipliers scale."""

    depth: float = 1.0
    """Multiplies every stage's layers (rounded up); see `compound_scaling`."""

    width: float = 1.0
    """Multiplies channels (rounded to the base's divisor)."""

    resolution: float = 1.0
    """Multiplies the rate at which the network sees the window, which is resampled for it."""

    kernel_scale: float = 1.0
    """Multiplies the stem's and the depthwise kernels' lengths (rounded to an odd number >= 3)."""

    fusion: Fusion = "none"
    """How features come in: not at all, beside the classifier's input, or by cross-attention."""

    placements: tuple[str, ...] = ()
    """Where attention sits: after "stem", "stage1", "stage2", ..., "head" (any of them)."""

    direction: Direction = "signal_to_features"
    """Who attends: ECG positions to feature tokens (the map flows on, residual), tokens to ECG
    positions (the updated tokens go to the next placement and to the classifier), or both in turn,
    tokens first."""

    heads: int = 2
    """Attention heads."""

    head_width: int = 16
    """Width of one head; tokens and attention are `heads * head_width` wide."""

    dropout: float = 0.2
    """Probability of dropping an input of the classifier."""

    drop_path: float = 0.0
    """Stochastic depth (Huang et al. 2016): the last block's probability of skipping its residual
    branch for a segment; block l of L has l / L of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("heads", "head_width"):
            self._require(name, isinstance(getattr(self, name), int), "a whole number")
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in ("depth", "width", "resolution", "kernel_scale"):
            value = getattr(self, name)
            self._require(name, math.isfinite(value) and value > 0, "a number above 0")
        for name in ("dropout", "drop_path"):
            self._require(name, 0 <= getattr(self, name) < 1, "at least 0 and below 1")
        _require_choice("base", self.base, tuple(BASES))
        _require_choice("fusion", self.fusion, get_args(Fusion))
        _require_choice("direction", self.direction, get_args(Direction))
        resampled = round(self.samples * self.resolution)
        self._require("resolution", resampled >= 2, "large enough for 2 samples")
        self._check_fusion()

    def _check_fusion(self) -> None:
        if self.fusion == "none" and self.features:
            raise ConfigError(
                f"features {list(self.features)} have no effect with fusion 'none'",
                hint="set fusion to 'concat' or 'attention', or features to ()",
            )
        if self.fusion != "none" and not self.features:
            raise ConfigError(
                f"fusion '{self.fusion}' has no features to fuse",
                hint="name the dataset's features, or set fusion to 'none'",
            )
        if self.fusion == "attention":
            self._check_placements()
        else:
            self._refuse_attention_options()

    def _check_placements(self) -> None:
        valid = placement_names(self.base)
        if not self.placements:
            raise ConfigError(
                "fusion 'attention' has no placement",
                hint=f"name one or more of {', '.join(valid)}",
            )
        for name in self.placements:
            if name not in valid:
                raise ConfigError(
                    f"placement '{name}' does not exist in base '{self.base}'",
                    hint=f"valid: {', '.join(valid)}",
                )
        if len(set(self.placements)) < len(self.placements):
            raise ConfigError(
                f"placements {list(self.placements)} name one twice",
                hint="name each placement once",
            )

    def _refuse_attention_options(self) -> None:
        for field in dataclasses.fields(self):
            if field.name not in ("placements", "direction", "heads", "head_width"):
                continue
            value = getattr(self, field.name)
            if value != field.default:
                raise ConfigError(
                    f"{field.name} {value!r} has no effect with fusion '{self.fusion}'",
                    hint=f"set fusion to 'attention', or leave {field.name} out",
                )


def placement_names(base: str) -> tuple[str, ...]:
    """Return where cross-attention can sit in `base`, in the order the signal meets them."""
    stages = (f"stage{number + 1}" for number in range(len(BASES[base].stages)))
    return ("stem", *stages, "head")


def compound_scaling(phi: float, alpha: float, beta: float) -> tuple[float, float, float]:
    """Return the multipliers (depth, width, resolution) = (alpha^phi, beta^phi, gamma^phi).

    Cost grows with depth, with width squared and, in one dimension, with resolution once, so
    gamma = 2 / (alpha * beta^2) doubles the multiply-accumulates with every step of phi
    (equation 3 of the paper has gamma^2).

    Raises:
        ConfigError: alpha, beta or the gamma that follows is below 1.
    """
    if alpha < 1 or beta < 1:
        raise ConfigError(
            f"alpha {alpha:g} and beta {beta:g} must be at least 1",
            hint="raise the smaller one to 1 or more",
        )
    gamma = 2 / (alpha * beta**2)
    if gamma < 1 - 1e-9:
        raise ConfigError(
            f"alpha {alpha:g} and beta {beta:g} leave gamma {gamma:.4g}, below 1",
            hint="lower alpha or beta until alpha * beta^2 is at most 2",
        )
    return alpha**phi, beta**phi, max(gamma, 1.0) ** phi


def _require_choice(name: str, value: Any, valid: tuple[str, ...]) -> None:
    if value not in valid:
        raise ConfigError(f"{name} '{value}' is unknown", hint=nearest_hint(str(value), valid))
