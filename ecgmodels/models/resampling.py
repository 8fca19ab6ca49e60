"""Anti-aliased resampling of a fixed window, as a fixed linear map.

Each output sample is a windowed-sinc average of the input around its place (Smith, "Digital Audio
Resampling"); the weights are kept in bands, one small matrix for every 64 output samples, so that
ten seconds at 500 Hz need neither a 5000 x 5000 matrix nor its multiplications.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

_BLOCK = 64
_LOBES = 8
_ROLL_OFF = 0.95  # the cut-off stands below the lower Nyquist rate by the width of the transition


def resampling_bands(
    samples: int, resampled: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the map from `samples` to `resampled` over the same window.

    Returns:
        position: int64 [block, tap], the input samples that a block of outputs looks at.
        weight: float32 [block, tap, output in block]; each output's weights sum to 1. The last
            block's surplus outputs repeat the last sample.
    """
    step = samples / resampled
    cutoff = _ROLL_OFF * min(1.0, 1 / step)  # in units of the input's Nyquist rate
    half_width = _LOBES / cutoff
    blocks = -(-resampled // _BLOCK)
    output = np.minimum(np.arange(blocks * _BLOCK), resampled - 1).reshape(blocks, 1, _BLOCK)
    centre = (output + 0.5) * step - 0.5
    taps = min(samples, int(np.ceil((_BLOCK - 1) * step + 2 * half_width)) + 1)
    first = np.ceil(centre[:, 0, 0] - half_width).astype(np.int64).clip(0, samples - taps)
    position = first[:, None] + np.arange(taps)
    offset = position[:, :, None] - centre
    taper = np.cos(np.pi * np.clip(offset / (2 * half_width), -0.5, 0.5)) ** 2  # Hann
    weight = np.sinc(cutoff * offset) * taper
    weight /= weight.sum(axis=1, keepdims=True)
    return position, weight.astype(np.float32)


class Resample(nn.Module):
    """Resample `signal: float32 [batch, lead, samples]` to `[batch, lead, resampled]`.

    The weights are neither learned nor stored with the model.
    """

    position: Tensor
    weight: Tensor

    def __init__(self, samples: int, resampled: int) -> None:
        super().__init__()
        position, weight = resampling_bands(samples, resampled)
        self.resampled = resampled
        self.register_buffer("position", torch.from_numpy(position), persistent=False)
        self.register_buffer("weight", torch.from_numpy(weight), persistent=False)

    def forward(self, signal: Tensor) -> Tensor:
        bands = signal[..., self.position]  # [batch, lead, block, tap]
        blocks = torch.einsum("bcnt,nto->bcno", bands, self.weight)
        return blocks.flatten(2)[..., : self.resampled]
