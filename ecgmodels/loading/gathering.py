"""Segments in host memory or in mapped files, gathered by index.

Every signal passes here on its way from the shards to a batch, so this is where bytes are counted:
a gather reads each int16 once and writes each float32 once; what lies between stays in the
processor's cache.
"""

from __future__ import annotations

import math
import warnings
import weakref
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ecgmodels.loading.paging import bring_in

PIECE_SAMPLES = 2**19
"""Samples gathered at once: 1 MiB of int16 and 2 MiB of float32. Small batches are put together to
about this size, which divides the cost of calling torch among them and gives each thread enough;
large ones are cut, so that what is gathered is still in the cache when it is normalised."""


@runtime_checkable
class Sharded(Protocol):
    """What is read here of `ecgmodels.data.storage.signal.ShardedSignal`."""

    @property
    def shards(self) -> Sequence[npt.NDArray[np.int16]]:
        """Each int16 [row, lead, time of this shard]."""

    @property
    def shard(self) -> npt.NDArray[np.int32]:
        """int32 [segment]"""

    @property
    def row(self) -> npt.NDArray[np.int64]:
        """int64 [segment]"""


class Normaliser:
    """(microvolts - mean) / standard deviation of each lead, as one multiply-add."""

    def __init__(
        self, mean_uv: npt.ArrayLike, std_uv: npt.ArrayLike, samples: int, device: torch.device
    ) -> None:
        """Leads that never vary (standard deviation 0) are centred and left unscaled."""
        mean, std = (np.asarray(values, np.float32)[:, None] for values in (mean_uv, std_uv))
        std = np.where(std > 0, std, np.float32(1))
        self.scale = torch.from_numpy(1 / std).to(device)
        """float32 [lead, 1]: 1 / standard deviation, per microvolt"""
        # Written out to lead x time: torch's multiply-add is vectorised only over neighbours, which
        # makes it five times as fast as with [lead, 1], and equal to the last bit.
        self._scale = self.scale.expand(-1, samples).reshape(-1)
        self._offset = torch.from_numpy(-mean / std).to(device).expand(-1, samples).reshape(-1)

    def __call__(self, raw: Tensor) -> Tensor:
        """Return `raw: int16 [batch, lead, time]` as float32 of the same shape."""
        return self.into(raw, torch.empty(raw.shape, device=raw.device))

    def into(self, raw: Tensor, out: Tensor) -> Tensor:
        """Write the normalised `raw` to `out: float32 [batch, lead, time]`."""
        rows = out.copy_(raw).flatten(1)
        torch.addcmul(self._offset, rows, self._scale, out=rows)
        return out


