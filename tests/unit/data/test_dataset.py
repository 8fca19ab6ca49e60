from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data import (
    Manifest,
    Segments,
    ShardedSignal,
    Split,
    check_dataset,
    describe_dataset,
    open_dataset,
)
from ecgmodels.data.storage.manifest import read_manifest
from ecgmodels.errors import DataError
from tests.unit.data.made_datasets import (
    CLASSES,
    MadeRecord,
    make_record,
    make_records,
    write_dataset,
)

RECORD_BYTES = 3 * 2 * 64 * 2


def assert_holds(segments: Segments, records: list[MadeRecord], samples: int) -> None:
    """Compare segments, whatever the order of their records, with what was written."""
    wanted = {record.entry.id: record for record in records if len(record.segments)}
    assert set(segments.record_id.tolist()) == wanted.keys()
    assert len(segments) == sum(len(record.segments) for record in wanted.values())
    assert segments.signal_uv.shape == (len(segments), 2, samples)
    for name, record in wanted.items():
        rows = np.flatnonzero(segments.record_id == name)
        length = record.entry.samples
        found = segments.signal_uv[rows]
        np.testing.assert_array_equal(found[:, :, :length], record.segments.signal_uv)
        assert not found[:, :, length:].any()
        assert set(segments.patient_id[rows].tolist()) == {record.entry.patient_id}
        for column in ("valid_samples", "label", "features", "start_sample"):
            found, written = getattr(segments, column)[rows], getattr(record.segments, column)
            np.testing.assert_array_equal(found, written)
            assert found.dtype == written.dtype


@st.composite
def record_sets(draw: st.DrawFn) -> tuple[list[MadeRecord], dict[str, Any]]:
    """Draw records of up to three lengths, single- or multi-label, with or without features."""
    options: dict[str, Any] = {
        "classes": draw(st.sampled_from([CLASSES, tuple("ABCDEFGH")])),
        "multi_label": draw(st.booleans()),
        "features": draw(st.sampled_from([(), ("age", "sex", "record")])),
    }
    development = draw(st.integers(2, 8))
    total = development + draw(st.integers(1, 4))
    records = []
    for number in range(total):
        samples = draw(st.sampled_from([16, 24, 32]))
        records.append(
            make_record(
                number,
                part="development" if number < development else "test",
                segments=draw(st.integers(0 if 1 < number < total - 1 else 1, 4)),
                samples=samples,
                valid=draw(st.none() | st.integers(1, samples)),
                **options,
            )
        )
    return draw(st.permutations(records)), options


