"""What the baselines cost, by arithmetic over their plans."""

from __future__ import annotations

from ecgmodels.models.base import Cost, batch_norm, convolution, linear
from ecgmodels.models.baselines.cnn_lstm_plan import CNNLSTMPlan
from ecgmodels.models.baselines.inception_plan import InceptionModule, InceptionPlan
from ecgmodels.models.baselines.plan import Convolution, Head
from ecgmodels.models.baselines.residual_plan import ResidualPlan


def residual_cost(plan: ResidualPlan) -> Cost:
    """Return the cost of a resolved resnet1d_wang, resnet1d18 or xresnet1d101."""
    total = _head(plan.head)
    for layer in plan.stem:
        total += _conv_norm(layer)
    for block in plan.blocks:
        for layer in block.convolutions:
            total += _conv_norm(layer)
        if block.shortcut is not None:
            total += _conv_norm(block.shortcut)
    return total


def inception_cost(plan: InceptionPlan) -> Cost:
    """Return the cost of a resolved inception1d."""
    total = _head(plan.head)
    for group in plan.groups:
        for module in group.modules:
            total += _inception_module(module, plan.samples)
        total += _conv_norm(group.shortcut)
    return total


def cnn_lstm_cost(plan: CNNLSTMPlan) -> Cost:
    """Return the cost of a resolved cnn_lstm."""
    total = _head(plan.head)
    for layer in plan.convolutions:
        total += convolution(layer.in_channels * layer.kernel, layer.channels, layer.length)
    return total + _lstm(plan.convolutions[-1].channels, plan.units, plan.steps)


def _inception_module(module: InceptionModule, length: int) -> Cost:
    bottleneck, filters = module.bottleneck_channels, module.filters
    total = convolution(module.in_channels, bottleneck, length)
    for kernel in module.kernels:
        total += convolution(bottleneck * kernel, filters, length)
    total += convolution(module.in_channels, filters, length)
    return total + batch_norm(module.channels)


def _lstm(inputs: int, units: int, steps: int) -> Cost:
    # Four gates; torch keeps two biases for each, as cuDNN does.
    weights = 4 * units * (inputs + units)
    return Cost(parameters=weights + 4 * units * 2, macs=weights * steps)


def _head(head: Head) -> Cost:
    total = Cost()
    for inputs, outputs in zip(head.widths, head.widths[1:], strict=False):
        total += linear(inputs, outputs)
    if head.norm:
        for channels in (head.pooled, *head.hidden):
            total += batch_norm(channels)
    return total


def _conv_norm(layer: Convolution) -> Cost:
    taps = layer.in_channels * layer.kernel
    return convolution(taps, layer.channels, layer.length) + batch_norm(layer.channels)
