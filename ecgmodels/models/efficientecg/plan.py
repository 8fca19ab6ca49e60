"""Exact sizes of a network: what `resolve` makes of an `EfficientECGConfig`.

The model is built from its plan alone, and costs are arithmetic over it, so two configurations with
equal plans are one network.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ecgmodels.configs import Config
from ecgmodels.models.efficientecg.bases import BASES, Base, placement_names
from ecgmodels.models.efficientecg.config import (
    Activation,
    Direction,
    EfficientECGConfig,
    Fusion,
)


@dataclass(frozen=True, kw_only=True)
class Convolution(Config):
    """A convolution with batch norm and activation outside the blocks: the stem or the head."""

    in_channels: int
    channels: int
    kernel: int
    stride: int
    length: int
    """Output samples."""
    runs: int
    """Times it runs for a segment: once, or once for each lead with the same weights."""


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
    """Squeeze-and-excitation's waist."""
    in_length: int
    length: int
    residual: bool
    """Whether the block adds its input to its output."""
    drop_path: float
    """Probability of skipping the residual branch."""
    runs: int
    """As a convolution's."""


@dataclass(frozen=True, kw_only=True)
class Placement(Config):
    """Where cross-attention meets the signal's map: with features, or of leads."""

    after: str
    channels: int
    length: int


@dataclass(frozen=True, kw_only=True)
class Plan(Config):
    """A whole network; equal plans are equal networks (`to_dict` is what identity hashes)."""

    leads: int
    template: bool
    samples: int
    resampled: int
    """Samples the stem sees."""
    activation: Activation
    stem: Convolution
    blocks: tuple[Block, ...]
    head: Convolution
    leads_fused: Placement | None
    """Where each lead's own map meets the others'; None: leads are the stem's channels."""
    classes: int
    features: tuple[str, ...]
    fusion: Fusion
    placements: tuple[Placement, ...]
    """In the order the signal meets them."""
    direction: Direction
    heads: int
    head_width: int
    token_width: int
    """Width of a feature's token and of attention: heads times head_width."""
    dropout: float

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
    runs = _runs(config)
    resampled = round(config.samples * config.resolution)
    kernel = _scaled_kernel(base.stem_kernel, config.kernel_scale)
    stem = Convolution(
        in_channels=config.in_channels // runs["stem"],
        channels=_scaled_width(base.stem_channels, config.width, base.divisor),
        kernel=max(kernel, config.stem_stride // 2 * 2 + 1),  # no sample goes unseen
        stride=config.stem_stride,
        length=_strided(resampled, config.stem_stride),
        runs=runs["stem"],
    )
    blocks = _blocks(config, base, stem, runs)
    head = Convolution(
        in_channels=blocks[-1].channels,
        channels=_scaled_width(base.head_channels, config.width, base.divisor),
        kernel=1,
        stride=1,
        length=blocks[-1].length,
        runs=runs["head"],
    )
    places = _places(stem, blocks, head)
    return Plan(
        leads=config.leads,
        template=config.template,
        samples=config.samples,
        resampled=resampled,
        activation=config.activation,
        stem=stem,
        blocks=blocks,
        head=head,
        leads_fused=places.get(config.leads_fused),
        classes=config.classes,
        features=config.features,
        fusion=config.fusion,
        placements=tuple(place for name, place in places.items() if name in config.placements),
        direction=config.direction,
        heads=config.heads,
        head_width=config.head_width,
        token_width=config.token_width,
        dropout=config.dropout,
    )


def _runs(config: EfficientECGConfig) -> dict[str, int]:
    """Return, for the part of the network that ends at each place, how often it runs."""
    names = placement_names(config.base, config.stages)
    apart = names.index(config.leads_fused) + 1 if config.leads_fused in names else 0
    return {name: config.leads if i < apart else 1 for i, name in enumerate(names)}


def _blocks(
    config: EfficientECGConfig, base: Base, stem: Convolution, runs: dict[str, int]
) -> tuple[Block, ...]:
    stages = base.stages[: config.stages]
    depths = [_scaled_depth(stage.layers, config.depth) for stage in stages]
    blocks: list[Block] = []
    in_channels, length = stem.channels, stem.length
    for number, (stage, depth) in enumerate(zip(stages, depths, strict=True), start=1):
        expansion = (config.expansion or stage.expansion) if stage.expansion > 1 else 1
        channels = _scaled_width(stage.channels, config.width, base.divisor)
        for layer in range(depth):
            stride = stage.stride if layer == 0 else 1
            residual = stride == 1 and in_channels == channels
            share = (len(blocks) + 1) / sum(depths)
            block = Block(
                stage=number,
                in_channels=in_channels,
                hidden_channels=expansion * in_channels,
                channels=channels,
                kernel=_scaled_kernel(stage.kernel, config.kernel_scale),
                stride=stride,
                squeeze_channels=_squeezed(in_channels, config.squeeze_ratio),
                in_length=length,
                length=_strided(length, stride),
                residual=residual,
                drop_path=config.drop_path * share if residual else 0.0,
                runs=runs[f"stage{number}"],
            )
            blocks.append(block)
            in_channels, length = block.channels, block.length
    return tuple(blocks)


def _places(
    stem: Convolution, blocks: tuple[Block, ...], head: Convolution
) -> dict[str, Placement]:
    """Return what stands at every place, in the order the signal meets them."""
    ends: dict[str, Convolution | Block] = {"stem": stem}
    for block in blocks:
        ends[f"stage{block.stage}"] = block  # a stage's last block stays
    ends["head"] = head
    return {
        name: Placement(after=name, channels=end.channels, length=end.length)
        for name, end in ends.items()
    }


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


def _squeezed(channels: int, ratio: float) -> int:
    # The tolerance keeps 100 * 0.29 at 29.
    return max(1, int(channels * ratio + 1e-9))


def _strided(length: int, stride: int) -> int:
    """Output length under a centred odd kernel padded by half its length."""
    return -(-length // stride)
