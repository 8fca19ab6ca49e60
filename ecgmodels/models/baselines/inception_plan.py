"""InceptionTime as data: groups of three inception modules, each group bridged by a shortcut."""

from __future__ import annotations

from dataclasses import dataclass

from ecgmodels.configs import Config
from ecgmodels.models.baselines.config import InceptionConfig
from ecgmodels.models.baselines.plan import (
    Convolution,
    Head,
    benchmark_head,
    scaled_blocks,
    scaled_channels,
    scaled_kernel,
)

# The paper's defaults. Its kernels are of 40, 20 and 10 taps, which the benchmark makes odd.
FILTERS = 32
BOTTLENECK_CHANNELS = 32
KERNELS = (39, 19, 9)
GROUPS = 2
MODULES_PER_GROUP = 3


@dataclass(frozen=True, kw_only=True)
class InceptionModule(Config):
    """Kernels of several lengths side by side behind a bottleneck, and a maximum of 3 samples."""

    in_channels: int
    bottleneck_channels: int
    kernels: tuple[int, ...]
    filters: int
    """Output channels of each kernel and of the maximum's convolution."""

    @property
    def channels(self) -> int:
        """Output channels of the module."""
        return self.filters * (len(self.kernels) + 1)


@dataclass(frozen=True, kw_only=True)
class InceptionGroup(Config):
    """Modules one after another, with a shortcut from the first one's input to the last one's
    output."""

    modules: tuple[InceptionModule, ...]
    shortcut: Convolution
    """With batch norm."""


@dataclass(frozen=True, kw_only=True)
class InceptionPlan(Config):
    """A whole network; equal plans are equal networks (`to_dict` is what identity hashes)."""

    in_channels: int
    samples: int
    """Length of the signal and of every map."""
    groups: tuple[InceptionGroup, ...]
    head: Head


def resolve_inception1d(config: InceptionConfig) -> InceptionPlan:
    """Return the exact sizes of the network that `config` describes."""
    groups: list[InceptionGroup] = []
    in_channels = config.in_channels
    for _ in range(scaled_blocks(GROUPS, config.depth)):
        group = _group(config, in_channels)
        groups.append(group)
        in_channels = group.shortcut.channels
    return InceptionPlan(
        in_channels=config.in_channels,
        samples=config.samples,
        groups=tuple(groups),
        head=benchmark_head(config, in_channels),
    )


def _group(config: InceptionConfig, in_channels: int) -> InceptionGroup:
    modules: list[InceptionModule] = []
    for _ in range(MODULES_PER_GROUP):
        module = InceptionModule(
            in_channels=modules[-1].channels if modules else in_channels,
            bottleneck_channels=scaled_channels(BOTTLENECK_CHANNELS, config.width),
            kernels=tuple(scaled_kernel(kernel, config.kernel_scale) for kernel in KERNELS),
            filters=scaled_channels(FILTERS, config.width),
        )
        modules.append(module)
    shortcut = Convolution(
        in_channels=in_channels,
        channels=modules[-1].channels,
        kernel=1,
        stride=1,
        length=config.samples,
    )
    return InceptionGroup(modules=tuple(modules), shortcut=shortcut)
