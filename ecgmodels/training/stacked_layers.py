"""Layers of several models at once: what `torch.func.vmap` does with them, and should not.

vmap turns an operation on one model's tensors into one on those of k models. It does so below
autocast, which then lets convolutions be (and mixes precisions where the next layer is not
convolved); batch norm becomes four passes over the map instead of one; attention and running
statistics are gone through model by model, and an LSTM or a map's layout not at all. So the layers
that networks are made of have rules here, each a call of torch's own: autocast and autograd take it
as ever.

Axes: k model, b batch, c channels, t time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

Axes = tuple[int | None, ...]
"""Where each input has its models; None: it is the same for all."""


class LayersOfSeveral(TorchFunctionMode):
    """Inside, vmap over models in training follows this module's rules."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        rule = _RULES.get(func, func)
        return rule(*args, **(kwargs or {}))


class _Rule(torch.autograd.Function):
    """A function that is only ever called below vmap."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        raise NotImplementedError

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        raise NotImplementedError


class _Convolution(_Rule):
    """The convolutions of k models are one in k times as many groups, over maps side by side."""

    @staticmethod
    def vmap(info: Any, axes: Axes, x: Tensor, *rest: Any) -> tuple[Tensor, int]:
        weight, bias, stride, padding, dilation, groups = rest
        convolved = F.conv2d(
            _side_by_side(x, axes[0], info),
            _models_first(weight, axes[1], info).flatten(0, 1),
            None if bias is None else _models_first(bias, axes[2], info).flatten(),
            stride,
            padding,
            dilation,
            groups * info.batch_size,
        )
        return convolved.unflatten(1, (info.batch_size, -1)), 1


class _Linear(_Rule):
    """Matrix products of k models are a batch of k."""

    @staticmethod
    def vmap(info: Any, axes: Axes, x: Tensor, weight: Tensor, bias: Any) -> tuple[Tensor, int]:
        x = _models_first(x, axes[0], info)
        rows = x.flatten(1, -2) if x.ndim > 2 else x[:, None]
        transposed = _models_first(weight, axes[1], info).transpose(1, 2)
        if bias is None:
            product = torch.bmm(rows, transposed)
        else:
            product = torch.baddbmm(_models_first(bias, axes[2], info)[:, None], rows, transposed)
        return product.reshape(*x.shape[:-1], -1), 0


class _BatchNorm(_Rule):
    """The norms of k models of c channels are one norm of k * c channels."""

    @staticmethod
    def vmap(info: Any, axes: Axes, x: Tensor, *rest: Any) -> tuple[Tensor, int]:
        *of_channels, training, momentum, eps = rest
        mean, variance, weight, bias = (
            None if of_models is None else of_models.flatten() for of_models in of_channels
        )
        normal = F.batch_norm(
            _side_by_side(x, axes[0], info), mean, variance, weight, bias, training, momentum, eps
        )
        if normal.requires_grad and normal.is_contiguous(memory_format=torch.channels_last):
            # A gradient in another layout, such as a mean's, takes the backward pass ten times as
            # long.
            normal.register_hook(_in_channels_last)
        return normal.unflatten(1, (info.batch_size, -1)), 1


class _Contiguous(_Rule):
    """A layout of each model's map is that of the maps side by side."""

    @staticmethod
    def vmap(info: Any, axes: Axes, x: Tensor, memory_format: Any) -> tuple[Tensor, int]:
        copied = _side_by_side(x, axes[0], info).contiguous(memory_format=memory_format)
        return copied.unflatten(1, (info.batch_size, -1)), 1


class _Attention(_Rule):
    """The models are more of the batch."""

    @staticmethod
    def vmap(info: Any, axes: Axes, *inputs: Any) -> tuple[Tensor, int]:
        together: list[Any] = [
            None if x is None else _models_first(x, axis, info).flatten(0, 1)
            for x, axis in zip(inputs, axes, strict=True)
        ]
        query, key, value, mask = together
        gathered = F.scaled_dot_product_attention(query, key, value, mask)
        return gathered.unflatten(0, (info.batch_size, -1)), 0


class _LSTM(_Rule):
    """One model after another."""

    @staticmethod
    def vmap(info: Any, axes: Axes, options: Any, *inputs: Tensor) -> tuple[Any, Any]:
        of_models = [_models_first(x, axis, info) for x, axis in zip(inputs, axes[1:], strict=True)]
        outputs = [
            torch.lstm(x, (hidden, cell), weights, *options)
            for x, hidden, cell, *weights in zip(*of_models, strict=True)
        ]
        return tuple(map(torch.stack, zip(*outputs, strict=True))), (0, 0, 0)


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    return _Convolution.apply(x, weight, bias, stride, padding, dilation, groups)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return _Linear.apply(x, weight, bias)


def _batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    return _BatchNorm.apply(x, running_mean, running_var, weight, bias, training, momentum, eps)


def _attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None
) -> Tensor:
    return _Attention.apply(query, key, value, attn_mask)


def _lstm(
    x: Tensor, state: tuple[Tensor, Tensor], weights: list[Tensor], *options: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return _LSTM.apply(options, x, *state, *weights)


def _contiguous(x: Tensor, *, memory_format: Any = torch.contiguous_format) -> Tensor:
    if memory_format is torch.contiguous_format:
        return x.contiguous()
    return _Contiguous.apply(x, memory_format)


def _lerp_(start: Tensor, end: Tensor, weight: float) -> Tensor:
    return start.add_(end - start, alpha=weight)


_RULES: Mapping[Callable[..., Any], Callable[..., Any]] = {
    F.conv2d: _conv2d,
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    F.scaled_dot_product_attention: _attention,
    torch.lstm: _lstm,
    torch.Tensor.contiguous: _contiguous,
    torch.Tensor.lerp_: _lerp_,
}


def _models_first(x: Tensor, axis: int | None, info: Any) -> Tensor:
    return x.expand(info.batch_size, *x.shape) if axis is None else x.movedim(axis, 0)


def _side_by_side(x: Tensor, axis: int | None, info: Any) -> Tensor:
    """Return [b, k * c, ...] of `k` maps [b, c, ...]."""
    return _models_first(x, axis, info).transpose(0, 1).flatten(1, 2)


def _in_channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)
