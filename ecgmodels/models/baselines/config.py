"""The baselines' configurations: the published network, and multipliers that make it larger or
smaller.

The first three are the one-dimensional variants with which Strodthoff et al. compared ("Deep
Learning for ECG Analysis: Benchmarks and Insights from PTB-XL", IEEE J. Biomed. Health Inform.
2021): 5-tap kernels where the paper on images has 3 x 3, equal widths throughout, and a head of
their own.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError
from ecgmodels.models.base import ModelConfig

BaselineFusion = Literal["none", "concat"]


@dataclass(frozen=True, kw_only=True)
class BaselineConfig(ModelConfig):
    """What every baseline can vary; multipliers of 1 give the published network.

    Raises:
        ConfigError: a value is out of range, or has no effect beside the others.
    """

    width: float = 1.0
    """Multiplies channels, recurrent units and the head's hidden units."""

    kernel_scale: float = 1.0
    """Multiplies the lengths of kernels above 1 (rounded to an odd number >= 3)."""

    dropout: float = 0.0
    """Probability of dropping an input of the classifier."""

    fusion: BaselineFusion = "none"
    """How features come in: not at all, or beside the pooled map, each with its mask."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("width", "kernel_scale"):
            self._require_above_zero(name)
        dropout = self.dropout
        holds = _is_number(dropout) and 0 <= dropout < 1
        self._require("dropout", holds, "at least 0 and below 1")
        if self.fusion not in get_args(BaselineFusion):
            raise ConfigError(
                f"fusion '{self.fusion}' is unknown",
                hint=nearest_hint(str(self.fusion), get_args(BaselineFusion)),
            )
        if self.fusion == "none" and self.features:
            raise ConfigError(
                f"features {list(self.features)} have no effect with fusion 'none'",
                hint="set fusion to 'concat', or features to ()",
            )
        if self.fusion == "concat" and not self.features:
            raise ConfigError(
                "fusion 'concat' has no features to fuse",
                hint="name the dataset's features, or set fusion to 'none'",
            )

    def _require_above_zero(self, name: str) -> None:
        value = getattr(self, name)
        holds = _is_number(value) and math.isfinite(value) and value > 0
        self._require(name, holds, "a number above 0")


@dataclass(frozen=True, kw_only=True)
class DeepBaselineConfig(BaselineConfig):
    """A baseline with repeated blocks."""

    depth: float = 1.0
    """Multiplies the blocks of every stage (rounded up)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require_above_zero("depth")


@dataclass(frozen=True, kw_only=True)
class ResNetWangConfig(DeepBaselineConfig):
    """Three residual blocks of 128 channels (Wang, Yan & Oates, "Time Series Classification from
    Scratch with Deep Neural Networks", IJCNN 2017) in the PTB-XL benchmark's variant."""

    model: ClassVar[str] = "resnet1d_wang"

    dropout: float = 0.5
    """Probability of dropping an input of the classifier; half of it before the hidden layer."""


@dataclass(frozen=True, kw_only=True)
class XResNet101Config(DeepBaselineConfig):
    """Bottleneck blocks in stages of 3, 4, 23 and 3 (He et al., "Bag of Tricks for Image
    Classification with Convolutional Neural Networks", CVPR 2019) in the PTB-XL benchmark's
    variant."""

    model: ClassVar[str] = "xresnet1d101"

    dropout: float = 0.5
    """Probability of dropping an input of the classifier; half of it before the hidden layer."""


@dataclass(frozen=True, kw_only=True)
class InceptionConfig(DeepBaselineConfig):
    """Six inception modules (Fawaz et al., "InceptionTime: Finding AlexNet for Time Series
    Classification", Data Min. Knowl. Discov. 2020; one network, not an ensemble of five) in the
    PTB-XL benchmark's variant."""

    model: ClassVar[str] = "inception1d"

    depth: float = 1.0
    """Multiplies the two groups of three modules that a shortcut bridges (rounded up)."""

    dropout: float = 0.5
    """Probability of dropping an input of the classifier; half of it before the hidden layer."""


@dataclass(frozen=True, kw_only=True)
class CNNLSTMConfig(BaselineConfig):
    """Three convolutions and an LSTM of 20 units (Oh et al., "Automated Diagnosis of Arrhythmia
    Using Combination of CNN and LSTM Techniques with Variable Length Heart Beats", Comput. Biol.
    Med. 2018)."""

    model: ClassVar[str] = "cnn_lstm"

    dropout: float = 0.2
    """Probability of dropping a unit of the LSTM's last state."""


@dataclass(frozen=True, kw_only=True)
class ResNet18Config(DeepBaselineConfig):
    """ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", CVPR 2016) with k*k
    convolutions read as k."""

    model: ClassVar[str] = "resnet1d18"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
