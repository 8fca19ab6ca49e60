"""Keeping padding out of a network: recordings of unequal length in one batch.

A position beyond a recording's end is 0 wherever a convolution could carry it inwards, and counts
in no mean, maximum, attention or batch statistic. So a padded recording gives, in evaluation mode,
what it gives alone. Axes: b batch, c channels, t time.
"""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor, nn


class SignalMask:
    """Which positions of a map [b, c, 1, t] are the recording's; without a mask, all are."""

    def __init__(self, valid: Tensor | None) -> None:
        """Take `valid: bool [b, t]`, a stretch from the beginning of each row, or None for all."""
        self.valid = valid

    def zero(self, x: Tensor) -> Tensor:
        """Return `x` with 0 beyond each recording, whatever stands there (NaN too)."""
        return x if self.valid is None else x.masked_fill(self._beyond, 0)

    def strided(self, stride: int) -> SignalMask:
        """Return the mask of what a strided convolution gives.

        Output j of an odd kernel padded by half its length is centred on input j * stride, so a
        recording of v samples leaves ceil(v / stride), as it does alone.
        """
        if self.valid is None or stride == 1:
            return self
        return SignalMask(self.valid[:, ::stride])

    def for_each(self, leads: int) -> SignalMask:
        """Return the mask of maps [b * leads, c, 1, t], those of one segment side by side."""
        if self.valid is None:
            return self
        return SignalMask(self.valid.repeat_interleave(leads, dim=0))

    def for_all(self, leads: int) -> SignalMask:
        """Undo `for_each`."""
        return self if self.valid is None else SignalMask(self.valid[::leads])

    def mean(self, x: Tensor) -> Tensor:
        """Return each channel's mean over time, [b, c]; `x` must be 0 beyond each recording.

        Unlike `Tensor.mean`, its gradient never divides a whole map.
        """
        total = x.sum(dim=(2, 3))
        return total / (x.shape[3] if self.valid is None else self.positions)

    def maximum(self, x: Tensor) -> Tensor:
        """Return each channel's maximum over time, [b, c]."""
        if self.valid is not None:
            x = x.masked_fill(self._beyond, torch.finfo(x.dtype).min)
        return x.amax(dim=(2, 3))

    @cached_property
    def positions(self) -> Tensor:
        """int64 [b, 1]: how many positions are each recording's; only with a mask."""
        assert self.valid is not None
        return self.valid.sum(dim=1, keepdim=True)

    @cached_property
    def _beyond(self) -> Tensor:
        assert self.valid is not None
        return ~self.valid[:, None, None]


class BatchNorm(nn.BatchNorm2d):
    """Batch norm whose statistics, given a mask, are of the recordings alone.

    Else a network would learn statistics that say how far its batches were padded.
    """

    def forward(self, x: Tensor, mask: SignalMask | None = None) -> Tensor:
        """Normalise a map [b, c, 1, t]; without `mask`, as `nn.BatchNorm2d` does."""
        if mask is None or mask.valid is None or not self.training:
            return super().forward(x)
        positions = mask.positions.sum()
        mean_c = mask.zero(x).sum(dim=(0, 2, 3), dtype=torch.float32) / positions
        deviation = mask.zero(x - mean_c[:, None, None])
        variance_c = deviation.square().sum(dim=(0, 2, 3)) / positions
        self._remember(mean_c.detach(), variance_c.detach(), positions)
        scale_c = self.weight * torch.rsqrt(variance_c + self.eps)
        normal = torch.addcmul(self.bias[:, None, None], deviation, scale_c[:, None, None])
        return normal.to(x.dtype)

    def _remember(self, mean_c: Tensor, variance_c: Tensor, positions: Tensor) -> None:
        """Move the running statistics, as `nn.BatchNorm2d` does, towards unbiased ones."""
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        unbiased_c = variance_c * (positions / (positions - 1).clamp(min=1))
        self.running_mean.lerp_(mean_c, self.momentum)
        self.running_var.lerp_(unbiased_c, self.momentum)
        self.num_batches_tracked += 1
