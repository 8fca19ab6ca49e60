"""Segments on the device: moved there once as int16, gathered and normalised there."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError


class Segments(Protocol):
    """What training reads of `ecgmodels.data.Segments`; numpy arrays or torch tensors."""

    @property
    def signal_uv(self) -> Any:
        """int16 [segment, lead, time], microvolts"""

    @property
    def label(self) -> Any:
        """int64 [segment]"""

    @property
    def features(self) -> Any:
        """float32 [segment, feature], NaN where unknown"""


class Normalisation(Protocol):
    """What training reads of `ecgmodels.data.Normalisation`."""

    @property
    def signal_mean_uv(self) -> Sequence[float]:
        """One a lead."""

    @property
    def signal_std_uv(self) -> Sequence[float]:
        """One a lead."""

    @property
    def feature_mean(self) -> Sequence[float]:
        """One a feature."""

    @property
    def feature_std(self) -> Sequence[float]:
        """One a feature."""


class Batch(NamedTuple):
    """What the model and the loss take."""

    signal: Tensor
    """float32 [batch, lead, time], normalised"""
    features: Tensor
    """float32 [batch, feature], normalised, 0 where unknown"""
    feature_mask: Tensor
    """bool [batch, feature], True where known"""
    label: Tensor
    """int64 [batch]"""


@dataclass(frozen=True, kw_only=True)
class DeviceSegments:
    """A whole split on the device, ready to be gathered into batches."""

    signal_uv: Tensor
    features: Tensor
    feature_mask: Tensor
    label: Tensor
    scale: Tensor
    """float32 [lead, 1]: 1 / standard deviation, per microvolt"""
    offset: Tensor
    """float32 [lead, 1]: -mean / standard deviation"""

    def __len__(self) -> int:
        return len(self.label)

    def batch(self, index: Tensor) -> Batch:
        """Gather the segments at `index: int64 [batch]`."""
        signal_uv = self.signal_uv.index_select(0, index).float()
        return Batch(
            signal=torch.addcmul(self.offset, signal_uv, self.scale),
            features=self.features.index_select(0, index),
            feature_mask=self.feature_mask.index_select(0, index),
            label=self.label.index_select(0, index),
        )


def to_device(
    segments: Segments,
    normalisation: Normalisation,
    *,
    names: Sequence[str],
    wanted: Sequence[str],
    device: torch.device,
) -> DeviceSegments:
    """Put segments on `device` with the `wanted` ones of their features, called `names`.

    On the CPU a memory-mapped signal stays mapped. A lead or feature that never varies is centred
    and left unscaled.

    Raises:
        ConfigError: a wanted feature is not among the names.
    """
    columns = [_column(name, names) for name in wanted]
    mean = np.asarray(normalisation.feature_mean, np.float32)[columns]
    std = _or_one(np.asarray(normalisation.feature_std, np.float32)[columns])
    features = (np.asarray(segments.features, np.float32)[:, columns] - mean) / std
    signal_mean_uv = np.asarray(normalisation.signal_mean_uv, np.float32)
    signal_std_uv = _or_one(np.asarray(normalisation.signal_std_uv, np.float32))
    return DeviceSegments(
        signal_uv=_tensor(segments.signal_uv, device),
        features=_tensor(np.nan_to_num(features, nan=0.0), device),
        feature_mask=_tensor(~np.isnan(features), device),
        label=_tensor(segments.label, device),
        scale=_tensor((1 / signal_std_uv)[:, None], device),
        offset=_tensor((-signal_mean_uv / signal_std_uv)[:, None], device),
    )


def _column(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise ConfigError(
            f"the data have no feature '{name}'",
            hint=nearest_hint(name, names) if names else "set features to () and fusion to 'none'",
        )
    return list(names).index(name)


def _or_one(std: np.ndarray[Any, np.dtype[np.float32]]) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.where(std > 0, std, np.float32(1))


def _tensor(values: Any, device: torch.device) -> Tensor:
    with warnings.catch_warnings():
        # Mapped shards are read-only, and nothing here writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.as_tensor(values).to(device)
