"""Batch norm folded into the convolutions before it, for inference.

In evaluation mode batch norm is a scale and a shift of each channel, which the convolution's
weights and bias can do on the way: a map is read and written once less for each convolution.
"""

from __future__ import annotations

import copy
from itertools import pairwise

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ecgmodels.models.layers import ConvNorm
from ecgmodels.models.network import ECGNetwork

_IN_TURN = (nn.Sequential, ConvNorm)
"""Modules whose children are applied one after the other, each to what the last one gave."""
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_ACTIVATIONS = (nn.SiLU, nn.ReLU, nn.Hardswish)
"""Those that can work in place."""


def folded(model: ECGNetwork) -> ECGNetwork:
    """Return a copy for inference with the same outputs, up to rounding, in less time.

    Folded is every batch norm that directly follows a convolution in a `Sequential` or a
    `ConvNorm`, and the activation after it works in place; a norm over the maps of several
    convolutions stays. The copy cannot be trained, and `save_model` is for the original.
    """
    network = copy.deepcopy(model).eval().requires_grad_(False)
    for module in list(network.modules()):
        if isinstance(module, _IN_TURN):
            _fold(module)
    return network


def _fold(module: nn.Module) -> None:
    names = [name for name, _ in module.named_children()]
    for index, (convolution, norm) in enumerate(pairwise(names)):
        first, second = getattr(module, convolution), getattr(module, norm)
        if not (isinstance(first, _CONVOLUTIONS) and isinstance(second, _NORMS)):
            continue
        if second.running_mean is None:  # it takes each batch's own statistics
            continue
        setattr(module, convolution, fuse_conv_bn_eval(first, second))
        setattr(module, norm, _Folded())
        # Nobody else sees the convolution's output, so what follows may overwrite it.
        for name in names[index + 2 : index + 3]:
            activation = getattr(module, name)
            if isinstance(activation, _ACTIVATIONS):
                setattr(module, name, type(activation)(inplace=True))


class _Folded(nn.Module):
    """Stands where batch norm was."""

    def forward(self, x: Tensor, mask: object = None) -> Tensor:
        return x
