from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.storage.signal import ShardedSignal


def make_signal(lengths: list[int], rows: int, seed: int = 0) -> tuple[ShardedSignal, Any]:
    """Return a signal over shards of these lengths, and the array that it stands for."""
    random = np.random.default_rng(seed)
    shards = [random.integers(-9, 9, (4, 2, length)).astype(np.int16) for length in lengths]
    shard = np.sort(random.integers(0, len(shards), rows)).astype(np.int32)
    row = random.integers(0, 4, rows)
    longest = max(lengths)
    expected = np.zeros((rows, 2, longest), dtype=np.int16)
    for segment, (number, own) in enumerate(zip(shard, row, strict=True)):
        expected[segment, :, : lengths[number]] = shards[number][own]
    return ShardedSignal(shards=tuple(shards), shard=shard, row=row), expected


@settings(max_examples=100, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 8), min_size=1, max_size=3),
    rows=st.integers(0, 12),
    data=st.data(),
)
def test_indexing_gives_what_the_array_would(
    lengths: list[int], rows: int, data: st.DataObject
) -> None:
    signal, expected = make_signal(lengths, rows, data.draw(st.integers(0, 1000)))
    assert (signal.shape, len(signal), signal.ndim) == (expected.shape, rows, 3)
    assert signal.nbytes == expected.nbytes
    kinds: list[st.SearchStrategy[Any]] = [
        st.slices(rows),
        st.lists(st.booleans(), min_size=rows, max_size=rows).map(
            lambda mask: np.array(mask, bool)
        ),
    ]
    if rows:
        kinds.append(st.integers(-rows, rows - 1))
        kinds.append(st.lists(st.integers(0, rows - 1)).map(lambda some: np.array(some, int)))
    index = data.draw(st.one_of(kinds))
    np.testing.assert_array_equal(signal[index], expected[index])
    np.testing.assert_array_equal(signal[index, 1], expected[index, 1])
    np.testing.assert_array_equal(np.asarray(signal), expected)


def test_neighbours_in_one_shard_are_a_view() -> None:
    shard = np.arange(5 * 2 * 4, dtype=np.int16).reshape(5, 2, 4)
    signal = ShardedSignal(
        shards=(np.zeros_like(shard), shard),
        shard=np.array([0, 1, 1, 1], np.int32),
        row=np.array([4, 1, 2, 3]),
    )
    assert np.shares_memory(signal[1:], shard)
    assert not np.shares_memory(signal[:], shard)
    np.testing.assert_array_equal(signal[1:], shard[1:4])


def test_a_shard_without_rows_says_how_long_segments_are() -> None:
    shard, longest = np.ones((2, 1, 3), dtype=np.int16), np.empty((0, 1, 5), dtype=np.int16)
    signal = ShardedSignal(shards=(shard, longest), shard=np.zeros(2, np.int32), row=np.arange(2))
    assert signal.shape == (2, 1, 5)
    assert signal[:].tolist() == [[[1, 1, 1, 0, 0]]] * 2


def test_an_array_without_a_copy_cannot_be_had() -> None:
    signal, _ = make_signal([3, 3], 4)
    with pytest.raises(ValueError, match="is a copy"):
        np.asarray(signal, copy=False)
