"""Datasets behind addresses, without a server: file:// and fsspec's memory://."""

from __future__ import annotations

from pathlib import Path

import fsspec
import numpy as np
import pytest

from ecgmodels.data import check_dataset, describe_dataset, open_dataset
from ecgmodels.data.storage.file_systems import shown
from ecgmodels.errors import DataError
from tests.unit.data.made_datasets import make_records, write_dataset


def test_a_scheme_that_pyarrow_does_not_know_is_read_through_fsspec(tmp_path: Path) -> None:
    manifest = write_dataset(tmp_path / "made", make_records())
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "made"), "/sets/made", recursive=True)
    try:
        dataset = open_dataset("memory://sets/made")
        assert dataset.hash == check_dataset("memory://sets/made").hash == manifest.hash
        local, _ = open_dataset(tmp_path / "made").development()
        train, _ = dataset.development()
        np.testing.assert_array_equal(train.signal_uv, local.signal_uv)
        memory.rm("/sets/made/shards/test-00000.arrow")
        (dataset.path / "shards/test-00000.arrow").unlink()
        with pytest.raises(DataError, match=r"memory://sets/made/shards/test-00000.arrow is miss"):
            open_dataset("memory://sets/made")
    finally:
        memory.rm("/sets", recursive=True)


def test_a_file_address_is_copied_to_the_cache_and_then_read_from_there(
    tmp_path: Path, own_cache: Path
) -> None:
    manifest = write_dataset(tmp_path / "a folder", make_records())
    address = f"{(tmp_path / 'a folder').as_uri()}/"
    dataset = open_dataset(address)
    assert dataset.path == own_cache / "datasets" / manifest.hash
    assert address.rstrip("/") in describe_dataset(address)


def test_where_the_cache_cannot_be_written_it_is_said_which(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_dataset(tmp_path / "made", make_records())
    (tmp_path / "file").touch()
    monkeypatch.setenv("ECGSEARCH_CACHE", str(tmp_path / "file"))
    with pytest.raises(DataError, match=r"file/datasets/.* cannot be written") as caught:
        open_dataset((tmp_path / "made").as_uri())
    assert "ECGSEARCH_CACHE" in caught.value.hint


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("nonsense://bucket/set", "nonsense://bucket/set cannot be opened: Protocol not known"),
        ("s3://", "s3:// names no folder"),
        ("s3://bucket:x:y/set", "s3://bucket:x:y/set cannot be opened"),
        ("file://nowhere/set", "file://nowhere/set cannot be opened"),
        ("file:///nowhere/set", r"file:///nowhere/set/dataset\.json is missing"),
    ],
)
def test_an_address_that_leads_nowhere_is_named(address: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        open_dataset(address)


def test_secrets_in_an_address_are_not_shown() -> None:
    assert shown("s3://key:secret@bucket/a/?region=x") == "s3://bucket/a"
    assert shown("abfs://container@account/a") == "abfs://container@account/a"
