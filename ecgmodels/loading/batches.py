"""Segments as batches on a device: kept where `placement` says, normalised on the way."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError
from ecgmodels.loading.gathering import PIECE_SAMPLES, HostSignal, Normaliser, ReusedMemory
from ecgmodels.loading.placement import Placement, SignalStore, free_bytes, placement, signal_store
from ecgmodels.loading.templates import Templates


class Segments(Protocol):
    """What training reads of `ecgmodels.data.Segments`; numpy arrays or torch tensors."""

    @property
    def signal_uv(self) -> Any:
        """int16 [segment, lead, time], microvolts; an array, or one over several shards"""

    @property
    def valid_samples(self) -> Any:
        """int32 [segment]: samples beyond it are 0, and not the recording's"""

    @property
    def label(self) -> Any:
        """int64 [segment], -1 where unlabelled; or uint8 [segment, class] for multi-label"""

    @property
    def features(self) -> Any:
        """float32 [segment, feature], NaN where unknown"""

    @property
    def record(self) -> Any:
        """int32 [segment]: the record that a segment was cut from"""


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
    """float32 [batch, lead, time], normalised; exactly 0, the lead's mean, beyond what is valid"""
    signal_mask: Tensor | None
    """bool [batch, time], True where the signal is the recording's; None where all of it is, for
    every segment of the split. Networks keep to it, and so does augmentation: a time shift holds
    the recording's own edge, and what it or noise puts beyond the end is set to 0 again."""
    features: Tensor
    """float32 [batch, feature], normalised, 0 where unknown"""
    feature_mask: Tensor
    """bool [batch, feature], True where known"""
    label: Tensor
    """int64 [batch], or uint8 [batch, class] for multi-label"""
    template: Tensor | None = None
    """float32 [batch, lead, time]: the median beat of each segment's recording, normalised as the
    signal is, and 0 where the segment's mask leaves the signal out; None where it was not asked
    for. See `ecgmodels.loading.templates`."""

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]:
        """What `ECGNetwork.forward` takes, in its order."""
        return self.signal, self.features, self.feature_mask, self.signal_mask, self.template


def divided(batch: Batch, parts: int) -> list[Batch]:
    """Return the batch in so many parts of nearly equal size, or one a segment if that is fewer."""
    parts = min(parts, len(batch.label))
    if parts == 1:
        return [batch]
    columns = [[None] * parts if column is None else column.tensor_split(parts) for column in batch]
    return [Batch(*part) for part in zip(*columns, strict=True)]


