"""Anti-aliased resampling at a fixed ratio, as a fixed linear map.

Each output sample is a windowed-sinc average of the input around its place (Smith, "Digital Audio
Resampling"); the weights are kept in bands, one small matrix for every 64 output samples, so that
ten seconds at 500 Hz need neither a 5000 x 5000 matrix nor its multiplications.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from ecgmodels.models.masking import SignalMask

_BLOCK = 64
_LOBES = 8
_ROLL_OFF = 0.95  # the cut-off stands below the lower Nyquist rate by the width of the transition


def resampled_length(length: int, samples: int, resampled: int) -> int:
    """Return how many outputs `length` inputs have, where `samples` have `resampled`.

    As many as have their centre within the recording, and at least one: an output beyond it would
    be extrapolated.
    """
    return max(1, -((samples - 2 * length * resampled) // (2 * samples)))


def resampling_bands(
    samples: int, resampled: int, length: int | None = None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the map of a window at the ratio that makes `resampled` of `samples`.

    Args:
        samples, resampled: the ratio.
        length: the window's inputs; None: `samples`.

    Returns:
        position: int64 [block, tap], the input samples that a block of outputs looks at.
        weight: float32 [block, tap, output in block]; each output's weights sum to 1. The last
            block's surplus outputs repeat the last sample.
    """
    length = samples if length is None else length
    outputs = resampled_length(length, samples, resampled)
    step = samples / resampled
    cutoff = _ROLL_OFF * min(1.0, 1 / step)  # in units of the input's Nyquist rate
    half_width = _LOBES / cutoff
    blocks = -(-outputs // _BLOCK)
    output = np.minimum(np.arange(blocks * _BLOCK), outputs - 1).reshape(blocks, 1, _BLOCK)
    centre = (output + 0.5) * step - 0.5
    taps = min(length, int(np.ceil((_BLOCK - 1) * step + 2 * half_width)) + 1)
    first = np.ceil(centre[:, 0, 0] - half_width).astype(np.int64).clip(0, length - taps)
    position = first[:, None] + np.arange(taps)
    offset = position[:, :, None] - centre
    taper = np.cos(np.pi * np.clip(offset / (2 * half_width), -0.5, 0.5)) ** 2  # Hann
    weight = np.sinc(cutoff * offset) * taper
    weight /= weight.sum(axis=1, keepdims=True)
    return position, weight.astype(np.float32)


class Resample(nn.Module):
    """Resample signals at the ratio that makes `resampled` of `samples`.

    The weights are neither learned nor stored with the model.
    """

    position: Tensor
    weight: Tensor

    def __init__(self, samples: int, resampled: int) -> None:
        super().__init__()
        position, weight = resampling_bands(samples, resampled)
        self.samples = samples
        self.resampled = resampled
        self.register_buffer("position", torch.from_numpy(position), persistent=False)
        self.register_buffer("weight", torch.from_numpy(weight), persistent=False)

    def forward(self, signal: Tensor, mask: SignalMask) -> tuple[Tensor, SignalMask]:
        """Return `signal: float32 [batch, channel, time]`, resampled, and its mask.

        What stands beyond a recording does not matter; what comes out there is finite.
        """
        if mask.valid is None:
            return self._averages(signal), mask
        known = mask.valid[:, None]
        # As a recording alone would have it, an average is over the samples that there are.
        averages = self._averages(signal.masked_fill(~known, 0))
        share = self._averages(known.to(signal))
        outputs = -((self.samples - 2 * mask.positions * self.resampled) // (2 * self.samples))
        time = torch.arange(averages.shape[2], device=signal.device)
        valid = time < outputs.clamp(min=1)
        return averages / share.masked_fill(~valid[:, None], 1), SignalMask(valid)

    def _averages(self, signal: Tensor) -> Tensor:
        length = signal.shape[2]
        position, weight = self.position, self.weight
        if length != self.samples:
            # What an exporter traces is not a tensor to keep.
            bands = _bands_on_device if torch.compiler.is_compiling() else _kept_bands
            position, weight = bands(self.samples, self.resampled, length, signal.device)
        within = signal[..., position]  # [batch, channel, block, tap]
        blocks = torch.einsum("bcnt,nto->bcno", within, weight)
        outputs = resampled_length(length, self.samples, self.resampled)
        return blocks.flatten(2)[..., :outputs]


def _bands_on_device(
    samples: int, resampled: int, length: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    position, weight = resampling_bands(samples, resampled, length)
    with torch.inference_mode(False):  # what prediction makes, training can use
        return torch.from_numpy(position).to(device), torch.from_numpy(weight).to(device)


_kept_bands = lru_cache(maxsize=32)(_bands_on_device)  # batches come in a few lengths, a MB each
