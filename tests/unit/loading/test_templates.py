"""A recording's median beat stands beside each of its segments, wherever signals are kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels import EfficientECGConfig, build_model, predict
from ecgmodels.data import (
    Dataset,
    PrepareOptions,
    open_dataset,
    prepare,
    write_synthetic_recordings,
)
from ecgmodels.loading.batches import DeviceSegments, to_device
from ecgmodels.loading.gathering import PIECE_SAMPLES, HostSignal, Normaliser, ReusedMemory
from ecgmodels.loading.placement import Placement
from ecgmodels.loading.templates import SEGMENTS_OF_A_TEMPLATE, Templates
from tests.unit.data.made_datasets import make_records, write_dataset

CPU = torch.device("cpu")
PLACES: tuple[Placement, ...] = ("mapped", "resident", "streamed")
MEAN_UV, STD_UV = (10.0, -20.0), (100.0, 50.0)
LEADS = len(MEAN_UV)


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
    record: np.ndarray[Any, np.dtype[np.int32]]
    label: Any
    features: np.ndarray[Any, np.dtype[np.float32]]


@dataclasses.dataclass(frozen=True)
class Statistics:
    signal_mean_uv: tuple[float, ...] = MEAN_UV
    signal_std_uv: tuple[float, ...] = STD_UV
    feature_mean: tuple[float, ...] = ()
    feature_std: tuple[float, ...] = ()


def cut(signal_uv: Any, record: Sequence[int], valid_samples: Sequence[int] | None = None) -> Cut:
    segments = len(record)
    samples = signal_uv.shape[2] if valid_samples is None else 0
    return Cut(
        signal_uv=signal_uv,
        valid_samples=np.asarray(valid_samples or [samples] * segments, np.int32),
        record=np.asarray(record, np.int32),
        label=np.full(segments, -1),
        features=np.empty((segments, 0), np.float32),
    )


def noise(segments: int, samples: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.int16]]:
    random = np.random.default_rng(seed)
    # The range's ends, which stand for nothing else, are among the samples.
    return random.choice(
        np.array([-32768, -500, -3, 0, 2, 400, 32767], np.int16), (segments, LEADS, samples)
    )


def ready(segments: Cut, place: Placement = "mapped", *, template: bool = True) -> DeviceSegments:
    return to_device(
        segments, Statistics(), names=(), wanted=(), device=CPU, place=place, template=template
    )


def templates(data: DeviceSegments) -> torch.Tensor:
    template = data.batch(torch.arange(len(data))).template
    assert template is not None
    return template


def expected(segments: Cut) -> np.ndarray[Any, Any]:
    """One sample after another, without any of the code under test; for up to 256 segments each."""
    signal = segments.signal_uv
    arrays = [
        np.asarray(signal.shards[s])[r] for s, r in zip(signal.shard, signal.row, strict=True)
    ]
    samples = max(shard.shape[2] for shard in signal.shards)
    result = np.zeros((len(arrays), LEADS, samples))
    for segment, valid in enumerate(segments.valid_samples):
        own = np.flatnonzero(segments.record == segments.record[segment])
        for time in range(valid):
            values = [arrays[one][:, time] for one in own if segments.valid_samples[one] > time]
            result[segment, :, time] = (np.median(values, axis=0) - MEAN_UV) / STD_UV
    return result


@settings(max_examples=60, deadline=None)
@given(
    place=st.sampled_from(PLACES),
    shards=st.lists(st.tuples(st.integers(1, 9), st.sampled_from([5, 8])), min_size=1, max_size=3),
    records=st.integers(1, 5),
    partly=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_template_is_the_median_over_the_recordings_valid_samples(
    place: Placement, shards: list[tuple[int, int]], records: int, partly: bool, seed: int
) -> None:
    random = np.random.default_rng(seed)
    rows, lengths = zip(*shards, strict=True)
    shard = np.repeat(np.arange(len(rows), dtype=np.int32), rows)
    row = np.concatenate([np.arange(count) for count in rows])
    mixed = random.permutation(len(row))
    arrays = tuple(noise(count, length, seed) for count, length in shards)
    valid = np.array(lengths)[shard[mixed]]
    if partly:
        valid = random.integers(1, valid + 1)
    segments = cut(
        Shards(arrays, shard[mixed], row[mixed]),
        random.integers(records, size=len(row)).tolist(),
        valid.tolist(),
    )
    found = templates(ready(segments, place))
    np.testing.assert_allclose(found, expected(segments), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("place", PLACES)
def test_batches_of_any_size_have_the_templates_of_their_segments(place: Placement) -> None:
    samples = PIECE_SAMPLES // 16
    valid = [samples, samples // 2] * 10
    segments = cut(noise(20, samples), [number // 3 for number in range(20)], valid)
    data = ready(segments, place)
    index = torch.randperm(20, generator=torch.Generator().manual_seed(0))
    # All are held, so that memory used again too soon would show.
    batches = list(data.batches(index.split([1, 7, 1, 11])))
    together = torch.cat([batch.template for batch in batches if batch.template is not None])
    assert torch.equal(together, templates(data)[index])
    for batch in batches:
        assert batch.template is not None
        assert batch.signal_mask is not None
        assert (batch.template.abs().sum(dim=1)[~batch.signal_mask] == 0).all()


def test_a_segment_alone_in_its_recording_is_its_own_template() -> None:
    data = ready(cut(noise(5, 16), [3, 1, 4, 0, 5], [16, 16, 9, 16, 1]))
    batch = data.batch(torch.arange(5))
    assert batch.template is not None
    assert torch.equal(batch.template, batch.signal)


def test_templates_are_made_only_where_they_are_asked_for() -> None:
    data = ready(cut(noise(4, 8), [0, 0, 1, 1]), template=False)
    assert data.batch(torch.arange(4)).template is None
    assert all(batch.template is None for batch in data.batches(torch.arange(4).split(2)))


def test_labels_are_never_looked_at() -> None:
    unlabelled = cut(noise(12, 8), [number % 3 for number in range(12)])
    found = templates(ready(unlabelled))
    for label in (np.arange(12) % 5, np.ones((12, 4), np.uint8)):
        labelled = dataclasses.replace(unlabelled, label=label)
        assert torch.equal(templates(ready(labelled)), found)


def test_a_recordings_template_does_not_depend_on_other_recordings() -> None:
    segments = cut(noise(12, 8), [number % 3 for number in range(12)])
    before = templates(ready(segments))
    changed = segments.signal_uv.copy()
    changed[segments.record == 1] += 7
    after = templates(ready(dataclasses.replace(segments, signal_uv=changed)))
    same = torch.from_numpy(segments.record != 1)
    assert torch.equal(after[same], before[same])
    assert not torch.equal(after[~same], before[~same])


def test_a_long_recordings_template_is_made_of_segments_from_all_of_it() -> None:
    """Segment n has n everywhere, so the median of evenly spaced ones is the middle."""
    many = 10 * SEGMENTS_OF_A_TEMPLATE + 77
    ramp = np.broadcast_to(np.arange(many, dtype=np.int16)[:, None, None], (many, LEADS, 4))
    found = templates(ready(cut(ramp.copy(), [0] * many)))[0]
    microvolts = found.numpy() * np.array(STD_UV)[:, None] + np.array(MEAN_UV)[:, None]
    np.testing.assert_allclose(microvolts, (many - 1) / 2, atol=many / SEGMENTS_OF_A_TEMPLATE)


def test_where_no_segment_that_was_looked_at_is_valid_a_template_is_0() -> None:
    """One segment is longer than all others; of two neighbours at least one is passed over."""
    many = 2 * SEGMENTS_OF_A_TEMPLATE
    signal_uv = np.full((many, LEADS, 8), 300, np.int16)
    beyond = []
    for longer in (100, 101):
        valid = [4] * many
        valid[longer] = 8
        shards = Shards((signal_uv,), np.zeros(many, np.int32), np.arange(many))
        found = templates(ready(cut(shards, [0] * many, valid)))[longer]
        assert (found[:, :4] != 0).all()
        beyond.append(bool((found[:, 4:] == 0).all()))
    assert any(beyond)


class Watched(HostSignal):
    """Counts what is read, and the most that is read at once."""

    def __init__(self, signal_uv: Any) -> None:
        super().__init__(signal_uv)
        self.read: list[int] = []

    def gather(
        self, index: torch.Tensor, out: torch.Tensor, memory: ReusedMemory | None = None
    ) -> torch.Tensor:
        self.read.append(len(index))
        return super().gather(index, out, memory)


def test_of_mapped_recordings_a_part_is_read_a_piece_at_a_time(tmp_path: Path) -> None:
    samples, long, short = 512, 3000, 40
    record = [0] * long + [1 + number // 10 for number in range(long, long + short)]
    path = tmp_path / "signal.npy"
    np.save(path, noise(len(record), samples))
    signal = Watched(np.load(path, mmap_mode="r"))
    normaliser = Normaliser(MEAN_UV, STD_UV, samples, CPU)
    Templates.of(
        signal,
        normaliser,
        valid_samples=np.full(len(record), samples),
        record=np.array(record),
        device=CPU,
    )
    assert sum(signal.read) == SEGMENTS_OF_A_TEMPLATE + short
    largest = max(PIECE_SAMPLES, SEGMENTS_OF_A_TEMPLATE * signal.segment_samples)
    assert max(signal.read) * signal.segment_samples <= largest


@pytest.fixture(scope="module")
def beats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dataset]:
    """Windows around the beats of synthetic recordings."""
    folder = tmp_path_factory.mktemp("synthetic")
    source, out = folder / "recordings", folder / "beats"
    write_synthetic_recordings(source, records=12, seconds_per_record=30, seed=1)
    prepare("synthetic", source, out, PrepareOptions(folds=0), processes=1)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ECGSEARCH_CACHE", str(folder / "cache"))
        yield open_dataset(out)


def test_windows_around_beats_are_aligned_and_crops_are_not(beats: Dataset, tmp_path: Path) -> None:
    assert beats.aligned
    write_dataset(tmp_path, make_records(2, 1))
    assert not open_dataset(tmp_path).aligned


def test_the_template_of_aligned_beats_has_its_r_peak_where_the_beats_are(beats: Dataset) -> None:
    train, _ = beats.development()
    data = to_device(
        train, beats.normalisation(), names=beats.features, wanted=(), device=CPU, template=True
    )
    template = templates(data)
    place = beats.manifest.samples_before
    assert place is not None
    peaks = template[:, 0].argmax(dim=1)
    assert (peaks - place).abs().max() <= 2
    # What differs from beat to beat has gone: a template is smoother than its beats.
    signal = data.batch(torch.arange(len(data))).signal
    assert template.diff().std() < signal.diff().std()


def test_prediction_gives_a_template_to_the_models_that_take_one(beats: Dataset) -> None:
    train, validation = beats.development()
    config = EfficientECGConfig(
        leads=len(beats.leads),
        samples=beats.samples,
        classes=len(beats.classes),
        base="tiny",
        template=True,
    )
    torch.manual_seed(0)
    model = build_model(config).eval()
    statistics = beats.normalisation()
    probabilities = predict(model, validation, statistics, feature_names=beats.features)
    data = to_device(
        validation, statistics, names=beats.features, wanted=(), device=CPU, template=True
    )
    batch = data.batch(torch.arange(len(data)))
    with torch.inference_mode():
        own = model(*batch.inputs).softmax(dim=1)
        flat = model(*batch._replace(template=torch.zeros_like(batch.signal)).inputs)
    np.testing.assert_allclose(probabilities, own, atol=1e-5)
    assert not np.allclose(probabilities, flat.softmax(dim=1), atol=1e-5)
    # Those of another part are made of that part's recordings.
    assert not set(validation.record.tolist()) & set(train.record.tolist())
