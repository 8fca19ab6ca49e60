"""Exact sizes of a network: what `resolve` makes of an `EfficientECGConfig`.

The model is built from its plan alone, and costs are arithmetic over it, so two configurations with
equal plans are one network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ecgmodels.configs import Config
from ecgmodels.models.efficientecg.config import (
    BASES,
    Base,
    Direction,
    EfficientECGConfig,
    Fusion,
    placement_names,
)


@dataclass(frozen=True, kw_only=True)
class Convolution(Config):
    """A convolution with batch norm and SiLU that is not part of a block: the stem or the head."""

    in_channels: int
    channels: int
    kernel: int
    stride: int
    length: int
    """Output samples."""


@dataclass(frozen=True, kw_only=True)
class Block(Config):
    """One inverted-residual block (MBConv)."""

    stage: int
    """1-based row of the stage table."""
    in_channels: int
    hidden_channels: int
    """Channels of the depthwise convolution: expansion * in_channels."""
    channels: int
    kernel: int
    stride: int
    squeeze_channels: int
    """Squeeze-and-excitation's waist: a quarter of the block's input channels."""
    in_length: int
    length: int
    residual: bool
    """Whether the block adds its input to its output."""
    drop_path: float
    """Probability of skipping the residual branch."""


@dataclass(frozen=True, kw_only=True)
class Placement(Config):
    """Where cross-attention meets the signal's map."""

    after: str
    channels: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Plan(Config):
    """A whole network; equal plans are equal networks (`to_dict` is what identity hashes)."""

    in_channels: int
    samples: int
    resampled: int
    """Samples the stem sees."""
    stem: Convolution
    blocks: tuple[Block, ...]
    head: Convolution
    classes: int
    features: tuple[str, ...]
    fusion: Fusion
    placements: tuple[Placement, ...]
    """In the order the signal meets them."""
    direction: Direction
    heads: int
    head_width: int
    dropout: float

    @property
    def token_width(self) -> int:
        """Width of a feature's token and of attention."""
        return self.heads * self.head_width

    @property
    def tokens(self) -> int:
        """Tokens in cross-attention: one a feature, and the register."""
        return len(self.features) + 1 if self.fusion == "attention" else 0

    @property
    def signal_attends(self) -> bool:
        """Whether ECG positions attend to tokens."""
        return self.tokens > 0 and self.direction != "features_to_signal"

    @property
    def tokens_attend(self) -> bool:
        """Whether tokens attend to ECG positions and reach the classifier."""
        return self.tokens > 0 and self.direction != "signal_to_features"

    @property
    def classifier_inputs(self) -> int:
        """Pooled channels, and what fusion puts beside them."""
        if self.fusion == "concat":
            return self.head.channels + 2 * len(self.features)
        if self.tokens_attend:
            return self.head.channels + self.tokens * self.token_width
        return self.head.channels


def resolve(config: EfficientECGConfig) -> Plan:
    """Return the exact sizes of the network that `config` describes."""
    base = BASES[config.base]
    resampled = round(config.samples * config.resolution)
    stem = Convolution(
        in_channels=config.in_channels,
        channels=_scaled_width(base.stem_channels, config.width, base.divisor),
        kernel=_scaled_kernel(base.stem_kernel, config.kernel_scale),
        stride=2,
        length=_strided(resampled, 2),
    )
    blocks = _blocks(config, base, stem)
    head = Convolution(
        in_channels=blocks[-1].channels,
        channels=_scaled_width(base.head_channels, config.width, base.divisor),
        kernel=1,
        stride=1,
        length=blocks[-1].length,
    )
    return Plan(
        in_channels=config.in_channels,
        samples=config.samples,
        resampled=resampled,
        stem=stem,
        blocks=blocks,
        head=head,
        classes=config.classes,
        features=config.features,
        fusion=config.fusion,
        placements=_placements(config, stem, blocks, head),
        direction=config.direction,
        heads=config.heads,
        head_width=config.head_width,
        dropout=config.dropout,
    )


def _blocks(config: EfficientECGConfig, base: Base, stem: Convolution) -> tuple[Block, ...]:
    depths = [_scaled_depth(stage.layers, config.depth) for stage in base.stages]
    blocks: list[Block] = []
    in_channels, length = stem.channels, stem.length
    for number, (stage, depth) in enumerate(zip(base.stages, depths, strict=True), start=1):
        channels = _scaled_width(stage.channels, config.width, base.divisor)
        kernel = _scaled_kernel(stage.kernel, config.kernel_scale)
        for layer in range(depth):
            stride = stage.stride if layer == 0 else 1
            residual = stride == 1 and in_channels == channels
            share = (len(blocks) + 1) / sum(depths)
            block = Block(
                stage=number,
                in_channels=in_channels,
                hidden_channels=stage.expansion * in_channels,
                channels=channels,
                kernel=kernel,
                stride=stride,
                squeeze_channels=max(1, in_channels // 4),
                in_length=length,
                length=_strided(length, stride),
                residual=residual,
                drop_path=config.drop_path * share if residual else 0.0,
            )
            blocks.append(block)
            in_channels, length = block.channels, block.length
    return tuple(blocks)


def _placements(
    config: EfficientECGConfig, stem: Convolution, blocks: tuple[Block, ...], head: Convolution
) -> tuple[Placement, ...]:
    ends: dict[str, Convolution | Block] = {"stem": stem, "head": head}
    for block in blocks:
        ends[f"stage{block.stage}"] = block  # a stage's last block stays
    return tuple(
        Placement(after=name, channels=ends[name].channels, length=ends[name].length)
        for name in placement_names(config.base)
        if name in config.placements
    )


def _scaled_width(channels: int, multiplier: float, divisor: int) -> int:
    """Round to the nearest multiple of `divisor`, but lose no more than a tenth of the channels."""
    scaled = channels * multiplier
    rounded = max(divisor, int(scaled + divisor / 2) // divisor * divisor)
    return rounded if rounded >= 0.9 * scaled else rounded + divisor


def _scaled_depth(layers: int, multiplier: float) -> int:
    # The tolerance keeps 2 * 1.5000000000000002 at 3.
    return math.ceil(layers * multiplier - 1e-9)


def _scaled_kernel(kernel: int, multiplier: float) -> int:
    """Round to the nearest odd length (from an even one, up), at least 3."""
    return max(3, 2 * int(kernel * multiplier / 2) + 1)


def _strided(length: int, stride: int) -> int:
    """Output length under a centred odd kernel padded by half its length."""
    return -(-length // stride)