@dataclass(frozen=True, kw_only=True)
class DeviceSegments:
    """A split, ready to be gathered into batches on its device."""

    signal: SignalStore
    samples: int
    segment_samples: int
    """Of all leads."""
    valid_samples: Tensor | None
    """int64 [segment, 1], or None where every segment is valid throughout"""
    features: Tensor
    """float32 [segment, feature], normalised, NaN where unknown; on the device, like the others"""
    label: Tensor
    """int64 [segment], or uint8 [segment, class]"""
    templates: Templates | None
    """Of the recordings that the segments are from; None where not asked for"""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def device(self) -> torch.device:
        return self.label.device

    @property
    def multi_label(self) -> bool:
        """Whether a segment may have several classes."""
        return self.label.ndim == 2

    @property
    def scale(self) -> Tensor:
        """float32 [lead, 1]: what 1 microvolt is in a batch's signal."""
        return self.signal.normaliser.scale

    def batch(self, index: Tensor) -> Batch:
        """Gather the segments at `index: int64 [batch]`."""
        signal = self.signal.gather(index.to(self.signal.index_device))
        index = index.to(self.device)
        template = self.templates.gather(index) if self.templates else None
        mask = self._masked(index, signal, template)
        return Batch(signal, mask, *self._beside(index), template=template)

    def batches(
        self, indices: Sequence[Tensor] | Tensor, *, read_ahead: int = 0
    ) -> Generator[Batch, None, None]:
        """Gather a batch for each of `indices: int64 [batch]`, which may differ in length.

        Close it when no more are wanted: a thread may be at work.

        Several are gathered at once where they are small, and where that saves time, ahead of
        their use (see `ecgmodels.loading.placement`).

        Args:
            indices: on any device; several, or a matrix int64 [step, segment in batch].
            read_ahead: so many segments at a time are read from the disk before they are wanted.
        """
        if isinstance(indices, Tensor):
            sizes, order = [indices.shape[1]] * len(indices), indices.reshape(-1)
        else:
            sizes = [len(index) for index in indices]
            order = torch.cat(list(indices)) if sizes else torch.empty(0, dtype=torch.int64)
        if not len(order):
            return
        together = max(1, PIECE_SAMPLES // max(1, self.segment_samples * max(sizes)))
        groups = [sizes[begin : begin + together] for begin in range(0, len(sizes), together)]
        pieces = [sum(group) for group in groups]
        here = order.to(self.device)
        # All at once, while the little that they are read from is in the cache.
        beside = zip(*(column.split(sizes) for column in self._beside(here)), strict=True)
        wanted = order.to(self.signal.index_device).split(pieces)
        memory = ReusedMemory()
        with closing(self.signal.stream(wanted, read_ahead)) as signals:
            for signal, index, group in zip(signals, here.split(pieces), groups, strict=True):
                template = self.templates.gather(index, memory) if self.templates else None
                mask = self._masked(index, signal, template)
                masks, templates = _split(mask, group), _split(template, group)
                for own, own_mask, own_template in zip(
                    signal.split(group), masks, templates, strict=True
                ):
                    features, known, label = next(beside)
                    yield Batch(own, own_mask, features, known, label, own_template)

    def _beside(self, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return features, their mask and labels."""
        # Not index_select, which takes five times as long for rows of a few numbers.
        features = self.features[index]
        unknown = features.isnan()
        label = self.label.index_select(0, index)
        return features.masked_fill_(unknown, 0), unknown.logical_not_(), label

    def _masked(self, index: Tensor, *signals: Tensor | None) -> Tensor | None:
        """Return the segments' mask, and set what it leaves out of their signals to 0."""
        if self.valid_samples is None:
            return None
        time = torch.arange(self.samples, device=self.device)
        mask = time < self.valid_samples.index_select(0, index)
        beyond = ~mask[:, None]
        for signal in signals:
            if signal is not None:
                signal.masked_fill_(beyond, 0)
        return mask


def to_device(
    segments: Segments,
    normalisation: Normalisation,
    *,
    names: Sequence[str],
    wanted: Sequence[str],
    device: torch.device,
    place: Placement | None = None,
    template: bool = False,
) -> DeviceSegments:
    """Make segments ready on `device` with the `wanted` ones of their features, called `names`.

    On the CPU a memory-mapped signal stays mapped. A lead or feature that never varies is centred
    and left unscaled.

    Args:
        place: where the signals are kept; by default as `ecgmodels.loading.placement` decides.
        template: whether batches have the median beat of each segment's recording, which is made
            here, of these segments alone, and kept on the device.

    Raises:
        ConfigError: a wanted feature is not among the names.
    """
    columns = [_column(name, names) for name in wanted]
    mean = np.asarray(normalisation.feature_mean, np.float32)[columns]
    std = np.asarray(normalisation.feature_std, np.float32)[columns]
    std = np.where(std > 0, std, np.float32(1))
    features = (np.asarray(segments.features, np.float32)[:, columns] - mean) / std
    signal = HostSignal(segments.signal_uv)
    samples = signal.shape[2]
    normaliser = Normaliser(
        normalisation.signal_mean_uv, normalisation.signal_std_uv, samples, device
    )
    if place is None:
        place = placement(signal.nbytes, device, free_bytes(device))
    return DeviceSegments(
        signal=signal_store(signal, normaliser, device, place),
        samples=samples,
        segment_samples=signal.segment_samples,
        valid_samples=_partly_valid(segments.valid_samples, samples, device),
        features=torch.from_numpy(features).to(device),
        label=torch.from_numpy(np.array(segments.label)).to(device),
        templates=Templates.of(
            signal,
            normaliser,
            valid_samples=segments.valid_samples,
            record=segments.record,
            device=device,
        )
        if template
        else None,
    )


def _column(name: str, names: Sequence[str]) -> int:
    if name not in names:
        raise ConfigError(
            f"the data have no feature '{name}'",
            hint=nearest_hint(name, names)
            if names
            else "tell the names of the data's features (`feature_names=dataset.features`, say), "
            "or leave them out of the model",
        )
    return list(names).index(name)


def _split(whole: Tensor | None, sizes: list[int]) -> Sequence[Tensor | None]:
    return [None] * len(sizes) if whole is None else whole.split(sizes)


def _partly_valid(valid_samples: Any, samples: int, device: torch.device) -> Tensor | None:
    valid = np.asarray(valid_samples, np.int64)
    if (valid >= samples).all():
        return None
    return torch.from_numpy(valid[:, None]).to(device)
