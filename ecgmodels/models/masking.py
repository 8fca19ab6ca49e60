"""Keeping padding out of a network: recordings of unequal length in one batch.

A position beyond a recording's end is 0 wherever a convolution could carry it inwards, and counts
in no mean, maximum or attention. So a padded recording gives, in evaluation mode, what it gives
alone. Axes: b batch, c channels, t time.
"""

from __future__ import annotations

import torch
from torch import Tensor


class SignalMask:
    """Which positions of a map [b, c, 1, t] are the recording's; without a mask, all are."""

    def __init__(self, valid: Tensor | None) -> None:
        """Take `valid: bool [b, t]`, a stretch from the beginning of each row, or None for all."""
        self.valid = valid

    def zero(self, x: Tensor) -> Tensor:
        """Return `x` with 0 beyond each recording, whatever stands there (NaN too)."""
        return x if self.valid is None else x.masked_fill(~self.valid[:, None, None], 0)

    def strided(self, stride: int) -> SignalMask:
        """Return the mask of what a strided convolution gives.

        Output j of an odd kernel padded by half its length is centred on input j * stride, so a
        recording of v samples leaves ceil(v / stride), as it does alone.
        """
        if self.valid is None or stride == 1:
            return self
        return SignalMask(self.valid[:, ::stride])

    def mean(self, x: Tensor) -> Tensor:
        """Return each channel's mean over time, [b, c]; `x` must be 0 beyond each recording.

        Unlike `Tensor.mean`, its gradient never divides a whole map.
        """
        total = x.sum(dim=(2, 3))
        if self.valid is None:
            return total / x.shape[3]
        return total / self.valid.sum(dim=1, keepdim=True)

    def maximum(self, x: Tensor) -> Tensor:
        """Return each channel's maximum over time, [b, c]."""
        if self.valid is not None:
            lowest = torch.finfo(x.dtype).min
            x = x.masked_fill(~self.valid[:, None, None], lowest)
        return x.amax(dim=(2, 3))
