"""Convolutions over time, as networks are made of them.

They are two-dimensional over a height of 1 with channels last in memory: twice as fast as Conv1d on
a CPU, and the layout tensor cores want. Axes: b batch, c channels, t time.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgmodels.models.masking import BatchNorm, SignalMask
from ecgmodels.models.native.operations import kernels_serve, norm_activation

_SAFE_CHANNELS = 16


def conv(
    in_channels: int,
    channels: int,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    *,
    bias: bool = False,
) -> nn.Conv2d:
    """Return a convolution of an odd kernel padded by half its length.

    It begins with He's initialisation by the inputs that an output feeds, as EfficientNet's own
    code has it.
    """
    unsafe = kernel == 1 and stride > 1 and in_channels < _SAFE_CHANNELS
    layer = (_EveryNth if unsafe else nn.Conv2d)(
        in_channels,
        channels,
        kernel_size=(1, kernel),
        stride=(1, stride),
        padding=(0, kernel // 2),
        groups=groups,
        bias=bias,
    )
    nn.init.normal_(layer.weight, std=math.sqrt(2 * groups / (kernel * channels)))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def conv_norm(
    in_channels: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Return a convolution without bias and batch norm."""
    return nn.Sequential(conv(in_channels, channels, kernel, stride, groups), BatchNorm(channels))


class _EveryNth(nn.Conv2d):
    """A strided convolution of one tap that leaves positions out before it multiplies.

    The backward pass of oneDNN's own (torch 2.13, channels last, fewer than 16 input channels)
    writes beyond its memory on recordings of some 1,500 positions and more. With more channels its
    own is the faster one.
    """

    def forward(self, x: Tensor) -> Tensor:
        every = x[..., :: self.stride[1]].contiguous(memory_format=torch.channels_last)
        return F.conv2d(every, self.weight, self.bias, groups=self.groups)


class ConvNorm(nn.Module):
    """A convolution without bias, batch norm, and an activation (or none)."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        groups: int = 1,
        *,
        activation: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv = conv(in_channels, channels, kernel, stride, groups)
        self.norm = BatchNorm(channels)
        self.activation = nn.Identity() if activation is None else activation

    def forward(self, x: Tensor, mask: SignalMask) -> Tensor:
        """Return a map of the recordings that `mask` tells; a kernel above 1 wants `x` 0 beyond."""
        y = self.conv(x)
        if kernels_serve(self, y, self.norm, self.activation):
            return norm_activation(self.norm, self.activation, y, mask)
        return self.activation(self.norm(y, mask))


def channels_last(signal: Tensor) -> Tensor:
    """[b, c, t] -> [b, c, 1, t] with channels innermost in memory."""
    return signal.transpose(1, 2).contiguous().unsqueeze(1).permute(0, 3, 1, 2)
