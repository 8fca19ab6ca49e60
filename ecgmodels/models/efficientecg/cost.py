"""What an EfficientECG network costs, by arithmetic over its plan: well under a millisecond."""

from __future__ import annotations

from ecgmodels.models.base import Cost, batch_norm, convolution, linear
from ecgmodels.models.efficientecg.plan import Block, Placement, Plan


def plan_cost(plan: Plan) -> Cost:
    """Return the cost of a resolved network."""
    stem, head = plan.stem, plan.head
    total = _conv_norm(stem.in_channels * stem.kernel, stem.channels, stem.length)
    total = total.applied(stem.runs)
    for block in plan.blocks:
        total += _block(block).applied(block.runs)
    total += _conv_norm(head.in_channels, head.channels, head.length).applied(head.runs)
    total += linear(plan.classifier_inputs, plan.classes)
    if plan.leads_fused:
        total += _lead_fusion(plan, plan.leads_fused)
    if plan.tokens:
        total += _fusion(plan)
    return total


def _block(block: Block) -> Cost:
    hidden = block.hidden_channels
    total = _conv_norm(block.kernel, hidden, block.length)  # depthwise
    if hidden != block.in_channels:
        total += _conv_norm(block.in_channels, hidden, block.in_length)
    total += linear(hidden, block.squeeze_channels) + linear(block.squeeze_channels, hidden)
    return total + _conv_norm(hidden, block.channels, block.length)


def _lead_fusion(plan: Plan, place: Placement) -> Cost:
    """At every position the mean over leads asks, and each lead is asked."""
    channels, width = place.channels, plan.token_width
    return Cost(
        parameters=plan.leads * channels  # embeddings
        + 4 * channels * width  # query, key, value, output
        + 4 * channels,  # two layer norms
        macs=place.length
        * (4 * channels * width + 2 * plan.leads * plan.heads * channels),  # scores, mixing
    )


def _fusion(plan: Plan) -> Cost:
    width = plan.token_width
    # Each feature's slope, offset and missing token; the register.
    total = Cost(parameters=width * (3 * len(plan.features) + 1))
    for place in plan.placements:
        if plan.tokens_attend:
            total += _attention(plan, place, tokens_ask=True)
        if plan.signal_attends:
            total += _attention(plan, place, tokens_ask=False)
    if plan.tokens_attend:
        total += Cost(parameters=2 * width)  # the norm before the classifier
    return total


def _attention(plan: Plan, placement: Placement, *, tokens_ask: bool) -> Cost:
    width = plan.token_width
    positions = (placement.channels, placement.length)
    tokens = (width, plan.tokens)
    (asking_width, queries), (asked_width, keys) = (
        (tokens, positions) if tokens_ask else (positions, tokens)
    )
    return Cost(
        parameters=2 * asking_width * width  # query, output
        + 2 * asked_width * width  # key, value
        + 2 * asking_width  # two layer norms
        + 2 * asked_width,
        macs=2 * queries * asking_width * width
        + 2 * keys * asked_width * width
        + 2 * queries * keys * width,  # scores, mixing
    )


def _conv_norm(taps: int, channels: int, length: int) -> Cost:
    return convolution(taps, channels, length) + batch_norm(channels)
