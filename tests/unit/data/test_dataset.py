from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ecgmodels.data import Manifest, check_dataset, describe_dataset, open_dataset
from ecgmodels.data.preparation.workers import prepare_record
from ecgmodels.data.storage.manifest import read_manifest
from ecgmodels.data.storage.shards import ShardWriter
from ecgmodels.errors import DataError

DEVELOPMENT = "shards/development-00000.arrow"
TEST = "shards/test-00000.arrow"


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "dataset.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_a_flipped_byte_is_found_and_the_shard_named(dataset_folder: Path) -> None:
    flip_a_byte(dataset_folder / DEVELOPMENT)
    with pytest.raises(DataError, match=rf"{DEVELOPMENT} is damaged: its SHA-256"):
        open_dataset(dataset_folder)
    with pytest.raises(DataError, match=rf"{DEVELOPMENT} is damaged"):
        check_dataset(dataset_folder)


@pytest.mark.parametrize("shard", [DEVELOPMENT, TEST])
def test_a_missing_shard_is_named(dataset_folder: Path, shard: str) -> None:
    (dataset_folder / shard).unlink()
    for look in (open_dataset, check_dataset, describe_dataset):
        with pytest.raises(DataError, match=f"{shard} is missing"):
            look(dataset_folder)


@pytest.mark.parametrize("shard", [DEVELOPMENT, TEST])
def test_a_truncated_shard_is_named_with_both_sizes(dataset_folder: Path, shard: str) -> None:
    size = (dataset_folder / shard).stat().st_size
    os.truncate(dataset_folder / shard, size - 8)
    with pytest.raises(DataError, match=f"{shard} has {size - 8:,} bytes, expected {size:,}"):
        open_dataset(dataset_folder)


def test_a_damaged_test_shard_is_found_when_the_test_part_is_read(dataset_folder: Path) -> None:
    flip_a_byte(dataset_folder / TEST)
    dataset = open_dataset(dataset_folder)
    dataset.development()
    with pytest.raises(DataError, match=rf"{TEST} is damaged"):
        dataset.test()
    with pytest.raises(DataError, match=rf"{TEST} is damaged"):
        check_dataset(dataset_folder)


def test_reading_the_development_part_never_opens_a_test_shard(dataset_folder: Path) -> None:
    size = (dataset_folder / TEST).stat().st_size
    (dataset_folder / TEST).write_bytes(b"\0" * size)
    train, validation = open_dataset(dataset_folder).development()
    assert len(train)
    assert len(validation)


