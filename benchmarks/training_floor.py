"""What a training step must take at least, by a device's arithmetic and by its memory."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from training_work import BATCH, Work, synchronise

from ecgmodels.models.efficientecg.plan import resolve
from ecgmodels.models.registry import cost

_PASSES = 3
"""A multiplication on the way forward is one for the input's gradient and one for the weight's."""
_ACCESSES = 5
"""A convolution's output is written and read on the way forward, and read on the way back, where
its gradient is written and read."""
_WEIGHT_ACCESSES = 8
"""Weights are read forward and back, their gradient written and read, and AdamW reads and writes
the weight and, as one number here, its two averages."""
_REPEATS = 10


def step_macs(work: Work) -> int:
    """Return the multiply-accumulates of a step."""
    return _PASSES * BATCH * cost(work.config)["macs"]


def step_bytes(work: Work, *, bytes_each: int) -> int:
    """Return what a step moves to and from memory if nothing is moved twice.

    Args:
        bytes_each: of a number in a map; weights have 4.
    """
    plan = resolve(work.config)
    numbers = plan.stem.channels * plan.stem.length + plan.head.channels * plan.head.length
    for block in plan.blocks:
        numbers += (block.hidden_channels + block.channels) * block.length
        if block.hidden_channels != block.in_channels:
            numbers += block.hidden_channels * block.in_length
    weights = 4 * _WEIGHT_ACCESSES * work.parameters
    return _ACCESSES * bytes_each * BATCH * numbers + weights


def matrix_macs_per_s(device: str, dtype: torch.dtype) -> float:
    """Return what a large matrix product reaches, with torch's present threads."""
    size = 8192 if device == "cuda" else 1536
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return size**3 / _least_s(lambda: a @ b, device)


def copied_bytes_per_s(device: str) -> float:
    """Return what copying a large array reaches, bytes read and written."""
    source = torch.ones(2**28 if device == "cuda" else 2**26, device=device)
    target = torch.empty_like(source)
    return 2 * 4 * source.numel() / _least_s(lambda: target.copy_(source), device)


def _least_s(run: Callable[[], object], device: str) -> float:
    times = []
    for _ in range(_REPEATS):
        synchronise(device)
        begun_s = time.perf_counter()
        run()
        synchronise(device)
        times.append(time.perf_counter() - begun_s)
    return min(times)
