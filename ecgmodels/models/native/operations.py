"""Batch norm with its activation by compiled kernels, as an operation that autograd knows.

Axes: b batch, c channels, t time; maps are [b, c, 1, t] with channels innermost in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ecgmodels.models.masking import BatchNorm, SignalMask
from ecgmodels.models.native.library import Kernels, kernels

_aten = torch.ops.aten


@dataclass(frozen=True)
class Activation:
    """An activation that the kernels know, and torch's own of small tensors."""

    number: int
    """In activations.h."""
    forward: Callable[[Tensor], Tensor]
    backward: Callable[[Tensor, Tensor], Tensor]
    """From the result's gradient and the input to the input's gradient."""


IDENTITY = Activation(0, lambda x: x, lambda gradient, x: gradient)
ACTIVATIONS: Mapping[type[nn.Module], Activation] = MappingProxyType(
    {
        nn.Identity: IDENTITY,
        nn.SiLU: Activation(1, F.silu, _aten.silu_backward),
        nn.ReLU: Activation(2, F.relu, lambda g, x: _aten.threshold_backward(g, x, 0)),
        nn.GELU: Activation(3, F.gelu, _aten.gelu_backward),
        nn.Hardswish: Activation(4, F.hardswish, _aten.hardswish_backward),
    }
)


def kernels_serve(module: nn.Module, x: Tensor, *inner: nn.Module) -> bool:
    """Return whether `module` is learning from `x` on a CPU in float32, and there are kernels.

    They do not while torch looks on at what is computed, to compile, export, count or vectorise it,
    nor where something in `module` is not as it was built.

    Args:
        inner: what the kernels compute in place of, whose own `forward` is not called.
    """
    return (
        module.training
        and torch.is_grad_enabled()
        and type(x) is Tensor
        and x.dtype is torch.float32
        and x.device.type == "cpu"
        and len(x) > 1  # of one segment, a map may be one position, which has no variance
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch._C._functorch.is_functorch_wrapped_tensor(x)
        and not torch._C._len_torch_dispatch_stack()
        and kernels() is not None
        and all(_is_as_built(part) for own in inner for part in own.modules())
    )


def _is_as_built(module: nn.Module) -> bool:
    """Return whether no hook waits for `module`, and the kernels do what it does."""
    if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks:
        return False
    if isinstance(module, BatchNorm):
        # Frozen for fine-tuning, say.
        return module.training and module.running_mean is not None and module.momentum is not None
    if isinstance(module, nn.GELU):
        return module.approximate == "none"
    has_parts = next(module.children(), None) is not None
    return has_parts or isinstance(module, nn.Conv2d | nn.Linear) or type(module) in ACTIVATIONS


def compiled() -> Kernels:
    """Return the kernels where `kernels_serve`."""
    found = kernels()
    assert found is not None
    return found


def norm_activation(norm: BatchNorm, activation: nn.Module, y: Tensor, mask: SignalMask) -> Tensor:
    """Return `activation(norm(y))`, 0 beyond each recording."""
    out: Tensor = _NormActivation.apply(
        y, norm.weight, norm.bias, norm, ACTIVATIONS[type(activation)], mask
    )
    return out


class _NormActivation(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        y: Tensor,
        weight: Tensor,
        bias: Tensor,
        norm: BatchNorm,
        activation: Activation,
        mask: SignalMask,
    ) -> Tensor:
        y = in_channels_last(y)
        found, out = normalised(norm, activation, y, mask)
        ctx.activation, ctx.mask = activation, mask
        ctx.save_for_backward(y, found)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        y, norm = ctx.saved_tensors
        return *norm_gradients(norm, ctx.activation, gradient, y, ctx.mask), None, None, None


def statistics(norm: BatchNorm, y: Tensor, mask: SignalMask) -> Tensor:
    """Return this batch's [4, c] as the kernels have it, and move the running statistics to it."""
    found = y.new_empty(4, y.shape[1])
    compiled().norm_statistics(y, lengths(mask), *sizes(y), *parts(norm), found)
    return found


def normalised(
    norm: BatchNorm,
    activation: Activation,
    y: Tensor,
    mask: SignalMask,
    residual: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Return `statistics`, and the activation of the normalised `y`, plus `residual`."""
    found, out = y.new_empty(4, y.shape[1]), torch.empty_like(y)
    compiled().norm_forward(
        *(activation.number, y, lengths(mask), *sizes(y), *parts(norm), found, residual, out)
    )
    return found, out


def norm_gradients(
    norm: Tensor, activation: Activation, gradient: Tensor, y: Tensor, mask: SignalMask
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of y, and of the norm's weight and bias."""
    gradient = in_channels_last(gradient)
    dy, (dweight, dbias) = torch.empty_like(y), norm.new_empty(2, y.shape[1]).unbind()
    compiled().norm_backward(
        activation.number, gradient, y, lengths(mask), *sizes(y), norm, dweight, dbias, dy
    )
    return dy, dweight, dbias


def parts(norm: BatchNorm) -> tuple[Tensor | float | None, ...]:
    """Return what the kernels take of a norm."""
    return (
        *(norm.weight, norm.bias, norm.eps, norm.momentum),
        *(norm.running_mean, norm.running_var, norm.num_batches_tracked),
    )


def sizes(y: Tensor) -> tuple[int, int, int]:
    """Return segments, length and channels of a map."""
    b, c, _, t = y.shape
    return b, t, c


def lengths(mask: SignalMask) -> Tensor | None:
    """Return the recordings' lengths, int64 [b, 1], or None where there is no mask."""
    return None if mask.valid is None else mask.positions


def in_channels_last(x: Tensor) -> Tensor:
    """Return `x` with channels innermost in memory."""
    return x.contiguous(memory_format=torch.channels_last)