def test_a_newer_manifest_is_refused_with_the_advice_to_update(dataset_folder: Path) -> None:
    change_manifest(dataset_folder, lambda values: values.update(format_version=2, novelty=1))
    with pytest.raises(
        DataError, match=r"dataset\.json has format version 2, this program reads version 1"
    ) as caught:
        open_dataset(dataset_folder)
    assert "update ecgsearch" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: v.update(extra=1), "extra: Unexpected keyword argument"),
        (lambda v: v.pop("rate_hz"), "rate_hz: Field required"),
        (lambda v: v.update(samples="128"), "samples: Input should be a valid integer"),
        (lambda v: v["records"][0].update(padded=1.5), r"records\.0\.padded"),
        (lambda v: v["records"][0].update(patient_id="s003"), "patient s003 in train and"),
        (lambda v: v["records"].pop(), "records and shards list different records"),
        (lambda v: v["records"][0]["classes"].update(N=1), "rows are not its records' segments"),
        (lambda v: v["splits"].pop("fixed"), "there is no fixed split"),
        (lambda v: v["class_counts"]["test"].update(S=1), "class_counts of test"),
        (lambda v: v["splits"]["fold-0"]["train"].pop(), "not over the development records"),
    ],
)
def test_a_manifest_that_is_not_whole_or_contradicts_itself_is_refused(
    dataset_folder: Path, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    change_manifest(dataset_folder, change)
    with pytest.raises(DataError, match=message) as caught:
        open_dataset(dataset_folder)
    assert "dataset.json" in str(caught.value) or "split" in str(caught.value)


def test_a_folder_that_is_no_dataset_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dataset\.json is missing: .* is not a prepared dataset"):
        open_dataset(tmp_path)


def test_a_manifest_changed_without_contradiction_is_caught_by_the_check(
    dataset_folder: Path,
) -> None:
    def change(values: dict[str, Any]) -> None:
        values["splits"]["fold-1"]["normalisation"]["signal_std_uv"][0] *= 2

    change_manifest(dataset_folder, change)
    open_dataset(dataset_folder)
    with pytest.raises(DataError, match="disagrees with the shards: the normalisation of split"):
        check_dataset(dataset_folder)


def test_the_manifest_is_read_as_it_was_written(prepared_once: tuple[Path, Manifest]) -> None:
    folder, manifest = prepared_once
    assert read_manifest(folder) == manifest
    assert open_dataset(folder).hash == manifest.hash


def test_verified_shards_are_remembered_until_they_change(
    dataset_folder: Path, own_cache: Path
) -> None:
    path = dataset_folder / DEVELOPMENT
    open_dataset(dataset_folder)
    assert list(own_cache.rglob("*.json"))
    status = path.stat()
    flip_a_byte(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    open_dataset(dataset_folder)  # same path, size and time: taken as verified
    with pytest.raises(DataError, match="is damaged"):
        check_dataset(dataset_folder)  # which remembers nothing
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(DataError, match="is damaged"):
        open_dataset(dataset_folder)


def test_an_unreadable_memory_only_costs_time(dataset_folder: Path, own_cache: Path) -> None:
    first = open_dataset(dataset_folder)
    memories = list(own_cache.rglob("*.json"))
    assert memories
    for file in memories:
        file.write_text("{ not json")
    assert open_dataset(dataset_folder).hash == first.hash


def test_without_verification_content_is_not_read(dataset_folder: Path) -> None:
    intact = open_dataset(dataset_folder, verify=False)
    flip_a_byte(dataset_folder / DEVELOPMENT)
    assert open_dataset(dataset_folder, verify=False).hash == intact.hash


def test_folds_hold_the_same_segments_as_the_fixed_split(dataset_folder: Path) -> None:
    dataset = open_dataset(dataset_folder)

    def rows(split: str) -> list[tuple[str, int, int]]:
        return sorted(
            row
            for part in dataset.development(split)
            for row in zip(
                part.record_id.tolist(),
                part.start_sample.tolist(),
                part.signal_uv.astype(np.int64).sum(axis=(1, 2)).tolist(),
                strict=True,
            )
        )

    assert rows("fold-0") == rows("fixed") == rows("fold-1")


def test_an_unknown_split_is_answered_with_the_nearest(dataset_folder: Path) -> None:
    with pytest.raises(DataError, match="no split called 'fold-7'") as caught:
        open_dataset(dataset_folder).development("fold-7")
    assert "fold-" in caught.value.hint


def test_small_shards_hold_whole_records_and_never_mix_parts(
    prepared_once: tuple[Path, Manifest], synthetic_source: Path, tmp_path: Path
) -> None:
    manifest = prepared_once[1]
    writer = ShardWriter(tmp_path, manifest.features, largest_bytes=60_000)
    for entry in manifest.records:
        record = prepare_record("synthetic", synthetic_source, entry.id, manifest.options)
        writer.add("test" if entry.id in manifest.test else "development", entry, record.segments)
    shards = writer.close()
    assert len(shards) > 4
    assert [record for shard in shards for record in shard.records] == [
        entry.id for entry in manifest.records
    ]
    for shard in shards:
        assert {record in manifest.test for record in shard.records} == {shard.part == "test"}
        assert (tmp_path / shard.file).stat().st_size == shard.bytes


def test_the_description_says_what_a_reader_would_ask(
    prepared_once: tuple[Path, Manifest],
) -> None:
    text = describe_dataset(prepared_once[0])
    for expected in (
        "Synthetic ECG recordings 1 (synthetic)",
        "records: 12 of 11 patients",
        "128 samples at 128 Hz",
        "filter: 0.5 to 40 Hz, zero phase",
        "rr_next_s: missing in 12 segments, not causal",
        "splits: fixed, fold-0, fold-1",
        f"hash: {prepared_once[1].hash}",
    ):
        assert expected in text
