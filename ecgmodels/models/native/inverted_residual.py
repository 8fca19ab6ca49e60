"""An inverted-residual block by compiled kernels, as one operation that autograd knows.

Between its two matrix products the hidden map passes batch norm, activation, depthwise convolution,
again batch norm and activation, and squeeze-and-excitation. Torch's operations read and write it at
each; the kernels do so twice on the way forward, and what is not kept for the way back they compute
again. Axes: b batch, c channels, t time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from ecgmodels.models.masking import SignalMask
from ecgmodels.models.native.operations import (
    ACTIVATIONS,
    IDENTITY,
    compiled,
    in_channels_last,
    lengths,
    norm_gradients,
    normalised,
    parts,
    sizes,
    statistics,
)

if TYPE_CHECKING:
    from ecgmodels.models.efficientecg.network import InvertedResidual

_aten = torch.ops.aten
_POINTWISE = ((1, 1), (0, 0), (1, 1), False, (0, 0), 1)
"""Stride, padding, dilation, transposed, output padding and groups of a matrix product."""
_SMALL = 2**20
"""A map of so many numbers and one thread are better off with torch's matrix product (MKL); larger
ones and several threads with its convolution (oneDNN): by 3 to 8%, measured on an AMD EPYC."""


def inverted_residual(
    block: InvertedResidual, x: Tensor, mask: SignalMask, strided: SignalMask, *, residual: bool
) -> Tensor:
    """Return what `block` makes of `x`, 0 beyond each recording.

    Args:
        block: in training; gradients arrive at its parameters.
        x: float32 [b, c, 1, t], 0 beyond each recording.
        mask: of `x`.
        strided: of the result.
        residual: whether to add `x`.
    """
    expand, depthwise, squeeze = block.expand, block.depthwise, block.squeeze_excite
    out: Tensor = _InvertedResidual.apply(
        block,
        (mask, strided),
        residual,
        x,
        depthwise.conv.weight,
        depthwise.norm.weight,
        depthwise.norm.bias,
        squeeze.reduce.weight,
        squeeze.reduce.bias,
        squeeze.restore.weight,
        squeeze.restore.bias,
        block.project.conv.weight,
        block.project.norm.weight,
        block.project.norm.bias,
        *(() if expand is None else (expand.conv.weight, expand.norm.weight, expand.norm.bias)),
    )
    return out


class _InvertedResidual(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        block: InvertedResidual,
        masks: tuple[SignalMask, SignalMask],
        residual: bool,
        x: Tensor,
        *learned: Tensor,
    ) -> Tensor:
        taps, _, _, reduce, reduce_bias, restore, restore_bias, project, _, _, *expansion = learned
        taps = taps.contiguous()
        mask, strided = masks
        x = in_channels_last(x)
        activation = ACTIVATIONS[type(block.depthwise.activation)]
        if block.expand is None:
            y1, norm1, activation1 = x, _no_norm(x), IDENTITY
        else:
            y1, activation1 = in_channels_last(_product(x, expansion[0])), activation
            norm1 = statistics(block.expand.norm, y1, mask)

        y2 = _empty_map(y1, -(-y1.shape[3] // block.stride))
        norm2, pooled = torch.empty_like(norm1), y2.new_empty(y2.shape[:2])
        compiled().depthwise_forward(
            *(activation1.number, y1, lengths(mask), *sizes(y1), norm1),
            *(taps, taps.shape[3], block.stride),
            *(activation.number, *parts(block.depthwise.norm)),
            *(lengths(strided), y2.shape[3], y2, norm2, pooled),
        )

        waist = F.linear(pooled, reduce, reduce_bias)
        active = activation.forward(waist)
        scale = F.linear(active, restore, restore_bias).sigmoid_()
        u = torch.empty_like(y2)
        compiled().excite_forward(
            activation.number, y2, lengths(strided), *sizes(y2), norm2, scale, u
        )

        y3 = _product(u, project)
        norm3, out = normalised(block.project.norm, IDENTITY, y3, strided, x if residual else None)
        ctx.how = (activation1, activation, block.stride, masks, residual)
        ctx.save_for_backward(
            *(x, y1, norm1, y2, norm2, pooled, waist, active, scale, u, y3, norm3),
            *(taps, reduce, restore, project, *expansion[:1]),
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, y1, norm1, y2, norm2, pooled, waist, active, scale, u, y3, norm3, *weights = (
            ctx.saved_tensors
        )
        taps, reduce, restore, project, *expansion = weights
        activation1, activation, stride, (mask, strided), residual = ctx.how
        gradient = in_channels_last(gradient)
        dy3, *dnorm3 = norm_gradients(norm3, IDENTITY, gradient, y3, strided)

        du = _input_gradient(dy3, y2, project)
        dscale, sums = torch.empty_like(scale), pooled.new_empty(4, *pooled.shape)
        compiled().excite_backward(
            *(activation.number, du, y2, lengths(strided), *sizes(y2), norm2),
            *(dscale, sums),
        )
        dproject = _weight_gradient(dy3, u, project)

        dscale = _aten.sigmoid_backward(dscale, scale)
        dwaist = activation.backward(dscale @ restore, waist)
        dpooled = dwaist @ reduce
        dsqueeze = (dwaist.t() @ pooled, dwaist.sum(0), dscale.t() @ active, dscale.sum(0))

        dtaps, dy1 = torch.empty_like(taps), torch.empty_like(y1)
        dnorm2 = norm2.new_empty(2, norm2.shape[1]).unbind()
        dnorm1 = norm1.new_empty(2, norm1.shape[1]).unbind() if expansion else (None, None)
        compiled().depthwise_backward(
            *(activation.number, du, scale, dpooled, sums),
            *(y2, lengths(strided), y2.shape[3], norm2, *dnorm2),
            *(activation1.number, y1, lengths(mask), *sizes(y1), norm1),
            *(taps, taps.shape[3], stride, dtaps, *dnorm1, dy1),
        )

        gradients = (dtaps, *dnorm2, *dsqueeze, dproject, *dnorm3)
        dx = dy1
        if expansion:
            dx = _input_gradient(dy1, x, expansion[0])
            dexpand = _weight_gradient(dy1, x, expansion[0])
            gradients = (*gradients, dexpand, *dnorm1)
        if residual:
            dx += gradient
        return None, None, None, dx, *gradients


def _no_norm(x: Tensor) -> Tensor:
    """Return [4, c] of a norm that changes nothing."""
    norm = x.new_zeros(4, x.shape[1])
    norm[0] = 1
    return norm


def _empty_map(like: Tensor, length: int) -> Tensor:
    b, c, _, _ = like.shape
    return like.new_empty(b, 1, length, c).permute(0, 3, 1, 2)


def _product(x: Tensor, weight: Tensor) -> Tensor:
    """Return x convolved with a kernel of one tap."""
    if _small(x, weight):
        b, _, _, t = x.shape
        return (_rows(x) @ weight.flatten(1).t()).view(b, 1, t, -1).permute(0, 3, 1, 2)
    product: Tensor = _aten.convolution(x, weight, None, *_POINTWISE)
    return product


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of x, of which only the shape counts, from that of the product."""
    if _small(x, weight):
        b, c, _, t = x.shape
        return (_rows(gradient) @ weight.flatten(1)).view(b, 1, t, c).permute(0, 3, 1, 2)
    dx: Tensor = _aten.convolution_backward(
        gradient, x, weight, None, *_POINTWISE, (True, False, False)
    )[0]
    return dx


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Return the gradient of the weight from that of the product."""
    if _small(x, weight):
        return (_rows(gradient).t() @ _rows(x)).view_as(weight)
    dweight: Tensor = _aten.convolution_backward(
        gradient, x, weight, None, *_POINTWISE, (False, True, False)
    )[1]
    return dweight


def _small(x: Tensor, weight: Tensor) -> bool:
    """Return whether torch's matrix product is faster than its convolution."""
    widest = max(weight.shape[:2])
    return torch.get_num_threads() == 1 and len(x) * widest * x.shape[3] <= _SMALL


def _rows(x: Tensor) -> Tensor:
    """[b, c, 1, t] -> [b * t, c]"""
    return x.permute(0, 2, 3, 1).flatten(0, 2)
