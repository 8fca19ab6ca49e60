"""Probabilities from an exported network, as `ecgmodels.inference` has them from torch."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import numpy as np
import torch
from numpy.typing import NDArray

from ecgmodels.export.session import OnnxModel
from ecgmodels.loading.batches import Normalisation, Segments, to_device


def predict_exported(
    model: OnnxModel,
    segments: Segments,
    normalisation: Normalisation,
    *,
    feature_names: Sequence[str] = (),
    multi_label: bool | None = None,
    batch_size: int = 1,
) -> NDArray[np.float32]:
    """Return probabilities float32 [segment, class].

    An exported network has no mask: what fills a segment that is shorter than the others is the
    lead's mean to it, and looked at.

    Args:
        normalisation: of the dataset's features, which may be more than the model's.
        feature_names: the names of the segments' features, in their order.
        multi_label: whether each class has a probability of its own; by default as the segments'
            labels are.
        batch_size: a quantised network rounds by the range of the whole batch, so that only with
            1 is a segment's result its own.

    Raises:
        ConfigError: the model uses a feature that the segments lack.
    """
    data = to_device(
        segments,
        normalisation,
        names=feature_names,
        wanted=model.card["features"],
        device=torch.device("cpu"),
        template="template" in model.inputs,
    )
    if multi_label is None:
        multi_label = data.multi_label
    logits = [np.empty((0, model.classes), np.float32)]
    with closing(data.batches(torch.arange(len(data)).split(batch_size))) as batches:
        for batch in batches:
            given = {name: getattr(batch, name) for name in model.inputs}
            logits.append(model.logits({name: x.numpy() for name, x in given.items()}))
    return _probabilities(torch.from_numpy(np.concatenate(logits)), multi_label=multi_label)


def _probabilities(logits: torch.Tensor, *, multi_label: bool) -> NDArray[np.float32]:
    return (logits.sigmoid() if multi_label else logits.softmax(dim=1)).numpy()
