from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgmodels import ConfigError
from ecgmodels.loading.paging import Window
from ecgmodels.loading.sampling import epoch_batches, noise_seed, segment_order

WINDOWS = st.none() | st.builds(Window, block=st.integers(1, 9), blocks=st.integers(2, 5))


def test_an_epoch_reads_every_segment_once() -> None:
    batches = epoch_batches(128, 16, None, seed=0, epoch=1)
    assert batches.shape == (8, 16)
    assert sorted(batches.ravel()) == list(range(128))


@given(
    segments=st.integers(1, 300),
    batch_size=st.integers(1, 64),
    segments_per_epoch=st.none() | st.integers(1, 400),
    window=WINDOWS,
)
def test_no_segment_is_read_twice_more_than_another(
    segments: int, batch_size: int, segments_per_epoch: int | None, window: Window | None
) -> None:
    epochs = [
        epoch_batches(segments, batch_size, segments_per_epoch, seed=3, epoch=epoch, window=window)
        for epoch in range(1, 6)
    ]
    for batches in epochs:
        assert batches.shape == epochs[0].shape
        assert batches.shape[1] == batch_size
    counts = np.bincount(np.concatenate(epochs).ravel(), minlength=segments)
    assert counts.max() - counts.min() <= 1


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    first = epoch_batches(64, 8, None, seed=0, epoch=1)
    assert (first == epoch_batches(64, 8, None, seed=0, epoch=1)).all()
    assert (first != epoch_batches(64, 8, None, seed=0, epoch=2)).any()
    assert (first != epoch_batches(64, 8, None, seed=1, epoch=1)).any()


@given(
    world_size=st.sampled_from([1, 2, 4, 8]),
    segments=st.integers(1, 100),
    epoch=st.integers(1, 4),
    window=WINDOWS,
)
def test_ranks_share_each_batch_equally_and_together_read_one_ranks_batches(
    world_size: int, segments: int, epoch: int, window: Window | None
) -> None:
    parts = [
        epoch_batches(
            segments,
            16,
            None,
            seed=0,
            epoch=epoch,
            rank=rank,
            world_size=world_size,
            window=window,
        )
        for rank in range(world_size)
    ]
    assert len({part.shape for part in parts}) == 1
    together = np.concatenate(parts, axis=1)
    assert (together == epoch_batches(segments, 16, None, seed=0, epoch=epoch, window=window)).all()


@given(segments=st.integers(16, 200), seed=st.integers(0, 9), window=WINDOWS)
def test_ranks_read_disjoint_segments_of_an_epoch_and_an_uneven_tail_drops_none(
    segments: int, seed: int, window: Window | None
) -> None:
    ranks = [
        epoch_batches(segments, 16, None, seed=seed, epoch=1, rank=r, world_size=4, window=window)
        for r in range(4)
    ]
    read = np.concatenate([part.ravel() for part in ranks])
    assert set(read) == set(range(segments))
    # Only what fills the last batch up is read again, and from the next epoch's start.
    assert len(read) - segments == -segments % 16
    assert np.bincount(read).max() <= 2


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size 10 does not divide among 4 workers"):
        epoch_batches(100, 10, None, seed=0, epoch=1, world_size=4)


def test_noise_differs_between_epochs_ranks_and_seeds() -> None:
    seeds = {noise_seed(s, e, r) for s in range(3) for e in range(3) for r in range(3)}
    assert len(seeds) == 27


@given(
    segments=st.integers(1, 400),
    seed=st.integers(0, 9),
    number=st.integers(0, 3),
    window=WINDOWS,
)
def test_every_order_is_a_permutation_of_its_own(
    segments: int, seed: int, number: int, window: Window | None
) -> None:
    order = segment_order(segments, seed=seed, number=number, window=window)
    assert sorted(order) == list(range(segments))
    assert (order == segment_order(segments, seed=seed, number=number, window=window)).all()
    if segments >= 100:
        for other in ((seed + 1, number), (seed, number + 1)):
            again = segment_order(segments, seed=other[0], number=other[1], window=window)
            assert (order != again).any()


@given(segments=st.integers(1, 1000), block=st.integers(1, 20), blocks=st.integers(2, 6))
def test_a_window_reads_few_blocks_and_mixes_them(segments: int, block: int, blocks: int) -> None:
    window = Window(block=block, blocks=blocks)
    order = segment_order(segments, seed=0, number=0, window=window)
    for begin in range(0, segments, window.segments):
        places = np.unique(order[begin : begin + window.segments] // block)
        # The data's last block may be short, and then one window reaches into one block more.
        assert len(places) <= blocks + 1


def test_the_segments_of_a_window_come_in_no_order() -> None:
    window = Window(block=100, blocks=10)
    order = segment_order(100_000, seed=0, number=0, window=window)
    first = order[:1000]
    assert len(np.unique(first[:100] // 100)) > 5  # a batch comes from most of its window's blocks
    neighbours = (np.diff(first) == 1).mean()
    assert neighbours < 0.02
