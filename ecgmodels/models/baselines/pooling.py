"""Pooling over a few samples that recordings of unequal length pass unharmed.

As with a strided convolution, a recording of v samples leaves ceil(v / stride), and a window that
reaches beyond its end is one of fewer samples. Axes: b batch, c channels, t time.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ecgmodels.models.masking import SignalMask


def maximum_of_3(x: Tensor, mask: SignalMask, stride: int) -> Tensor:
    """Return the maximum over a sample and its two neighbours, at every `stride`-th sample."""
    pooled = F.max_pool2d(_lowest_beyond(x, mask), (1, 3), (1, stride), (0, 1))
    return mask.strided(stride).zero(pooled)


def maximum_of_2(x: Tensor, mask: SignalMask) -> Tensor:
    """Return the maximum of every two samples; an odd one out is its own."""
    pooled = F.max_pool2d(_lowest_beyond(x, mask), (1, 2), ceil_mode=True)
    return mask.strided(2).zero(pooled)


def mean_of_2(x: Tensor, mask: SignalMask) -> Tensor:
    """Return the mean of every two samples; an odd one out is its own.

    Args:
        x: [b, c, 1, t], 0 beyond each recording.
        mask: which of its positions are the recordings'.
    """
    pooled = F.avg_pool2d(x, (1, 2), ceil_mode=True)
    if mask.valid is None:
        return pooled
    share = F.avg_pool2d(mask.valid[:, None, None].to(x.dtype), (1, 2), ceil_mode=True)
    return pooled / share.clamp(min=0.5)  # half a window is the recording's, or all or none


def _lowest_beyond(x: Tensor, mask: SignalMask) -> Tensor:
    """Return `x` with a value beyond each recording that is nobody's maximum: 0 might be one."""
    if mask.valid is None:
        return x
    return x.masked_fill(~mask.valid[:, None, None], torch.finfo(x.dtype).min)