class HostSignal:
    """int16 [segment, lead, time], in one array or over shards; nothing is copied to make it."""

    def __init__(self, signal_uv: Any) -> None:
        """Take a numpy array, a torch tensor on the CPU, or a `Sharded` signal."""
        self._row: npt.NDArray[np.int64] | None = None
        if isinstance(signal_uv, Sharded):
            self.shards = tuple(_tensor(shard) for shard in signal_uv.shards)
            # 16 bits where they suffice: numpy sorts those several times as fast.
            few = len(self.shards) <= 2**15
            self._shard = np.asarray(signal_uv.shard, np.int16 if few else np.int32)
            self._row = np.asarray(signal_uv.row, np.int64)
        else:
            self.shards = (_tensor(signal_uv),)
        first = self.shards[0]
        segments = len(first) if self._row is None else len(self._row)
        self.shape = (segments, first.shape[1], max(shard.shape[2] for shard in self.shards))
        """(segments, leads, samples of the longest shard)"""

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def segment_samples(self) -> int:
        """Samples of all leads of one segment."""
        return self.shape[1] * self.shape[2]

    @property
    def nbytes(self) -> int:
        """Bytes of the whole as one array."""
        return len(self) * self.segment_samples * 2

    def gather(self, index: Tensor, out: Tensor, memory: ReusedMemory | None = None) -> Tensor:
        """Write the segments at `index: int64 [batch]` to `out: int16 [batch, lead, time]`.

        A segment of a shard whose segments are shorter ends in zeros. `memory` gives what must be
        kept meanwhile.
        """
        if self._row is None:
            return torch.index_select(self.shards[0], 0, index, out=out)
        if not len(index):
            return out
        order, rows, shards = self._by_shard(index.numpy())
        if len(shards) == 1:
            return self._select(shards[0][0], rows, out)
        # Shard by shard into one stretch, then into the order asked for.
        stretch = (memory or ReusedMemory()).take(out.shape, np.int16)
        for number, begin, end in shards:
            self._select(number, rows[begin:end], stretch[begin:end])
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return torch.index_select(stretch, 0, torch.from_numpy(place), out=out)

    def normalised(
        self,
        index: Tensor,
        normaliser: Normaliser,
        out: Tensor,
        memory: ReusedMemory,
    ) -> Tensor:
        """Write the segments at `index`, normalised, to `out: float32 [batch, lead, time]`."""
        rows = max(1, PIECE_SAMPLES // self.segment_samples)
        for places, target in zip(index.split(rows), out.split(rows), strict=True):
            raw = memory.take(target.shape, np.int16)
            normaliser.into(self.gather(places, raw, memory), target)
            del raw
        return out

    def bring_in(self, index: Tensor) -> None:
        """Read these segments' stretches of the files into the page cache."""
        _, rows, shards = self._by_shard(index.numpy())
        for number, begin, end in shards:
            bring_in(self.shards[number].numpy(), rows[begin:end])

    def _by_shard(
        self, index: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], list[tuple[int, int, int]]]:
        """Return `index` sorted by shard: its order, the rows, and (shard, begin, end) of each."""
        if self._row is None:
            return np.arange(len(index)), index, [(0, 0, len(index))]
        shard = self._shard[index]
        if (shard == shard[0]).all():
            return np.arange(len(index)), self._row[index], [(int(shard[0]), 0, len(index))]
        order = shard.argsort(kind="stable")
        shard = shard[order]
        bounds = [0, *(np.flatnonzero(np.diff(shard)) + 1).tolist(), len(shard)]
        parts = [(int(shard[begin]), begin, end) for begin, end in pairwise(bounds)]
        return order, self._row[index[order]], parts

    def _select(self, number: int, rows: npt.NDArray[np.int64], out: Tensor) -> Tensor:
        source, index = self.shards[number], torch.from_numpy(rows)
        length = source.shape[2]
        if length == out.shape[2]:
            return torch.index_select(source, 0, index, out=out)
        out[:, :, :length] = source.index_select(0, index)
        out[:, :, length:] = 0
        return out


class ReusedMemory:
    """Memory for batches, used again once nobody holds the batch that it was given out for.

    In fresh memory, which the system has to find and clear page by page, batches take up to half as
    long again.
    """

    _KEPT = 4
    """Blocks: one being written, one or two held by whoever iterates, one of int16."""

    def __init__(self) -> None:
        self._blocks: list[tuple[npt.NDArray[np.uint8], weakref.ref[npt.NDArray[Any]]]] = []

    def take(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        """Return a tensor of undefined content."""
        dtype = np.dtype(dtype)
        needed = math.prod(shape) * dtype.itemsize
        block = self._unused(needed)
        if block is None:
            block = np.empty(needed, np.uint8)
        # Tensors made of this array keep it alive, and those made of them: when it is gone, nobody
        # can read the block any more.
        lent = block[:needed].view(dtype).reshape(tuple(shape))
        self._blocks = [*self._blocks, (block, weakref.ref(lent))][-self._KEPT :]
        return torch.from_numpy(lent)

    def _unused(self, needed: int) -> npt.NDArray[np.uint8] | None:
        for position, (block, lent) in enumerate(self._blocks):
            if lent() is None and needed <= len(block) < 2 * needed:
                del self._blocks[position]
                return block
        return None


def _tensor(values: Any) -> Tensor:
    with warnings.catch_warnings():
        # Mapped shards are read-only, and nothing here writes to them.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.as_tensor(values)
