"""Residual networks as data: resnet1d_wang, resnet1d18 and xresnet1d101 are three tables.

Channels, kernels and strides of resnet1d_wang and xresnet1d101 are those of the PTB-XL benchmark
(Strodthoff et al. 2021), as its published configurations have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ecgmodels.configs import Config
from ecgmodels.models.baselines.config import (
    DeepBaselineConfig,
    ResNet18Config,
    ResNetWangConfig,
    XResNet101Config,
)
from ecgmodels.models.baselines.plan import (
    Convolution,
    Head,
    benchmark_head,
    scaled_blocks,
    scaled_channels,
    scaled_kernel,
    strided,
)

Pooling = Literal["mean", "maximum_and_mean"]


@dataclass(frozen=True, kw_only=True)
class ResidualBlock(Config):
    """Convolutions with batch norm, ReLU between them and after the sum with the shortcut."""

    convolutions: tuple[Convolution, ...]
    shortcut_mean: bool
    """Whether the shortcut takes the mean of every two samples first."""
    shortcut: Convolution | None
    """With batch norm; None where the input itself is added."""


@dataclass(frozen=True, kw_only=True)
class ResidualPlan(Config):
    """A whole network; equal plans are equal networks (`to_dict` is what identity hashes)."""

    in_channels: int
    samples: int
    stem: tuple[Convolution, ...]
    """Each with batch norm and ReLU."""
    stem_maximum: bool
    """Whether the stem ends with the maximum over 3 samples at every second one."""
    blocks: tuple[ResidualBlock, ...]
    zero_last_norm: bool
    """Whether a block begins as its shortcut: its last batch norm's scale is 0 at first."""
    pooling: Pooling
    head: Head


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of a stage table: `blocks` residual blocks, the first one strided."""

    channels: int
    blocks: int
    stride: int


@dataclass(frozen=True, kw_only=True)
class Table:
    """A residual network at multipliers of 1, but for its head."""

    stem_channels: tuple[int, ...]
    """The first of the stem's convolutions is strided."""
    stem_kernel: int
    stem_stride: int
    stem_maximum: bool
    stages: tuple[Stage, ...]
    kernels: tuple[int, ...]
    """Of a block's convolutions."""
    expansion: int = 1
    """How many times wider a block's output is than its inner convolutions (bottleneck blocks)."""
    strided_at: int = 0
    """Which of a block's convolutions is strided."""
    shortcut_mean: bool = False
    """Whether a strided shortcut takes the mean of two samples, rather than every second one."""


# Wang, Yan & Oates have three convolutions a block and 64, 128, 128 channels; the benchmark has
# two of 5 and 3 taps, 128 channels throughout, and halves the length twice.
RESNET1D_WANG = Table(
    stem_channels=(128,),
    stem_kernel=7,
    stem_stride=1,
    stem_maximum=False,
    stages=(
        Stage(channels=128, blocks=1, stride=1),
        Stage(channels=128, blocks=1, stride=2),
        Stage(channels=128, blocks=1, stride=2),
    ),
    kernels=(5, 3),
)

# Table 1 of He et al. 2016.
RESNET1D18 = Table(
    stem_channels=(64,),
    stem_kernel=7,
    stem_stride=2,
    stem_maximum=True,
    stages=(
        Stage(channels=64, blocks=2, stride=1),
        Stage(channels=128, blocks=2, stride=2),
        Stage(channels=256, blocks=2, stride=2),
        Stage(channels=512, blocks=2, stride=2),
    ),
    kernels=(3, 3),
)

# ResNet-D of He et al. 2019: three short convolutions in the stem, the block's stride at its middle
# convolution, shortcuts that take means. The benchmark keeps every stage at 4 * 64 channels.
XRESNET1D101 = Table(
    stem_channels=(32, 32, 64),
    stem_kernel=5,
    stem_stride=2,
    stem_maximum=True,
    stages=(
        Stage(channels=64, blocks=3, stride=1),
        Stage(channels=64, blocks=4, stride=2),
        Stage(channels=64, blocks=23, stride=2),
        Stage(channels=64, blocks=3, stride=2),
    ),
    kernels=(1, 5, 1),
    expansion=4,
    strided_at=1,
    shortcut_mean=True,
)


