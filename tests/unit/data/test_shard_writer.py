from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ecgmodels.data.storage.shard_writer import ShardWriter
from ecgmodels.data.storage.shards import (
    open_shard,
    record_of,
    sha256_of,
    shard_schema,
    signal_of,
)
from tests.unit.data.made_datasets import (
    CLASSES,
    FEATURES,
    LEADS,
    MadeRecord,
    make_record,
    make_records,
    write_shards,
)

RECORD_BYTES = 3 * len(LEADS) * 64 * 2


def mixed_records() -> list[MadeRecord]:
    """Return records of both parts and three lengths, in no order."""
    return [
        make_record(number, part="test" if number % 3 == 0 else "development", samples=samples)
        for number, samples in enumerate([64, 32, 64, 96, 32, 64, 96, 32, 32, 64, 64, 96])
    ]


def test_shards_hold_whole_records_of_one_part_and_length(tmp_path: Path) -> None:
    records = {record.entry.id: record for record in mixed_records()}
    written = write_shards(tmp_path, list(records.values()), largest_bytes=3 * RECORD_BYTES)
    ids = written.records.ids.tolist()
    assert sorted(ids) == sorted(records)
    for number, shard in enumerate(written.shards):
        its = ids[shard.first_record : shard.first_record + shard.records]
        assert {records[name].part for name in its} == {shard.part}
        assert {records[name].entry.samples for name in its} == {shard.samples}
        assert shard.rows == sum(records[name].entry.segments for name in its)
        rows = slice(shard.first_record, shard.first_record + shard.records)
        assert set(written.records.numbers("shard")[rows].tolist()) == {number}
        schema = shard_schema(len(LEADS), shard.samples, FEATURES)
        batch = open_shard(tmp_path / shard.file, shard.rows, schema)
        assert record_of(batch).tolist() == np.repeat(np.arange(rows.start, rows.stop), 3).tolist()
        np.testing.assert_array_equal(
            signal_of(batch, len(LEADS)),
            np.concatenate([records[name].segments.signal_uv for name in its]),
        )


def test_rows_are_sorted_by_part_and_length_and_otherwise_as_they_came(tmp_path: Path) -> None:
    records = mixed_records()
    written = write_shards(tmp_path, records)
    expected = sorted(records, key=lambda record: (record.part, record.entry.samples))
    assert written.records.ids.tolist() == [record.entry.id for record in expected]
    assert [(shard.file, shard.samples) for shard in written.shards] == [
        ("shards/development-00000.arrow", 32),
        ("shards/development-00001.arrow", 64),
        ("shards/development-00002.arrow", 96),
        ("shards/test-00000.arrow", 64),
        ("shards/test-00001.arrow", 96),
    ]


def test_the_shards_entries_say_what_the_files_are(tmp_path: Path) -> None:
    written = write_shards(tmp_path, mixed_records(), largest_bytes=3 * RECORD_BYTES)
    for shard in written.shards:
        path = tmp_path / shard.file
        assert (shard.bytes, shard.sha256) == (path.stat().st_size, sha256_of(path))
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.arrow")) == sorted(
        shard.file for shard in written.shards
    )


def test_the_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_shards(tmp_path / name, mixed_records(), largest_bytes=3 * RECORD_BYTES)
    names = sorted(path.name for path in (tmp_path / "one/shards").iterdir())
    assert len(names) > 4
    for name in names:
        one, two = tmp_path / "one/shards" / name, tmp_path / "two/shards" / name
        assert one.read_bytes() == two.read_bytes()


def test_what_waits_is_bounded_and_the_largest_group_is_written_first(tmp_path: Path) -> None:
    writer = ShardWriter(
        tmp_path, classes=CLASSES, features=FEATURES, largest_bytes=3 * RECORD_BYTES
    )
    for record in [
        make_record(0, samples=32),
        make_record(1),
        make_record(2),
        make_record(3, samples=32),  # half a record: three are full
        make_record(4, samples=32),
    ]:
        writer.add(record.part, record.entry, record.segments)
    assert len(list(tmp_path.rglob("*.arrow"))) == 1
    written = writer.close()
    assert [(shard.samples, shard.records) for shard in written.shards] == [(32, 3), (64, 2)]


def test_a_record_larger_than_a_shard_gets_one_of_its_own(tmp_path: Path) -> None:
    written = write_shards(tmp_path, make_records(3, 1), largest_bytes=RECORD_BYTES // 2)
    assert [shard.records for shard in written.shards] == [1, 1, 1, 1]


def test_records_without_a_segment_are_in_the_table_and_in_no_shard_of_their_own(
    tmp_path: Path,
) -> None:
    records = [make_record(0), make_record(1, segments=0), make_record(2, segments=0, samples=32)]
    written = write_shards(tmp_path, [*records, make_record(3, part="test")])
    assert written.records.ids.tolist() == ["r2", "r0", "r1", "r3"]
    assert written.records.numbers("shard").tolist() == [-1, 0, 0, 1]
    assert [shard.rows for shard in written.shards] == [3, 3]


def test_an_entry_that_is_not_of_its_segments_is_a_mistake(tmp_path: Path) -> None:
    writer = ShardWriter(tmp_path, classes=CLASSES, features=FEATURES)
    record = make_record(0)
    with pytest.raises(ValueError, match="record r0: the entry is not of these segments"):
        writer.add("test", replace(record.entry, segments=2), record.segments)
