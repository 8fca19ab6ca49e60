"""InceptionTime over time, one network of it.

Axes: b batch, c channels, t time.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgmodels.models.baselines.config import InceptionConfig
from ecgmodels.models.baselines.inception_plan import (
    InceptionGroup,
    InceptionModule,
    resolve_inception1d,
)
from ecgmodels.models.baselines.network import BaselineNetwork
from ecgmodels.models.baselines.pooling import maximum_of_3
from ecgmodels.models.layers import ConvNorm, conv
from ecgmodels.models.masking import BatchNorm, SignalMask


class Inception1d(BaselineNetwork):
    """The network that `config` describes; its exact sizes are in `plan`."""

    def __init__(self, config: InceptionConfig) -> None:
        plan = resolve_inception1d(config)
        super().__init__(config, plan.head)
        self.plan = plan
        self.groups = nn.ModuleList(Group(group) for group in plan.groups)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def pool(self, x: Tensor, mask: SignalMask) -> Tensor:
        for group in self.groups:
            x = group(x, mask)
        return torch.cat((mask.maximum(x), mask.mean(x)), dim=1)


class Group(nn.Module):
    """Inception modules, and their input, widened as they do, added."""

    def __init__(self, group: InceptionGroup) -> None:
        super().__init__()
        self.modules_in_turn = nn.ModuleList(Inception(module) for module in group.modules)
        self.shortcut = ConvNorm(group.shortcut.in_channels, group.shortcut.channels)

    def forward(self, x: Tensor, mask: SignalMask) -> Tensor:
        """Return the group's map; `x` must be 0 beyond each recording, as what comes is."""
        added = self.shortcut(x, mask)
        for module in self.modules_in_turn:
            x = module(x, mask)
        return mask.zero((x + added).relu_())


class Inception(nn.Module):
    """Kernels of several lengths behind a bottleneck, and the maximum of 3 samples, side by side.

    The maximum is of the module's input, which in the first module is the signal with its negative
    values.
    """

    def __init__(self, module: InceptionModule) -> None:
        super().__init__()
        self.bottleneck = conv(module.in_channels, module.bottleneck_channels)
        self.convolutions = nn.ModuleList(
            conv(module.bottleneck_channels, module.filters, kernel) for kernel in module.kernels
        )
        self.of_maximum = conv(module.in_channels, module.filters)
        self.norm = BatchNorm(module.channels)

    def forward(self, x: Tensor, mask: SignalMask) -> Tensor:
        """Return the module's map; `x` must be 0 beyond each recording, as what comes is."""
        narrow = self.bottleneck(x)  # without bias: 0 beyond each recording as well
        branches = [convolution(narrow) for convolution in self.convolutions]
        branches.append(self.of_maximum(maximum_of_3(x, mask, stride=1)))
        return mask.zero(self.norm(torch.cat(branches, dim=1), mask).relu_())
