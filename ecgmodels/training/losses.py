"""What training minimises: cross-entropy of one class a segment, or of each of several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch.nn.functional as F
from torch import Tensor

from ecgmodels.training.config import TrainingConfig
from ecgmodels.training.optimisation import class_weights, positive_weights


@dataclass(frozen=True, kw_only=True)
class OneOfClasses:
    """Cross-entropy over the classes, of which a segment has one."""

    weights: Tensor | None
    """float32 [class]"""
    label_smoothing: float

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the mean over `logits: float32 [batch, class]` and `label: int64 [batch]`."""
        # A sum over the batch's size, not torch's weighted mean: that would undo the weights of a
        # batch of one class, and weigh ranks unequally.
        return F.cross_entropy(
            logits,
            label,
            weight=self.weights,
            label_smoothing=self.label_smoothing,
            reduction="sum",
        ) / len(label)


@dataclass(frozen=True, kw_only=True)
class EachClass:
    """Mean over the classes of the binary cross-entropy, where a segment may have several."""

    positive_weights: Tensor | None
    """float32 [class]: of the segments that have the class"""
    label_smoothing: float
    """The target of a class is this / 2, or 1 - this / 2."""

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the mean over `logits: float32` and `label: uint8`, both [batch, class]."""
        target = label.to(logits.dtype)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(logits, target, pos_weight=self.positive_weights)


Loss = OneOfClasses | EachClass


def loss_for(config: TrainingConfig, label: Tensor, classes: int) -> Loss:
    """Return the loss that fits the training labels: int64 [segment] or uint8 [segment, class]."""
    if label.ndim == 1:
        return OneOfClasses(
            weights=class_weights(label, classes, config.class_weighting),
            label_smoothing=config.label_smoothing,
        )
    return EachClass(
        positive_weights=positive_weights(label, config.class_weighting),
        label_smoothing=config.label_smoothing,
    )


def cross_entropy(labels: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> float:
    """Return the mean cross-entropy of probabilities, without weights or smoothing.

    Args:
        labels: int [segment], or 0 and 1 [segment, class]: then the mean is over classes too.
        probabilities: float [segment, class].
    """
    if labels.ndim == 1:
        of_label = probabilities[np.arange(len(labels)), labels]
    else:
        of_label = np.where(labels, probabilities, 1 - probabilities)
    return float(-np.log(of_label.clip(1e-12)).mean())
