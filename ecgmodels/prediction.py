"""Probabilities of classes for many segments."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ecgmodels.batches import DeviceSegments, Normalisation, Segments, to_device
from ecgmodels.efficientecg import EfficientECG

_BATCH = 512


def predict(
    model: EfficientECG,
    segments: Segments,
    normalisation: Normalisation,
    *,
    feature_names: Sequence[str] = (),
    batch_size: int = _BATCH,
) -> npt.NDArray[np.float32]:
    """Return probabilities float32 [segment, class], computed on the model's device.

    Args:
        feature_names: the names of the segments' features, in their order.

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
    return predict_slice(model, data, slice(None), batch_size=batch_size).cpu().numpy()


@torch.inference_mode()
def predict_slice(
    model: EfficientECG, data: DeviceSegments, part: slice, *, batch_size: int = _BATCH
) -> Tensor:
    """Return probabilities float32 [segment, class] of a part of `data`, on its device."""
    model.eval()
    index = torch.arange(len(data), device=data.label.device)[part]
    probabilities = [torch.empty(0, model.plan.classes, device=index.device)]
    with autocast(index.device):
        for batch in map(data.batch, index.split(batch_size)):
            logits = model(batch.signal, batch.features, batch.feature_mask)
            probabilities.append(logits.float().softmax(dim=1))
    return torch.cat(probabilities)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return bfloat16 arithmetic on a GPU, plain float32 elsewhere."""
    if device.type == "cuda":
        return torch.autocast("cuda", dtype=torch.bfloat16)
    return nullcontext()
