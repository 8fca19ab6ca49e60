"""The CNN-LSTM of Oh et al. 2018 as data.

Three convolutions of 3, 6 and 6 channels without bias, so that 0 beyond a short beat stays 0, each
with ReLU and the maximum of every two samples; an LSTM of 20 units over what is left; linear layers
of 20 and 10 units and the classes on its last state. (Sizes also in TSFEDL, Aguilera-Martos et al.
2022, a library of published networks for time series.)

What differs here: the kernels of 20 and 10 taps are 21 and 11, to be centred; a convolution keeps
the length, where theirs lets it grow by the kernel; and dropout of 0.2 is on the last state alone,
since no fused LSTM has it inside the recurrence.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecgmodels.configs import Config
from ecgmodels.models.baselines.config import CNNLSTMConfig
from ecgmodels.models.baselines.plan import (
    Convolution,
    Head,
    scaled_channels,
    scaled_kernel,
    strided,
)

CHANNELS = (3, 6, 6)
KERNELS = (20, 10, 5)
UNITS = 20
HIDDEN = (20, 10)


@dataclass(frozen=True, kw_only=True)
class CNNLSTMPlan(Config):
    """A whole network; equal plans are equal networks (`to_dict` is what identity hashes)."""

    in_channels: int
    samples: int
    convolutions: tuple[Convolution, ...]
    """Each with ReLU and followed by the maximum of every two samples."""
    steps: int
    """Positions that the LSTM reads."""
    units: int
    head: Head


def resolve_cnn_lstm(config: CNNLSTMConfig) -> CNNLSTMPlan:
    """Return the exact sizes of the network that `config` describes."""
    convolutions: list[Convolution] = []
    in_channels, length = config.in_channels, config.samples
    for channels, kernel in zip(CHANNELS, KERNELS, strict=True):
        convolution = Convolution(
            in_channels=in_channels,
            channels=_scaled(channels, config),
            kernel=scaled_kernel(kernel, config.kernel_scale),
            stride=1,
            length=length,
        )
        convolutions.append(convolution)
        in_channels, length = convolution.channels, strided(length, 2)
    return CNNLSTMPlan(
        in_channels=config.in_channels,
        samples=config.samples,
        convolutions=tuple(convolutions),
        steps=length,
        units=_scaled(UNITS, config),
        head=Head(
            pooled=_scaled(UNITS, config),
            features=config.features,
            hidden=tuple(_scaled(units, config) for units in HIDDEN),
            norm=False,
            dropouts=(config.dropout, *(0.0 for _ in HIDDEN)),
            classes=config.classes,
        ),
    )


def _scaled(channels: int, config: CNNLSTMConfig) -> int:
    # The network is too small for channels in multiples of 4.
    return scaled_channels(channels, config.width, divisor=1)