@settings(max_examples=40, deadline=None)
@given(made=record_sets(), shard_records=st.floats(0.5, 6))
def test_segments_read_back_equal_those_written(
    made: tuple[list[MadeRecord], dict[str, Any]],
    shard_records: float,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    records, options = made
    folder = tmp_path_factory.mktemp("made") / "dataset"
    largest = int(shard_records * 3 * 2 * 32 * 2)
    manifest = write_dataset(folder, records, largest_bytes=largest, **options)
    check_dataset(folder)
    dataset = open_dataset(folder)
    assert dataset.hash == manifest.hash
    by_id = {record.entry.id: record for record in records}
    for split in dataset.splits:
        side = dict(zip(dataset.records.ids.tolist(), dataset.records.side(split), strict=True))
        parts = (*dataset.development(split), dataset.test())
        for number, segments in enumerate(parts):
            chosen = [by_id[name] for name, own in side.items() if own == number]
            assert_holds(segments, chosen, dataset.samples)
            np.testing.assert_array_equal(dataset.records.ids[segments.record], segments.record_id)


def test_records_that_lie_together_are_read_without_a_copy(tmp_path: Path) -> None:
    split = Split(train=("r0", "r1", "r2"), validation=("r3",), test=("r4", "r5"))
    write_dataset(tmp_path, make_records(4, 2), splits={"fixed": split})
    dataset = open_dataset(tmp_path)
    for segments in (*dataset.development(), dataset.test()):
        assert isinstance(segments.signal_uv, np.ndarray)
        assert not segments.signal_uv.flags.writeable
        assert not segments.signal_uv.flags.owndata


def test_records_of_several_shards_are_read_as_one_signal(tmp_path: Path) -> None:
    records = make_records(6, 1)
    write_dataset(tmp_path, records, largest_bytes=RECORD_BYTES)
    train, _ = open_dataset(tmp_path).development()
    assert isinstance(train.signal_uv, ShardedSignal)
    expected = np.concatenate([records[number].segments.signal_uv for number in (1, 3, 5)])
    np.testing.assert_array_equal(np.asarray(train.signal_uv), expected)
    np.testing.assert_array_equal(train.signal_uv[2:7], expected[2:7])


def test_all_segments_are_as_long_as_the_datasets_longest(tmp_path: Path) -> None:
    records = [
        make_record(0, samples=32),
        make_record(1, samples=48),
        make_record(2, part="test", samples=40),
    ]
    write_dataset(tmp_path, records)
    dataset = open_dataset(tmp_path)
    assert dataset.samples == 48
    for segments in (*dataset.development(), dataset.test()):
        assert segments.signal_uv.shape == (3, 2, 48)


def test_a_split_part_without_a_segment_is_empty(tmp_path: Path) -> None:
    records = [make_record(0, segments=0), *(make_record(number) for number in (1, 2, 3))]
    split = Split(train=("r1", "r2", "r3"), validation=("r0",), test=("r4",))
    write_dataset(tmp_path, [*records, make_record(4, part="test")], splits={"fixed": split})
    _, validation = open_dataset(tmp_path).development()
    assert len(validation) == 0
    assert validation.signal_uv.shape == (0, 2, 64)
    assert validation.features.shape == (0, 2)
    assert validation.record_id.tolist() == []


def test_folds_hold_the_same_segments_as_the_fixed_split(tmp_path: Path) -> None:
    write_dataset(tmp_path, make_records(7, 2), largest_bytes=3 * RECORD_BYTES)
    dataset = open_dataset(tmp_path)

    def rows(split: str) -> list[tuple[int, int, int]]:
        return sorted(
            row
            for part in dataset.development(split)
            for row in zip(
                part.record.tolist(),
                part.start_sample.tolist(),
                np.asarray(part.signal_uv).astype(np.int64).sum(axis=(1, 2)).tolist(),
                strict=True,
            )
        )

    assert rows("fixed") == rows("fold-0")
    assert len(rows("fixed")) == 21


def test_recordings_without_labels_are_a_test_part_alone(tmp_path: Path) -> None:
    records = make_records(0, 3, classes=())
    write_dataset(tmp_path, records, classes=())
    dataset = open_dataset(tmp_path)
    assert (dataset.classes, dataset.splits) == ((), [])
    assert set(dataset.test().label.tolist()) == {-1}
    check_dataset(tmp_path)
    assert "labels: none" in describe_dataset(tmp_path)
    with pytest.raises(DataError, match="holds no labels"):
        dataset.development()


def test_a_feature_may_be_called_like_another_column(tmp_path: Path) -> None:
    features = ("record", "label", "signal_uv", "class:N", "id")
    records = make_records(4, 2, features=features)
    write_dataset(tmp_path, records, features=features)
    dataset = open_dataset(tmp_path)
    assert dataset.features == features
    assert_holds(dataset.test(), records[4:], 64)
    check_dataset(tmp_path)


def test_an_opened_dataset_says_what_it_is(tmp_path: Path) -> None:
    write_dataset(tmp_path, make_records(multi_label=True), multi_label=True)
    dataset = open_dataset(tmp_path)
    assert dataset.location == str(dataset.path) == str(tmp_path)
    assert dataset.multi_label
    assert dataset.score == "mean"
    assert dataset.scored_classes == CLASSES
    assert dataset.rate_hz == 100.0
    assert [entry.id for entry in dataset.records] == [f"r{number}" for number in range(6)]
    assert dataset.normalisation("fold-0") != dataset.normalisation()


def test_the_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    options = {"settings": {"min_likelihood": 0.0, "names": ("a", "b"), "path": None}}
    manifest = write_dataset(
        tmp_path, make_records(), options=options, failed={"r9": "no signal"}, samples_before=None
    )
    assert read_manifest(tmp_path) == manifest
    assert open_dataset(tmp_path).hash == manifest.hash


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: replace(manifest, title="another"),
        lambda manifest: replace(manifest, records=replace(manifest.records, sha256="0" * 64)),
        lambda manifest: replace(
            manifest, shards=(replace(manifest.shards[0], sha256="0" * 64), *manifest.shards[1:])
        ),
    ],
)
def test_the_hash_covers_manifest_table_and_shards(
    change: Callable[[Manifest], Manifest], tmp_path: Path
) -> None:
    manifest = write_dataset(tmp_path, make_records())
    assert change(manifest).hash != manifest.hash


def test_an_unknown_split_is_answered_with_the_nearest(tmp_path: Path) -> None:
    write_dataset(tmp_path, make_records())
    with pytest.raises(DataError, match="no split called 'fold-7'") as caught:
        open_dataset(tmp_path).development("fold-7")
    assert "fold-0" in caught.value.hint


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(DataError, match=r"dataset\.json is missing: .* is not a prepared"):
            open_dataset(folder)


def test_verified_files_are_remembered_until_they_change(tmp_path: Path, own_cache: Path) -> None:
    folder = tmp_path / "dataset"
    write_dataset(folder, make_records())
    path = folder / "shards/development-00000.arrow"
    open_dataset(folder)
    (remembered,) = own_cache.rglob("*.json")
    written = remembered.stat().st_mtime_ns
    open_dataset(folder)
    assert remembered.stat().st_mtime_ns == written  # there was nothing to verify
    status = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(DataError, match="is damaged"):  # of the same size and time
        open_dataset(folder)


def test_an_unreadable_memory_only_costs_time(tmp_path: Path, own_cache: Path) -> None:
    folder = tmp_path / "dataset"
    write_dataset(folder, make_records())
    first = open_dataset(folder)
    memories = list(own_cache.rglob("*.json"))
    assert memories
    for file in memories:
        file.write_text("{ not json")
    assert open_dataset(folder).hash == first.hash


def test_opening_a_dataset_imports_neither_pandas_nor_torch(tmp_path: Path) -> None:
    write_dataset(tmp_path, make_records())
    code = (
        "import sys; from ecgmodels.data import open_dataset; "
        f"train, _ = open_dataset({str(tmp_path)!r}).development(); train.features, train.label; "
        "print({'pandas', 'torch', 'ray', 'wfdb'} & set(sys.modules))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert ran.stdout.strip() == "set()"
