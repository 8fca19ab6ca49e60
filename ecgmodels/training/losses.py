"""What training minimises: cross-entropy of one class a segment or of each of several, or focal.

All four forms (one class or several, plain or focal) are one sum over the classes c,

    loss = weight(label) * sum_c  target_c * (1 - p_c)^gamma * -log(p_c)

with gamma 0 where it is not focal; of several labels, having a class and not having it are two
such p. Smoothing moves targets and nothing else: a segment is weighted by what it *is*. torch's
own weights multiply smoothed targets instead, so that of any segment the share that was spread
over the classes counts most for the rarest: with 0.1 spread and a class a hundred times rarer, a
segment that lacks that class would be best off with a probability of 0.84 for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from ecgmodels.training.config import TrainingConfig
from ecgmodels.training.optimisation import class_weights, positive_weights

_LEAST = 1e-6
"""What 1 - p is held above, as the gradient of a broken power has a pole at 0."""


@dataclass(frozen=True, kw_only=True)
class OneOfClasses:
    """Loss over the classes, of which a segment has one."""

    weights: Tensor | None = None
    """float32 [class]: of the segments of that class"""
    label_smoothing: float = 0.0
    """Share of the target spread over all classes."""
    focal_gamma: float | None = None
    """None: cross-entropy."""

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the mean over `logits: float32 [batch, class]` and `label: int64 [batch]`."""
        # Over the batch's size, not the sum of its weights: that would undo the weights of a batch
        # of one class, and weigh ranks unequally.
        if self.weights is None:
            return self._of_segments(logits, label).mean()
        return (self.weights[label] * self._of_segments(logits, label)).mean()

    def _of_segments(self, logits: Tensor, label: Tensor) -> Tensor:
        smoothing = self.label_smoothing
        if self.focal_gamma is None:
            return F.cross_entropy(logits, label, label_smoothing=smoothing, reduction="none")
        log_p = logits.log_softmax(dim=1)
        modulated = (1 - log_p.exp()).clamp_min(_LEAST).pow(self.focal_gamma) * log_p
        of_label = modulated.gather(1, label[:, None]).squeeze(1)
        if not smoothing:
            return -of_label
        return -torch.lerp(of_label, modulated.mean(dim=1), smoothing)


@dataclass(frozen=True, kw_only=True)
class EachClass:
    """Mean over the classes of a binary loss, where a segment may have several."""

    positive_weights: Tensor | None = None
    """float32 [class]: of the segments that have the class"""
    label_smoothing: float = 0.0
    """The target of a class is this / 2, or 1 - this / 2."""
    focal_gamma: float | None = None
    """None: cross-entropy."""

    def __call__(self, logits: Tensor, label: Tensor) -> Tensor:
        """Return the mean over `logits: float32` and `label: uint8`, both [batch, class]."""
        target = label.to(logits.dtype)
        if self.label_smoothing:
            target = target * (1 - self.label_smoothing) + self.label_smoothing / 2
        if self.focal_gamma is None:
            losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        else:
            losses = _binary_focal(logits, target, self.focal_gamma)
        if self.positive_weights is not None:
            losses = losses * torch.where(label.bool(), self.positive_weights, 1.0)
        return losses.mean()


Loss = OneOfClasses | EachClass


def loss_for(config: TrainingConfig, label: Tensor, classes: int) -> Loss:
    """Return the loss that fits the training labels: int64 [segment] or uint8 [segment, class]."""
    gamma = config.focal_gamma if config.loss == "focal" else None
    if label.ndim == 1:
        return OneOfClasses(
            weights=class_weights(label, classes, config.class_weighting),
            label_smoothing=config.label_smoothing,
            focal_gamma=gamma,
        )
    return EachClass(
        positive_weights=positive_weights(label, config.class_weighting),
        label_smoothing=config.label_smoothing,
        focal_gamma=gamma,
    )


def _binary_focal(logits: Tensor, target: Tensor, gamma: float) -> Tensor:
    # Powers of a sigmoid by its logarithm, whose gradient has no pole.
    log_p, log_q = F.logsigmoid(logits), F.logsigmoid(-logits)
    having = target * (gamma * log_q).exp() * log_p
    lacking = (1 - target) * (gamma * log_p).exp() * log_q
    return -(having + lacking)


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
