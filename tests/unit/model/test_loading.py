"""Segments in shards, one array or a stream: the same batches wherever they are kept."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels import TrainingData
from ecgmodels.loading.batches import Batch, DeviceSegments, to_device
from ecgmodels.loading.gathering import PIECE_SAMPLES
from ecgmodels.loading.placement import Placement, placement

CPU = torch.device("cpu")
PLACES: tuple[Placement, ...] = ("mapped", "resident", "streamed")
LEADS = 2
MEAN_UV, STD_UV = (10.0, -20.0), (100.0, 50.0)


@dataclasses.dataclass(frozen=True)
class Shards:
    """As `ecgmodels.data.storage.signal.ShardedSignal`."""

    shards: tuple[np.ndarray[Any, np.dtype[np.int16]], ...]
    shard: np.ndarray[Any, np.dtype[np.int32]]
    row: np.ndarray[Any, np.dtype[np.int64]]


@dataclasses.dataclass(frozen=True)
class Cut:
    signal_uv: Any
    valid_samples: np.ndarray[Any, np.dtype[np.int32]]
    label: np.ndarray[Any, Any]
    features: np.ndarray[Any, np.dtype[np.float32]]
    record: np.ndarray[Any, np.dtype[np.int32]]


@dataclasses.dataclass(frozen=True)
class Statistics:
    signal_mean_uv: tuple[float, ...] = MEAN_UV
    signal_std_uv: tuple[float, ...] = STD_UV
    feature_mean: tuple[float, ...] = (60.0,)
    feature_std: tuple[float, ...] = (15.0,)


def cut(signal_uv: Any, segments: int, valid_samples: Any) -> Cut:
    random = np.random.default_rng(1)
    age = random.normal(60, 15, (segments, 1)).astype(np.float32)
    age[::3] = np.nan
    return Cut(
        signal_uv=signal_uv,
        valid_samples=np.asarray(valid_samples, np.int32),
        label=random.integers(3, size=segments),
        features=age,
        record=np.arange(segments, dtype=np.int32),
    )


def sharded(rows: Sequence[int], lengths: Sequence[int], seed: int = 0) -> Cut:
    """Segments in random order over shards of so many rows, and of so many samples each."""
    random = np.random.default_rng(seed)
    shards = tuple(
        random.integers(-3000, 3000, (count, LEADS, length), dtype=np.int16)
        for count, length in zip(rows, lengths, strict=True)
    )
    shard = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    row = np.concatenate([np.arange(count) for count in rows])
    mixed = random.permutation(len(row))
    signal = Shards(shards, shard[mixed], row[mixed])
    return cut(signal, len(row), np.array(lengths)[shard[mixed]])


def ready(segments: Cut, place: Placement, *, template: bool = False) -> DeviceSegments:
    return to_device(
        segments,
        Statistics(),
        names=("age",),
        wanted=("age",),
        device=CPU,
        place=place,
        template=template,
    )


def expected_signal(segments: Cut, index: Sequence[int]) -> np.ndarray[Any, Any]:
    """One segment after another, without any of the code under test."""
    signal = segments.signal_uv
    samples = max(shard.shape[2] for shard in signal.shards)
    result = np.zeros((len(index), LEADS, samples))
    for place, segment in enumerate(index):
        microvolts = signal.shards[signal.shard[segment]][signal.row[segment]].astype(float)
        normalised = (microvolts - np.array(MEAN_UV)[:, None]) / np.array(STD_UV)[:, None]
        result[place, :, : microvolts.shape[1]] = normalised
    return result


def assert_equal(one: Batch, other: Batch) -> None:
    for name, first, second in zip(Batch._fields, one, other, strict=True):
        assert (first is None) == (second is None), name
        assert first is None or torch.equal(first, second), name


@settings(max_examples=40, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    shards=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([5, 8])), min_size=1, max_size=4),
    sizes=st.lists(st.integers(0, 7), max_size=5),
    seed=st.integers(0, 99),
    read_ahead=st.sampled_from([0, 1, 6]),
)
def test_batches_hold_the_segments_asked_for_wherever_they_are_kept(
    place: Placement,
    shards: list[tuple[int, int]],
    sizes: list[int],
    seed: int,
    read_ahead: int,
) -> None:
    rows, lengths = zip(*shards, strict=True)
    segments = sharded(rows, lengths, seed)
    random = np.random.default_rng(seed)
    indices = [torch.from_numpy(random.integers(sum(rows), size=size)) for size in sizes]
    data = ready(segments, place)
    batches = list(data.batches(indices, read_ahead=read_ahead))
    if sum(sizes):
        assert [len(batch.label) for batch in batches] == sizes
    for index, batch in zip(indices, batches, strict=False):
        expected = expected_signal(segments, index.tolist())
        np.testing.assert_allclose(batch.signal, expected, rtol=1e-5, atol=1e-5)
        assert batch.label.tolist() == segments.label[index.numpy()].tolist()
        assert batch.feature_mask.tolist() == (~np.isnan(segments.features[index.numpy()])).tolist()
        if len(index):
            assert_equal(batch, data.batch(index))


@pytest.mark.parametrize("place", PLACES)
def test_batches_larger_and_smaller_than_a_piece_are_the_same(place: Placement) -> None:
    samples = 4096
    rows = PIECE_SAMPLES // (LEADS * samples) + 5
    segments = sharded((rows, 3), (samples, samples))
    data = ready(segments, place)
    index = torch.randperm(rows + 3, generator=torch.Generator().manual_seed(0))
    (whole,) = data.batches([index])
    np.testing.assert_allclose(
        whole.signal, expected_signal(segments, index.tolist()), rtol=1e-5, atol=1e-5
    )
    small = list(data.batches(index.split(1)))
    assert torch.equal(torch.cat([batch.signal for batch in small]), whole.signal)


@pytest.mark.parametrize("place", PLACES)
def test_batches_that_are_held_are_not_overwritten(place: Placement) -> None:
    samples = PIECE_SAMPLES // 8
    segments = sharded((6, 6), (samples, samples))
    data = ready(segments, place)
    indices = torch.arange(12).split(1)
    held = list(data.batches(indices))  # many times the memory that is reused
    for index, batch in zip(indices, held, strict=True):
        assert_equal(batch, data.batch(index))


def test_memory_is_used_again_when_its_batch_is_gone() -> None:
    samples = PIECE_SAMPLES // 2
    data = ready(sharded((16,), (samples,)), "mapped")
    places = {batch.signal.data_ptr() for batch in data.batches(torch.arange(16).split(1))}
    assert len(places) <= 3


@pytest.mark.parametrize("place", PLACES)
def test_beyond_what_is_valid_the_signal_is_exactly_0(place: Placement) -> None:
    segments = sharded((4, 4), (10, 10))
    short = dataclasses.replace(segments, valid_samples=np.array([10, 3] * 4, np.int32))
    batch = ready(short, place).batch(torch.arange(8))
    assert batch.signal_mask is not None
    assert batch.signal_mask.sum(dim=1).tolist() == [10, 3] * 4
    assert (batch.signal[1::2, :, 3:] == 0).all()
    whole = ready(segments, place).batch(torch.arange(8)).signal
    assert torch.equal(batch.signal[1, :, :3], whole[1, :, :3])
    assert torch.equal(batch.signal[0], whole[0])


def test_segments_that_are_valid_throughout_have_no_mask() -> None:
    data = ready(sharded((4,), (10,)), "mapped")
    assert data.valid_samples is None
    assert data.batch(torch.arange(4)).signal_mask is None


def test_a_lead_that_never_varies_is_centred_and_left_unscaled() -> None:
    signal_uv = np.full((3, LEADS, 6), 110, np.int16)
    flat = dataclasses.replace(Statistics(), signal_std_uv=(0.0, 50.0))
    data = to_device(cut(signal_uv, 3, [6] * 3), flat, names=(), wanted=(), device=CPU)
    signal = data.batch(torch.arange(3)).signal
    assert (signal[:, 0] == 100).all()
    torch.testing.assert_close(signal[:, 1], torch.full((3, 6), 2.6))


@pytest.mark.parametrize("place", PLACES)
def test_no_thread_is_left_behind_by_batches_that_nobody_wants_any_more(place: Placement) -> None:
    samples = PIECE_SAMPLES // 2
    batches = ready(sharded((64,), (samples,)), place).batches(
        torch.arange(64).split(1), read_ahead=8
    )
    next(batches)
    batches.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "prefetching"]


@pytest.mark.parametrize("place", ["mapped", "streamed"])
def test_what_fails_while_gathering_ahead_is_raised_where_batches_are_read(
    place: Placement,
) -> None:
    data = ready(sharded((5,), (8,)), place)
    with pytest.raises((IndexError, RuntimeError), match="index 5 is out of"):
        list(data.batches([torch.tensor([1]), torch.tensor([5])], read_ahead=2))


def test_a_mapped_file_is_read_ahead_and_not_copied(
    waves: Callable[..., TrainingData], tmp_path: Path
) -> None:
    data = waves(32, 16)
    np.save(tmp_path / "signal.npy", data.train.signal_uv)
    mapped = np.load(tmp_path / "signal.npy", mmap_mode="r")
    segments = dataclasses.replace(data.train, signal_uv=mapped)
    on_device = to_device(segments, data.normalisation, names=(), wanted=(), device=CPU)
    (batch,) = on_device.batches([torch.tensor([3, 1])], read_ahead=2)
    np.testing.assert_allclose(batch.signal, data.train.signal_uv[[3, 1]] / 350, rtol=1e-5)


def test_a_cpu_maps_and_an_accelerator_keeps_what_fits_in_half_of_its_free_memory() -> None:
    gpu = torch.device("cuda", 0)
    assert placement(10**15, CPU, None) == "mapped"
    assert placement(40, gpu, 80) == "resident"
    assert placement(41, gpu, 80) == "streamed"
    assert placement(10**15, torch.device("mps"), None) == "resident"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("place", ["resident", "streamed"])
def test_a_gpu_gets_the_batches_that_the_cpu_gets(place: Placement) -> None:
    segments = sharded((700, 300, 24), (256, 256, 200))
    indices = torch.randperm(1024).split(100)
    on_gpu = to_device(
        segments,
        Statistics(),
        names=("age",),
        wanted=("age",),
        device=torch.device("cuda", 0),
        place=place,
        template=True,
    )
    # Held while the next ones come, so that memory used again too soon would show.
    batches = list(on_gpu.batches(indices, read_ahead=256))
    for index, batch in zip(indices, batches, strict=True):
        expected = ready(segments, "mapped", template=True).batch(index)
        for part, other in zip(batch, expected, strict=True):
            assert part is not None
            assert part.is_cuda
            torch.testing.assert_close(part.cpu(), other)
