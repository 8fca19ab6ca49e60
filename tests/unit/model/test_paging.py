from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ecgmodels.loading.paging import (
    BLOCK_BYTES,
    MEMORY_SHARE,
    WINDOW_BYTES,
    Window,
    bring_in,
    read_window,
    stretches,
    usable_memory_bytes,
)


def test_data_that_memory_holds_are_read_in_any_order() -> None:
    memory = 2**30
    fits = int(MEMORY_SHARE * memory) // 1024
    assert read_window(fits, 1024, memory) is None
    assert read_window(fits + 1, 1024, memory) is not None


def test_a_window_is_many_blocks_that_a_disk_reads_at_full_speed() -> None:
    window = read_window(10**9, 1000, 2**30)
    assert window is not None
    assert window.block * 1000 == BLOCK_BYTES // 1000 * 1000
    assert 0.99 * WINDOW_BYTES < window.segments * 1000 <= WINDOW_BYTES


def test_segments_larger_than_a_window_are_still_shuffled() -> None:
    assert read_window(100, 2**30, 2**30) == Window(block=1, blocks=2)


def test_usable_memory_is_some_and_no_more_than_the_machine_has() -> None:
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**20 < usable_memory_bytes() <= machine


@given(rows=st.lists(st.integers(0, 200), min_size=1), joined=st.integers(1, 20))
def test_stretches_cover_every_row_and_lie_apart(rows: list[int], joined: int) -> None:
    found = stretches(np.array(rows), joined)
    assert all(any(first <= row <= last for first, last in found) for row in rows)
    assert all(first in rows and last in rows for first, last in found)
    for (_, before), (after, _) in pairwise(found):
        assert after - before > joined


def test_any_rows_of_a_mapped_file_can_be_brought_in(tmp_path: Path) -> None:
    path = tmp_path / "signal.npy"
    np.save(path, np.arange(3 * 5000, dtype=np.int16).reshape(3, 5000))
    mapped = np.load(path, mmap_mode="r")
    bring_in(mapped, np.array([2, 0]))
    bring_in(mapped, np.array([], np.int64))
    assert mapped[2, -1] == 3 * 5000 - 1
