"""What a model costs, by arithmetic over its plan: no torch, well under a millisecond.

Parameters are everything that training learns. Multiply-accumulates (MACs) are those of
convolutions, linear layers and attention's two matrix products for one segment, padding counted;
normalisation, activations, pooling, token embedding and the resampling of the input (which
prepares a segment and can be done once) are not.
"""

from __future__ import annotations

from dataclasses import dataclass

from ecgmodels.architecture import EfficientECGConfig
from ecgmodels.plan import Block, Placement, Plan, resolve


@dataclass(frozen=True)
class _Cost:
    parameters: int = 0
    macs: int = 0

    def __add__(self, other: _Cost) -> _Cost:
        return _Cost(self.parameters + other.parameters, self.macs + other.macs)


def cost(config: EfficientECGConfig) -> dict[str, int]:
    """Return {"parameters", "macs"} of the model that `config` builds, exactly."""
    total = plan_cost(resolve(config))
    return {"parameters": total.parameters, "macs": total.macs}


def plan_cost(plan: Plan) -> _Cost:
    """Return the cost of a resolved network."""
    stem, head = plan.stem, plan.head
    total = _conv_norm(stem.in_channels * stem.kernel, stem.channels, stem.length)
    for block in plan.blocks:
        total += _block(block)
    total += _conv_norm(head.in_channels, head.channels, head.length)
    total += _linear(plan.classifier_inputs, plan.classes)
    if plan.tokens:
        total += _fusion(plan)
    return total


def _block(block: Block) -> _Cost:
    hidden = block.hidden_channels
    total = _conv_norm(block.kernel, hidden, block.length)  # depthwise
    if hidden != block.in_channels:
        total += _conv_norm(block.in_channels, hidden, block.in_length)
    total += _linear(hidden, block.squeeze_channels) + _linear(block.squeeze_channels, hidden)
    return total + _conv_norm(hidden, block.channels, block.length)


def _fusion(plan: Plan) -> _Cost:
    width = plan.token_width
    # Each feature's slope, offset and missing token; the register.
    total = _Cost(parameters=width * (3 * len(plan.features) + 1))
    for placement in plan.placements:
        if plan.tokens_attend:
            total += _attention(plan, placement, tokens_ask=True)
        if plan.signal_attends:
            total += _attention(plan, placement, tokens_ask=False)
    if plan.tokens_attend:
        total += _Cost(parameters=2 * width)  # the norm before the classifier
    return total


def _attention(plan: Plan, placement: Placement, *, tokens_ask: bool) -> _Cost:
    width = plan.token_width
    positions = (placement.channels, placement.length)
    tokens = (width, plan.tokens)
    (asking_width, queries), (asked_width, keys) = (
        (tokens, positions) if tokens_ask else (positions, tokens)
    )
    return _Cost(
        parameters=2 * asking_width * width  # query, output
        + 2 * asked_width * width  # key, value
        + 2 * asking_width  # two layer norms
        + 2 * asked_width,
        macs=2 * queries * asking_width * width
        + 2 * keys * asked_width * width
        + 2 * queries * keys * width,  # scores, mixing
    )


def _conv_norm(taps: int, channels: int, length: int) -> _Cost:
    """A convolution without bias, each output a sum over `taps`, and batch norm's two vectors."""
    return _Cost(parameters=taps * channels + 2 * channels, macs=taps * channels * length)


def _linear(inputs: int, outputs: int) -> _Cost:
    return _Cost(parameters=inputs * outputs + outputs, macs=inputs * outputs)
