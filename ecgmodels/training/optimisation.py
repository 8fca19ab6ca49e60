"""Optimiser, learning-rate schedule, class weights and the moving average of weights."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from ecgmodels.models.network import ECGNetwork
from ecgmodels.training.config import ClassWeighting, TrainingConfig

EFFECTIVE_BETA = 0.9999
"""Of "effective" class weights: n segments count as (1 - b^n) / (1 - b) (Cui et al. 2019, whose
largest b this is). So up to some thousand they count as "balanced" has it, and beyond 10,000 of a
class more of them add nothing new."""


def adamw(model: ECGNetwork, config: TrainingConfig) -> torch.optim.AdamW:
    """Return AdamW (Loshchilov & Hutter 2019) that spares norms, biases and tokens its decay."""
    undecayed = list(model.undecayed_parameters())
    spared = set(undecayed)
    decayed = [parameter for parameter in model.parameters() if parameter not in spared]
    return torch.optim.AdamW(
        [
            {"params": decayed, "weight_decay": config.weight_decay},
            {"params": undecayed, "weight_decay": 0.0},
        ],
        lr=config.learning_rate,
        fused=True,
    )


def learning_rate(config: TrainingConfig, step: int, steps_per_epoch: int) -> float:
    """Return the rate of the 0-based `step`, counted over all epochs."""
    epoch = (step + 1) / steps_per_epoch
    if epoch < config.warmup_epochs:
        return config.learning_rate * epoch / config.warmup_epochs
    # Half a step early, so that the very last step still learns.
    epoch -= 0.5 / steps_per_epoch
    progress = (epoch - config.warmup_epochs) / (config.epochs - config.warmup_epochs)
    return config.learning_rate * 0.5 * (1 + math.cos(math.pi * max(progress, 0.0)))


def class_weights(label: Tensor, classes: int, weighting: ClassWeighting) -> Tensor | None:
    """Return float32 [class] whose mean over the segments is 1 (absent classes: 0), or None.

    Args:
        label: int64 [segment].
    """
    if weighting == "none":
        return None
    count = torch.bincount(label, minlength=classes).double()
    weight = 1 / _counted(count, weighting)
    weight[count == 0] = 0
    return (weight * count.sum() / (weight * count).sum()).float()


def positive_weights(label: Tensor, weighting: ClassWeighting) -> Tensor | None:
    """Return float32 [class], the weight of multi-label segments that have a class, or None.

    With n segments that have it and m that do not: m / n when "balanced", so that both weigh alike,
    its root when "sqrt", and the ratio of effective numbers when "effective"; 1 for a class that
    no segment has, or every one.

    Args:
        label: uint8 [segment, class].
    """
    if weighting == "none":
        return None
    having = label.sum(dim=0, dtype=torch.int64).double()
    lacking = len(label) - having
    weight = _counted(lacking, weighting) / _counted(having, weighting)
    weight[(having == 0) | (lacking == 0)] = 1
    return weight.float()


def _counted(count: Tensor, weighting: ClassWeighting) -> Tensor:
    """Return what so many segments count as; a class weighs its inverse."""
    if weighting == "sqrt":
        return count.sqrt()
    if weighting == "effective":
        # (1 - b^n) / (1 - b), without the loss of digits where b^n is near 1.
        return -torch.expm1(count * math.log(EFFECTIVE_BETA)) / (1 - EFFECTIVE_BETA)
    return count


class MovingAverage:
    """An exponential moving average of a model's weights and normalisation statistics."""

    def __init__(self, model: ECGNetwork, decay: float) -> None:
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False)
        self._average = _floats(self.model)
        self._current = _floats(model)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after the 0-based `step`; early steps forget faster."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(self._average, self._current, 1 - decay)


def _floats(model: ECGNetwork) -> list[Tensor]:
    """Return weights and statistics, not batch norm's counters."""
    return [value for value in model.state_dict().values() if value.is_floating_point()]
