"""Which segments an epoch reads, and in which order, as a pure function of (seed, epoch)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ecgmodels.errors import ConfigError
from ecgmodels.loading.paging import Window

_SHUFFLE, _NOISE = 0, 1  # independent streams of one seed


def steps_per_epoch(segments: int, batch_size: int, segments_per_epoch: int | None) -> int:
    """Return how many batches make an epoch; the last one is as full as the others."""
    return -(-(segments_per_epoch or segments) // batch_size)


def epoch_batches(
    segments: int,
    batch_size: int,
    segments_per_epoch: int | None,
    *,
    seed: int,
    epoch: int,
    rank: int = 0,
    world_size: int = 1,
    window: Window | None = None,
) -> npt.NDArray[np.int64]:
    """Return this rank's part of each batch: int64 [step, segment in batch].

    Training walks along an endless row of fresh permutations of all segments, and an epoch is the
    next stretch of it. So batches are all full and equal on every rank, every segment is read
    before any is read again however short the epoch, and any epoch can be found without the ones
    before it.

    Args:
        window: read in windows (see `segment_order`), as data larger than memory must be.

    Raises:
        ConfigError: `batch_size` does not divide among the ranks.
    """
    if batch_size % world_size:
        raise ConfigError(
            f"batch_size {batch_size} does not divide among {world_size} workers",
            hint=f"make batch_size a multiple of {world_size}",
        )
    steps = steps_per_epoch(segments, batch_size, segments_per_epoch)
    begin = (epoch - 1) * steps * batch_size
    end = begin + steps * batch_size
    first, last = begin // segments, (end - 1) // segments
    row = np.concatenate(
        [
            segment_order(segments, seed=seed, number=number, window=window)
            for number in range(first, last + 1)
        ]
    )
    batches = row[begin - first * segments : end - first * segments].reshape(steps, batch_size)
    share = batch_size // world_size
    return batches[:, rank * share : (rank + 1) * share]


def segment_order(
    segments: int, *, seed: int, number: int, window: Window | None = None
) -> npt.NDArray[np.int64]:
    """Return the permutation int64 [segment] by which all segments are read for the nth time.

    Without a window every order is equally likely. With one, blocks of neighbouring segments are
    permuted, and the segments of each `window.blocks` successive blocks are shuffled together: of
    the order's `window.segments` next ones, all come from that many places in the data.
    """
    random = np.random.default_rng([seed, _SHUFFLE, number])
    if window is None:
        return random.permutation(segments)
    firsts = random.permutation(np.arange(0, segments, window.block))
    # A last block that is short leaves places beyond the end, which are dropped.
    places = (firsts[:, None] + np.arange(window.block)).ravel()
    order = places[places < segments]
    for begin in range(0, segments, window.segments):
        random.shuffle(order[begin : begin + window.segments])
    return order


def noise_seed(seed: int, epoch: int, rank: int) -> int:
    """Return the seed of an epoch's dropout and augmentation on one rank."""
    return int(np.random.SeedSequence([seed, _NOISE, epoch, rank]).generate_state(1, np.uint64)[0])
