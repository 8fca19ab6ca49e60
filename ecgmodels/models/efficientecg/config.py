"""The EfficientECG family as data: its bases, its configuration and the compound-scaling rule.

EfficientNet (Tan & Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks",
ICML 2019) with k*k convolutions read as k, and patient or rhythm features fused in.
`ecgmodels.models.efficientecg.plan.resolve` turns a configuration into the network's exact sizes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.efficientecg.bases import BASES, placement_names

Fusion = Literal["none", "concat", "attention"]
Direction = Literal["signal_to_features", "features_to_signal", "both"]
Activation = Literal["silu", "relu", "gelu", "hardswish"]

STEM_STRIDES = (1, 2, 4)

_OF_ATTENTION_TO_FEATURES = ("placements", "direction")
_OF_ANY_ATTENTION = ("heads", "attention_width")


@dataclass(frozen=True, kw_only=True)
class EfficientECGConfig(ModelConfig):
    """One member of the family.

    Raises:
        ConfigError: a value is out of range, or has no effect beside the others.
    """

    model: ClassVar[str] = "efficientecg"

    base: str = "b0"
    """Key of `BASES`: the stage table that the multipliers scale."""

    stages: int | None = None
    """Rows of the stage table that are kept, from the first; None: all of them."""

    depth: float = 1.0
    """Multiplies every stage's layers (rounded up); see `compound_scaling`."""

    width: float = 1.0
    """Multiplies channels (rounded to the base's divisor)."""

    resolution: float = 1.0
    """Multiplies the rate at which the network sees the window, which is resampled for it."""

    kernel_scale: float = 1.0
    """Multiplies the stem's and the depthwise kernels' lengths (rounded to an odd number >= 3)."""

    expansion: int | None = None
    """Replaces the expansion of every stage whose own is not 1; None: the base's."""

    squeeze_ratio: float = 0.25
    """Squeeze-and-excitation's waist as a share of the block's input channels (rounded down, at
    least 1)."""

    activation: Activation = "silu"
    """After every convolution that a batch norm follows, but a block's last, and in
    squeeze-and-excitation's waist."""

    stem_stride: int = 2
    """The stem gives one position for so many samples: 1, 2 or 4. A kernel shorter than the stride
    would leave samples unseen; it is made as long."""

    leads_fused: str = "input"
    """Where leads become one map. "input": they are the stem's channels. "stem", "stage1", ...,
    "head": the network up to and including that place runs on each lead by itself (with its
    template, where there is one), with the same weights for all; there leads are fused by
    cross-attention."""

    fusion: Fusion = "none"
    """How features come in: not at all, beside the classifier's input, or by cross-attention."""

    placements: tuple[str, ...] = ()
    """Where attention sits: after "stem", "stage1", "stage2", ..., "head" (any of them, but none
    before the place where leads are fused; at that place, after it)."""

    direction: Direction = "signal_to_features"
    """Who attends: ECG positions to feature tokens (the map flows on, residual), tokens to ECG
    positions (the updated tokens go to the next placement and to the classifier), or both in turn,
    tokens first."""

    heads: int = 2
    """Heads of every attention: of leads' fusion as of features'."""

    attention_width: int = 32
    """Width asked for attention and tokens; `token_width` is what heads of a whole width make of
    it."""

    dropout: float = 0.2
    """Probability of dropping an input of the classifier."""

    drop_path: float = 0.0
    """Stochastic depth (Huang et al. 2016): the last block's probability of skipping its residual
    branch for a segment; block l of L has l / L of it."""

    @property
    def head_width(self) -> int:
        """Width of one attention head: the asked width's share, rounded (halves up), at least 1."""
        return max(1, (2 * self.attention_width + self.heads) // (2 * self.heads))

    @property
    def token_width(self) -> int:
        """Width that attention and tokens really have: heads times the width of one."""
        return self.heads * self.head_width

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("heads", "attention_width", "stem_stride"):
            self._require_whole(name)
        for name in ("depth", "width", "resolution", "kernel_scale", "squeeze_ratio"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and value > 0, "a number above 0")
        for name in ("dropout", "drop_path"):
            value = getattr(self, name)
            self._require(name, _is_number(value) and 0 <= value < 1, "at least 0 and below 1")
        self._require("squeeze_ratio", self.squeeze_ratio <= 1, "at most 1")
        self._require("stem_stride", self.stem_stride in STEM_STRIDES, "1, 2 or 4")
        _require_choice("base", self.base, tuple(BASES))
        _require_choice("activation", self.activation, get_args(Activation))
        _require_choice("fusion", self.fusion, get_args(Fusion))
        _require_choice("direction", self.direction, get_args(Direction))
        resampled = round(self.samples * self.resolution)
        self._require("resolution", resampled >= 2, "large enough for 2 samples")
        self._check_stages()
        self._check_leads()
        self._check_fusion()

    def _require_whole(self, name: str) -> None:
        value = getattr(self, name)
        whole = isinstance(value, int) and not isinstance(value, bool)
        self._require(name, whole, "a whole number")
        self._require(name, value >= 1, "at least 1")

    def _check_stages(self) -> None:
        table = BASES[self.base].stages
        if self.stages is not None:
            self._require_whole("stages")
            self._require(
                "stages", self.stages <= len(table), f"at most {self.base}'s {len(table)}"
            )
        if self.expansion is not None:
            self._require_whole("expansion")
            if all(stage.expansion == 1 for stage in table[: self.stages]):
                raise ConfigError(
                    f"expansion {self.expansion} has no effect: no stage that is kept expands",
                    hint="keep more stages, or leave expansion out",
                )

    def _check_leads(self) -> None:
        valid = ("input", *placement_names(self.base, self.stages))
        _require_choice("leads_fused", self.leads_fused, valid)
        if self.leads_fused != "input" and self.leads == 1:
            raise ConfigError(
                f"leads_fused '{self.leads_fused}' has no effect: there is one lead",
                hint="leave leads_fused out, or set it to 'input'",
            )

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
            return
        self._refuse(_OF_ATTENTION_TO_FEATURES, f"fusion '{self.fusion}'")
        if self.leads_fused == "input":
            self._refuse(_OF_ANY_ATTENTION, f"fusion '{self.fusion}' and leads fused at the input")

    def _check_placements(self) -> None:
        valid = placement_names(self.base, self.stages)
        fused = valid[valid.index(self.leads_fused) :] if self.leads_fused in valid else valid
        if not self.placements:
            raise ConfigError(
                "fusion 'attention' has no placement",
                hint=f"name one or more of {', '.join(fused)}",
            )
        for name in self.placements:
            if name not in valid:
                kept = "" if self.stages is None else f" of {self.stages} stages"
                raise ConfigError(
                    f"placement '{name}' does not exist in base '{self.base}'{kept}",
                    hint=f"valid: {', '.join(fused)}",
                )
            if name not in fused:
                raise ConfigError(
                    f"placement '{name}' lies before '{self.leads_fused}', where leads become the "
                    "one map that features meet",
                    hint=f"valid: {', '.join(fused)}; or fuse the leads earlier",
                )
        if len(set(self.placements)) < len(self.placements):
            raise ConfigError(
                f"placements {list(self.placements)} name one twice",
                hint="name each placement once",
            )

    def _refuse(self, names: tuple[str, ...], without_effect: str) -> None:
        """Refuse what was set among `names`; a field's default stands in its class."""
        for name in names:
            value = getattr(self, name)
            if value != getattr(EfficientECGConfig, name):
                raise ConfigError(
                    f"{name} {value!r} has no effect with {without_effect}",
                    hint=f"set fusion to 'attention', or leave {name} out",
                )


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


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