def resolve_resnet1d_wang(config: ResNetWangConfig) -> ResidualPlan:
    """Return the exact sizes of the network that `config` describes."""
    return _benchmark_plan(config, RESNET1D_WANG, zero_last_norm=False)


def resolve_xresnet1d101(config: XResNet101Config) -> ResidualPlan:
    """Return the exact sizes of the network that `config` describes."""
    return _benchmark_plan(config, XRESNET1D101, zero_last_norm=True)


def resolve_resnet1d18(config: ResNet18Config) -> ResidualPlan:
    """Return the exact sizes of the network that `config` describes."""
    stem, blocks = _map(config, RESNET1D18)
    return ResidualPlan(
        in_channels=config.in_channels,
        samples=config.samples,
        stem=stem,
        stem_maximum=RESNET1D18.stem_maximum,
        blocks=blocks,
        zero_last_norm=False,
        pooling="mean",
        head=Head(
            pooled=blocks[-1].convolutions[-1].channels,
            features=config.features,
            hidden=(),
            norm=False,
            dropouts=(config.dropout,),
            classes=config.classes,
        ),
    )


def _benchmark_plan(
    config: DeepBaselineConfig, table: Table, *, zero_last_norm: bool
) -> ResidualPlan:
    stem, blocks = _map(config, table)
    return ResidualPlan(
        in_channels=config.in_channels,
        samples=config.samples,
        stem=stem,
        stem_maximum=table.stem_maximum,
        blocks=blocks,
        zero_last_norm=zero_last_norm,
        pooling="maximum_and_mean",
        head=benchmark_head(config, blocks[-1].convolutions[-1].channels),
    )


def _map(
    config: DeepBaselineConfig, table: Table
) -> tuple[tuple[Convolution, ...], tuple[ResidualBlock, ...]]:
    stem: list[Convolution] = []
    in_channels, length = config.in_channels, config.samples
    for number, unscaled in enumerate(table.stem_channels):
        stride = table.stem_stride if number == 0 else 1
        length = strided(length, stride)
        channels = scaled_channels(unscaled, config.width)
        kernel = scaled_kernel(table.stem_kernel, config.kernel_scale)
        stem.append(_convolution(in_channels, channels, kernel, stride, length))
        in_channels = channels
    if table.stem_maximum:
        length = strided(length, 2)
    blocks: list[ResidualBlock] = []
    for stage in table.stages:
        channels = scaled_channels(stage.channels, config.width)
        for number in range(scaled_blocks(stage.blocks, config.depth)):
            stride = stage.stride if number == 0 else 1
            block = _block(config, table, in_channels, channels, length, stride)
            blocks.append(block)
            in_channels, length = channels * table.expansion, strided(length, stride)
    return tuple(stem), tuple(blocks)


def _block(
    config: DeepBaselineConfig,
    table: Table,
    in_channels: int,
    channels: int,
    in_length: int,
    stride: int,
) -> ResidualBlock:
    out_channels, out_length = channels * table.expansion, strided(in_length, stride)
    widths = [in_channels, *[channels] * (len(table.kernels) - 1), out_channels]
    convolutions = tuple(
        _convolution(
            widths[place],
            widths[place + 1],
            1 if kernel == 1 else scaled_kernel(kernel, config.kernel_scale),
            stride if place == table.strided_at else 1,
            in_length if place < table.strided_at else out_length,
        )
        for place, kernel in enumerate(table.kernels)
    )
    takes_mean = table.shortcut_mean and stride > 1
    shortcut_stride = 1 if takes_mean else stride
    changes = in_channels != out_channels or shortcut_stride > 1
    return ResidualBlock(
        convolutions=convolutions,
        shortcut_mean=takes_mean,
        shortcut=_convolution(in_channels, out_channels, 1, shortcut_stride, out_length)
        if changes
        else None,
    )


def _convolution(
    in_channels: int, channels: int, kernel: int, stride: int, length: int
) -> Convolution:
    return Convolution(
        in_channels=in_channels, channels=channels, kernel=kernel, stride=stride, length=length
    )
