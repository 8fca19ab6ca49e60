"""Residual networks over time: resnet1d_wang, resnet1d18 and xresnet1d101, each from its plan.

Axes: b batch, c channels, t time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgmodels.models.baselines.config import ResNet18Config, ResNetWangConfig, XResNet101Config
from ecgmodels.models.baselines.network import BaselineNetwork
from ecgmodels.models.baselines.plan import Convolution
from ecgmodels.models.baselines.pooling import maximum_of_3, mean_of_2
from ecgmodels.models.baselines.residual_plan import (
    ResidualBlock,
    ResidualPlan,
    resolve_resnet1d18,
    resolve_resnet1d_wang,
    resolve_xresnet1d101,
)
from ecgmodels.models.layers import ConvNorm
from ecgmodels.models.masking import SignalMask


class ResidualNetwork(BaselineNetwork):
    """Stem, residual blocks, pooling over time, head."""

    def __init__(
        self, config: ResNetWangConfig | ResNet18Config | XResNet101Config, plan: ResidualPlan
    ) -> None:
        super().__init__(config, plan.head)
        self.plan = plan
        self.stem = nn.ModuleList(_conv_norm(layer, nn.ReLU(inplace=True)) for layer in plan.stem)
        self.blocks = nn.ModuleList(
            Residual(block, zero_last_norm=plan.zero_last_norm) for block in plan.blocks
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def pool(self, x: Tensor, mask: SignalMask) -> Tensor:
        for layer, convolution in zip(self.plan.stem, self.stem, strict=True):
            mask = mask.strided(layer.stride)
            x = mask.zero(convolution(x, mask))
        if self.plan.stem_maximum:
            x, mask = maximum_of_3(x, mask, stride=2), mask.strided(2)
        for block in self.blocks:
            x, mask = block(x, mask)
        x = mask.zero(x)
        if self.plan.pooling == "mean":
            return mask.mean(x)
        return torch.cat((mask.maximum(x), mask.mean(x)), dim=1)


class ResNet1dWang(ResidualNetwork):
    """The network that `config` describes; its exact sizes are in `plan`."""

    def __init__(self, config: ResNetWangConfig) -> None:
        super().__init__(config, resolve_resnet1d_wang(config))


class ResNet1d18(ResidualNetwork):
    """The network that `config` describes; its exact sizes are in `plan`."""

    def __init__(self, config: ResNet18Config) -> None:
        super().__init__(config, resolve_resnet1d18(config))


class XResNet1d101(ResidualNetwork):
    """The network that `config` describes; its exact sizes are in `plan`."""

    def __init__(self, config: XResNet101Config) -> None:
        super().__init__(config, resolve_xresnet1d101(config))


class Residual(nn.Module):
    """Convolutions, and their input, shortened and widened as they do, added."""

    def __init__(self, block: ResidualBlock, *, zero_last_norm: bool) -> None:
        super().__init__()
        self.block = block
        *inner, outer = block.convolutions
        last = _conv_norm(outer, None)
        if zero_last_norm:
            nn.init.zeros_(last.norm.weight)
        self.convolutions = nn.ModuleList(
            (*(_conv_norm(layer, nn.ReLU(inplace=True)) for layer in inner), last)
        )
        self.shortcut = None if block.shortcut is None else _conv_norm(block.shortcut, None)

    def forward(self, x: Tensor, mask: SignalMask) -> tuple[Tensor, SignalMask]:
        """Return the block's map and its mask; beyond each recording there may be any number."""
        added = mean_of_2(mask.zero(x), mask) if self.block.shortcut_mean else x
        for layer, convolution in zip(self.block.convolutions, self.convolutions, strict=True):
            if layer.kernel > 1:
                x = mask.zero(x)
            mask = mask.strided(layer.stride)
            x = convolution(x, mask)
        if self.shortcut is not None:
            added = self.shortcut(added, mask)
        return (x + added).relu_(), mask


def _conv_norm(layer: Convolution, activation: nn.Module | None) -> ConvNorm:
    return ConvNorm(
        layer.in_channels, layer.channels, layer.kernel, layer.stride, activation=activation
    )
