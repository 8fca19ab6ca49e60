"""What the baselines' plans have in common: rounding rules, convolutions and the head."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ecgmodels.configs import Config
from ecgmodels.models.baselines.config import BaselineConfig

DIVISOR = 4
"""Scaled channel counts are multiples of this."""


@dataclass(frozen=True, kw_only=True)
class Convolution(Config):
    """A convolution without bias, centred: output j stands at input j * stride."""

    in_channels: int
    channels: int
    kernel: int
    stride: int
    length: int
    """Output samples."""


@dataclass(frozen=True, kw_only=True)
class Head(Config):
    """From the pooled map to the logits: linear layers with ReLU between them."""

    pooled: int
    """Values that the map is pooled to."""
    features: tuple[str, ...]
    """Put beside the pooled map, each with its mask."""
    hidden: tuple[int, ...]
    """Outputs of each linear layer but the last."""
    norm: bool
    """Batch norm of the pooled map and of every hidden layer."""
    dropouts: tuple[float, ...]
    """Probability of dropping an input of each linear layer."""
    classes: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Inputs of the first linear layer, and the outputs of each."""
        return (self.pooled + 2 * len(self.features), *self.hidden, self.classes)


def benchmark_head(config: BaselineConfig, channels: int) -> Head:
    """Return the head that the PTB-XL benchmark puts on its convolutional networks.

    Maximum and mean over time side by side, and a hidden layer of 128 units; batch norm and dropout
    before both linear layers, with half of the probability before the hidden one. Features come in
    after the batch norm: one that is always known while training has a mask of no variance, which
    batch norm would blow up at the first unknown one.
    """
    return Head(
        pooled=2 * channels,
        features=config.features,
        hidden=(scaled_channels(128, config.width),),
        norm=True,
        dropouts=(config.dropout / 2, config.dropout),
        classes=config.classes,
    )


def scaled_channels(channels: int, multiplier: float, divisor: int = DIVISOR) -> int:
    """Round to the nearest multiple of `divisor`, but lose no more than a tenth of the channels."""
    scaled = channels * multiplier
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * scaled else rounded + divisor


def scaled_blocks(blocks: int, multiplier: float) -> int:
    """Round up; the tolerance keeps 2 * 1.5000000000000002 at 3."""
    return math.ceil(blocks * multiplier - 1e-9)


def scaled_kernel(kernel: int, multiplier: float) -> int:
    """Round to the nearest odd length (from an even one, up), at least 3."""
    return max(3, 2 * int(kernel * multiplier / 2) + 1)


def strided(length: int, stride: int) -> int:
    """Output length of a centred convolution or pooling."""
    return -(-length // stride)
