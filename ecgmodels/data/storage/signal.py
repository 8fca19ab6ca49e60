"""A signal whose segments lie in several memory-mapped shards, read like one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class ShardedSignal:
    """int16 [segment, lead, time] over shards.

    Indexing gives what an array would: a view where the segments asked for lie next to each other
    in one shard of full length, else a copy. Shards may differ in length: what is shorter than the
    longest is filled with 0 at its end.

    shards: each int16 [row, lead, time of this shard], usually memory-mapped.
    shard: int32 [segment], the shard that a segment lies in.
    row: int64 [segment], its row there.
    """

    shards: tuple[NDArray[np.int16], ...]
    shard: NDArray[np.int32]
    row: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(segments, leads, samples of the longest shard)"""
        longest = max(shard.shape[2] for shard in self.shards)
        return len(self), self.shards[0].shape[1], longest

    @property
    def ndim(self) -> int:
        """3, as an array of this shape has."""
        return 3

    @property
    def dtype(self) -> np.dtype[np.int16]:
        """int16"""
        return np.dtype(np.int16)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole as one array."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __getitem__(self, index: Any) -> NDArray[np.int16]:
        """Return the segments at an index, slice, index array or mask, as numpy does.

        A tuple goes on to choose leads and times.
        """
        if isinstance(index, tuple):
            chosen = self[index[0]]
            return chosen[index[1:]] if chosen.ndim == 2 else chosen[(slice(None), *index[1:])]
        if isinstance(index, int | np.integer):
            return self[np.array([index])][0]
        shard, row = self.shard[index], self.row[index]
        _, leads, samples = self.shape
        if not len(row):
            return np.empty((0, leads, samples), dtype=np.int16)
        if (shard == shard[0]).all() and self.shards[shard[0]].shape[2] == samples:
            source = self.shards[shard[0]]
            first, last = int(row[0]), int(row[-1])
            if last - first == len(row) - 1 and (np.diff(row) == 1).all():
                return source[first : last + 1]
            return source.take(row, axis=0)
        gathered = np.empty((len(row), leads, samples), dtype=np.int16)
        for number in np.unique(shard).tolist():
            here = np.flatnonzero(shard == number)
            source = self.shards[number]
            gathered[here, :, : source.shape[2]] = source[row[here]]
            gathered[here, :, source.shape[2] :] = 0
        return gathered

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("the segments lie in several shards: an array of them is a copy")
        gathered = self[:]
        return np.array(gathered, dtype=dtype, copy=copy)
