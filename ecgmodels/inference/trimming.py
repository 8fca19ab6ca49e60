"""Batches of recordings of unequal length, cut to what is needed.

Segments come as long as the longest of them all, so most of a batch may be padding, which costs
time in every layer. Networks take any length, and answer as they do without the padding, so each
batch is cut to its longest recording, rounded up to one of a few lengths: kernels are prepared, and
chosen, once for each.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing

import torch
from torch import Tensor

from ecgmodels.loading.batches import Batch, DeviceSegments

STEPS_PER_OCTAVE = 8
"""Lengths between one and its double, evenly spaced: at most an eighth of a batch is padding that
none of its recordings needs."""


def trimmed_length(valid: int, samples: int) -> int:
    """Return the length for a longest recording of `valid` samples of at most `samples`."""
    octave = 2 ** (max(valid, 1).bit_length() - 1)
    step = max(1, octave // STEPS_PER_OCTAVE)
    return min(samples, -(-max(valid, 1) // step) * step)


def trimmed(batch: Batch, length: int) -> Batch:
    """Return the batch without what lies beyond `length` samples, as views."""
    return batch._replace(
        signal=batch.signal[..., :length],
        signal_mask=None if batch.signal_mask is None else batch.signal_mask[:, :length],
        template=None if batch.template is None else batch.template[..., :length],
    )


def trimmed_batches(
    data: DeviceSegments, indices: Sequence[Tensor] | Tensor, *, read_ahead: int = 0
) -> Generator[Batch, None, None]:
    """Gather batches as `DeviceSegments.batches` does, each no longer than it must be.

    Close it when no more are wanted: a thread may be at work.
    """
    lengths = _lengths(data, indices)
    with closing(data.batches(indices, read_ahead=read_ahead)) as batches:
        if lengths is None:
            yield from batches
            return
        for batch, length in zip(batches, lengths, strict=True):
            yield trimmed(batch, length)


def by_length(data: DeviceSegments, index: Tensor) -> Tensor:
    """Return the order int64 [place] of `index: int64 [place]` that has like lengths together.

    It is stable, and changes nothing where all segments are valid throughout. Both are on the CPU.
    """
    if data.valid_samples is None or not len(index):
        return torch.arange(len(index))
    valid = data.valid_samples.index_select(0, index.to(data.device))[:, 0].tolist()
    lengths = torch.tensor([trimmed_length(samples, data.samples) for samples in valid])
    return lengths.argsort(stable=True)


def _lengths(data: DeviceSegments, indices: Sequence[Tensor] | Tensor) -> list[int] | None:
    """Return each batch's length, or None where all segments are valid throughout."""
    if data.valid_samples is None or not len(indices):
        return None
    # Brought here all at once: a GPU is waited for once, not before each batch.
    order = torch.cat(list(indices)).to(data.device)
    valid = data.valid_samples.index_select(0, order).cpu().split([len(index) for index in indices])
    return [trimmed_length(int(part.max()), data.samples) for part in valid if len(part)]
