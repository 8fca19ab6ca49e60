"""How segments that are mapped from files, and may be more than memory holds, are read.

Read in a fully random order, a file larger than memory costs one disk access a segment. So such
data are read in windows: the file is cut into blocks of neighbouring segments, the blocks are
permuted, and the segments of some successive ones, a window, are shuffled together. The disk sees
long stretches, and memory holds two windows: the one being read and the one that comes.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

MEMORY_SHARE = 0.5
"""Mapped data beyond this share of the machine's memory are read in windows: the rest is for the
processes themselves and for what else is cached."""

BLOCK_BYTES = 2**20
"""A block's: long enough for a disk to read at full speed."""

WINDOW_BYTES = 2**27
"""A window's: with 128 blocks from all over the data, batches are mixed well."""

_JOINED_BYTES = 2**18
"""Stretches nearer to each other than this are read as one."""

_MADV_POPULATE_READ = 22
"""Linux's include/uapi/asm-generic/mman-common.h; kernels before 5.14 refuse it."""

_CAN_POPULATE = sys.platform == "linux"

_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),  # version 2
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),  # version 1
)


@dataclass(frozen=True, kw_only=True)
class Window:
    """The stretches in which data are read, counted in segments."""

    block: int
    """Segments that are neighbours in the file and stay together."""
    blocks: int
    """Blocks shuffled together."""

    @property
    def segments(self) -> int:
        """Segments of a whole window."""
        return self.block * self.blocks

    def to_dict(self) -> dict[str, int]:
        return asdict(self)


def read_window(segments: int, segment_bytes: int, memory_bytes: int) -> Window | None:
    """Return the window for data of this size, or None where memory holds them all."""
    if segments * segment_bytes <= MEMORY_SHARE * memory_bytes:
        return None
    block = max(1, BLOCK_BYTES // segment_bytes)
    return Window(block=block, blocks=max(2, WINDOW_BYTES // (block * segment_bytes)))


def usable_memory_bytes() -> int:
    """Return what processes here may use: the machine's memory, or their container's part of it.

    Not what happens to be free: an order of reading that changed from minute to minute could not be
    repeated.
    """
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        try:
            limits.append(int(path.read_text()))
        except (OSError, ValueError):  # not this version, or "max"
            continue
    return min(limits)


def bring_in(array: npt.NDArray[Any], rows: npt.NDArray[np.int64]) -> None:
    """Read these rows of a mapped array from its file into the page cache.

    On Linux (5.14 on) they are there, and mapped, when this returns: at the disk's full speed, and
    without a fault for every page later. Elsewhere the system is only told to begin.
    """
    if _madvise is None or not len(rows) or not array.nbytes:
        return
    row_bytes = array.nbytes // len(array)
    for first, last in stretches(rows, max(1, _JOINED_BYTES // row_bytes)):
        begin = array.ctypes.data + first * row_bytes
        aligned = begin // mmap.PAGESIZE * mmap.PAGESIZE
        length = array.ctypes.data + (last + 1) * row_bytes - aligned
        where = ctypes.c_void_p(aligned), ctypes.c_size_t(length)
        if not _CAN_POPULATE or _madvise(*where, _MADV_POPULATE_READ):
            _madvise(*where, mmap.MADV_WILLNEED)


def stretches(rows: npt.NDArray[np.int64], joined: int) -> list[tuple[int, int]]:
    """Return (first, last) of the stretches that cover `rows`, with gaps of up to `joined` rows."""
    ordered = np.sort(rows)
    cuts = np.flatnonzero(np.diff(ordered) > joined)
    firsts = ordered[np.concatenate([[0], cuts + 1])]
    lasts = ordered[np.concatenate([cuts, [len(ordered) - 1]])]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _load_madvise() -> Any:
    """Python's own `madvise` needs the mapping's object, and pyarrow keeps that to itself."""
    if os.name != "posix" or not hasattr(mmap, "MADV_WILLNEED"):
        return None
    return getattr(ctypes.CDLL(None), "madvise", None)


_madvise = _load_madvise()
