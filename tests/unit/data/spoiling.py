"""Changing what a dataset on disk says."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from ecgmodels.data import check_dataset, describe_dataset, open_dataset
from ecgmodels.data.storage.manifest import hash_of
from ecgmodels.data.storage.record_table import RecordTable
from ecgmodels.data.storage.record_table_writer import write_record_table
from ecgmodels.data.storage.shards import sha256_of
from tests.unit.data.made_datasets import (
    make_records,
    write_dataset,
)

RECORDS = "records.arrow"
DEVELOPMENT = "shards/development-00000.arrow"
TEST = "shards/test-00000.arrow"

LOOKS = (open_dataset, check_dataset, describe_dataset)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset of six records that a test may spoil."""
    write_dataset(tmp_path / "dataset", make_records(4, 2))
    return tmp_path / "dataset"


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def change_manifest(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what the manifest says, and have its own hash say so, too."""
    path = folder / "dataset.json"
    values = json.loads(path.read_text())
    del values["hash"]
    change(values)
    path.write_text(json.dumps({**values, "hash": hash_of(values)}))


def rewrite(folder: Path, file: str, batch: pa.RecordBatch) -> None:
    """Replace a table or shard by another batch, and have the manifest say so."""
    path = folder / file
    path.unlink()  # not written over: it may still be mapped into memory
    write_record_table(path, RecordTable(batch=batch))

    def believe(values: dict[str, Any]) -> None:
        for entry in [values["records"], *values["shards"]]:
            if entry["file"] == file:
                entry |= {"bytes": path.stat().st_size, "sha256": sha256_of(path)}

    change_manifest(folder, believe)


def with_column(batch: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    index = batch.schema.names.index(name)
    return batch.set_column(index, batch.schema.field(index), values)


def read_batch(path: Path) -> pa.RecordBatch:
    with pa.OSFile(str(path)) as source:
        return pa.ipc.open_file(source).get_batch(0)
