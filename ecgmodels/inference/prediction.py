"""Probabilities of classes for many segments, and for the records they were cut from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ecgmodels.loading.batches import DeviceSegments, Normalisation, Segments, to_device
from ecgmodels.metrics.scoring import RecordScores, score_records
from ecgmodels.models.network import ECGNetwork

_BATCH = 512


def predict(
    model: ECGNetwork,
    segments: Segments,
    normalisation: Normalisation,
    *,
    feature_names: Sequence[str] = (),
    multi_label: bool | None = None,
    batch_size: int = _BATCH,
) -> npt.NDArray[np.float32]:
    """Return probabilities float32 [segment, class], computed on the model's device.

    Args:
        feature_names: the names of the segments' features, in their order.
        multi_label: whether each class has a probability of its own; by default as the segments'
            labels are. Say it for a multi-label model and segments that are not labelled.

    Raises:
        ConfigError: the model uses a feature that the segments lack.
    """
    data = to_device(
        segments,
        normalisation,
        names=feature_names,
        wanted=model.config.features,
        device=next(model.parameters()).device,
    )
    if multi_label is None:
        multi_label = data.multi_label
    probabilities = predict_slice(
        model, data, slice(None), multi_label=multi_label, batch_size=batch_size
    )
    return probabilities.cpu().numpy()


def predict_records(
    model: ECGNetwork,
    segments: Segments,
    normalisation: Normalisation,
    *,
    how: Literal["mean", "max"],
    feature_names: Sequence[str] = (),
    multi_label: bool | None = None,
    batch_size: int = _BATCH,
) -> RecordScores:
    """Return `ecgmodels.metrics.scoring.score_records` of `predict`: the records, and their scores.

    Raises:
        ConfigError: the model uses a feature that the segments lack.
    """
    probabilities = predict(
        model,
        segments,
        normalisation,
        feature_names=feature_names,
        multi_label=multi_label,
        batch_size=batch_size,
    )
    return score_records(probabilities, np.asarray(segments.record), how)


@torch.inference_mode()
def predict_slice(
    model: ECGNetwork,
    data: DeviceSegments,
    part: slice,
    *,
    multi_label: bool,
    batch_size: int = _BATCH,
) -> Tensor:
    """Return probabilities float32 [segment, class] of a part of `data`, on its device."""
    model.eval()
    indices = torch.arange(len(data))[part].split(batch_size)
    probabilities = [torch.empty(0, model.config.classes, device=data.device)]
    with autocast(data.device):
        for batch in data.batches(indices):
            logits = model(*batch.inputs).float()
            probabilities.append(logits.sigmoid() if multi_label else logits.softmax(dim=1))
    return torch.cat(probabilities)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return bfloat16 arithmetic on a GPU, plain float32 elsewhere."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
