"""Probabilities of classes for many segments, and for the records they were cut from."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, closing, nullcontext
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ecgmodels.inference.folding import folded
from ecgmodels.inference.trimming import by_length, trimmed_batches
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
        normalisation: of the training data. Its features must be in the segments' order: those of
            a card (`card["features"]`) and of another dataset need not be.
        feature_names: the names of the segments' and the normalisation's features, in their order.
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
        template=model.config.template,
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
    # Folded, a CPU is up to twice as fast; on a GPU that was never measured.
    network = folded(model) if data.device.type == "cpu" else model.eval()
    wanted = torch.arange(len(data))[part]
    order = by_length(data, wanted)
    places = order.to(data.device).split(batch_size)
    probabilities = torch.empty(len(wanted), model.config.classes, device=data.device)
    batches = trimmed_batches(data, wanted[order].split(batch_size))
    with autocast(data.device), closing(batches):
        for place, batch in zip(places, batches, strict=False):
            logits = network(*batch.inputs).float()
            probabilities[place] = logits.sigmoid() if multi_label else logits.softmax(dim=1)
    return probabilities


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return bfloat16 arithmetic on a GPU, plain float32 elsewhere."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
