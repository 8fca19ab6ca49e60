from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgmodels import ConfigError
from ecgmodels.sampling import epoch_batches, noise_seed


def test_an_epoch_reads_every_segment_once() -> None:
    batches = epoch_batches(128, 16, None, seed=0, epoch=1)
    assert batches.shape == (8, 16)
    assert sorted(batches.ravel()) == list(range(128))


@given(
    segments=st.integers(1, 300),
    batch_size=st.integers(1, 64),
    segments_per_epoch=st.none() | st.integers(1, 400),
)
def test_no_segment_is_read_twice_more_than_another(
    segments: int, batch_size: int, segments_per_epoch: int | None
) -> None:
    epochs = [
        epoch_batches(segments, batch_size, segments_per_epoch, seed=3, epoch=epoch)
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


@given(world_size=st.sampled_from([1, 2, 4, 8]), segments=st.integers(1, 100))
def test_ranks_share_each_batch_equally_and_together_read_one_ranks_batches(
    world_size: int, segments: int
) -> None:
    parts = [
        epoch_batches(segments, 16, None, seed=0, epoch=2, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    together = np.concatenate(parts, axis=1)
    assert (together == epoch_batches(segments, 16, None, seed=0, epoch=2)).all()


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(ConfigError, match="batch_size 10 does not divide among 4 workers"):
        epoch_batches(100, 10, None, seed=0, epoch=1, world_size=4)


def test_noise_differs_between_epochs_ranks_and_seeds() -> None:
    seeds = {noise_seed(s, e, r) for s in range(3) for e in range(3) for r in range(3)}
    assert len(seeds) == 27
