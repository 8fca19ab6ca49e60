"""Datasets on an object store: a real server process on this machine that speaks S3."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import numpy as np
import pytest

from ecgmodels.data import Manifest, check_dataset, describe_dataset, open_dataset
from ecgmodels.errors import DataError
from tests.unit.data.made_datasets import make_records, write_dataset

from .driver import Home
from .ray_head import start_nodes

RECORDS = "records.arrow"
DEVELOPMENT = "shards/development-00000.arrow"
TEST = "shards/test-00000.arrow"


@dataclass(frozen=True, kw_only=True)
class Store:
    """The server, and a bucket of its own for each test."""

    endpoint: str
    bucket: str
    log: Path

    @property
    def address(self) -> str:
        return f"s3://{self.bucket}/sets/made up"

    def __post_init__(self) -> None:
        self.client.create_bucket(Bucket=self.bucket)

    @property
    def client(self):
        return boto3.client("s3", endpoint_url=self.endpoint, region_name="us-east-1")

    def upload(self, folder: Path) -> None:
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"sets/made up/{path.relative_to(folder)}"
                self.client.upload_file(str(path), self.bucket, key)

    def change(self, file: str, change: Callable[[bytes], bytes]) -> None:
        key = f"sets/made up/{file}"
        content = self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        self.client.put_object(Bucket=self.bucket, Key=key, Body=change(content))

    def delete(self, file: str) -> None:
        self.client.delete_object(Bucket=self.bucket, Key=f"sets/made up/{file}")

    def downloads(self) -> list[str]:
        """Return the files that were downloaded so far, as the server tells it."""
        lines = self.log.read_text(errors="replace").splitlines()
        pattern = re.compile(rf'"\S*GET /{self.bucket}/sets/made%20up/(\S+) HTTP')
        return [found[1] for line in lines if (found := pattern.search(line))]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A moto server on a free port: its endpoint and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("moto") / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        for _ in range(600):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", log
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def store(
    server: tuple[str, Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Store:
    endpoint, log = server
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", endpoint)
    monkeypatch.setenv("ECGSEARCH_CACHE", str(tmp_path / "cache"))
    return Store(endpoint=endpoint, bucket=f"bucket-{time.time_ns()}", log=log)


@pytest.fixture
def manifest(store: Store, tmp_path: Path) -> Manifest:
    """A dataset on the store; the folder it was uploaded from is gone."""
    manifest = write_dataset(tmp_path / "local", make_records(6, 2))
    store.upload(tmp_path / "local")
    shutil.rmtree(tmp_path / "local")
    return manifest


def flip_a_byte(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_segments_from_the_store_are_those_that_were_prepared(
    store: Store, manifest: Manifest, tmp_path: Path
) -> None:
    local = write_dataset(tmp_path / "again", make_records(6, 2))
    assert local == manifest
    there, here = open_dataset(store.address), open_dataset(tmp_path / "again")
    assert there.hash == manifest.hash
    assert there.location == store.address
    parts = zip(
        (*there.development(), there.test()), (*here.development(), here.test()), strict=True
    )
    for found, expected in parts:
        np.testing.assert_array_equal(found.signal_uv, expected.signal_uv)
        np.testing.assert_array_equal(found.features, expected.features)
        assert found.record_id.tolist() == expected.record_id.tolist()


def test_describe_and_check_work_on_an_address(store: Store, manifest: Manifest) -> None:
    assert describe_dataset(store.address).splitlines()[0].endswith(store.address)
    assert DEVELOPMENT in store.downloads()
    check = check_dataset(store.address)
    assert str(check).startswith(f"{store.address} is sound: 24 segments of 8 records")
    assert check.hash == manifest.hash


def test_test_shards_are_copied_when_the_test_part_is_asked_for(
    store: Store, manifest: Manifest
) -> None:
    dataset = open_dataset(store.address)
    dataset.development()
    assert sorted(set(store.downloads())) == ["dataset.json", RECORDS, DEVELOPMENT]
    dataset.verify_test()
    assert store.downloads().count(TEST) == 1
    dataset.test()
    assert store.downloads().count(TEST) == 1


def test_a_second_opening_downloads_the_manifest_alone(store: Store, manifest: Manifest) -> None:
    open_dataset(store.address).test()
    before = len(store.downloads())
    for file in (RECORDS, DEVELOPMENT, TEST):
        store.delete(file)
    dataset = open_dataset(store.address)
    assert len(dataset.development()[0]) == 9
    assert len(dataset.test()) == 6
    assert store.downloads()[before:] == ["dataset.json"]


def test_the_copies_are_a_dataset_themselves(store: Store, manifest: Manifest) -> None:
    dataset = open_dataset(store.address)
    dataset.verify_test()
    assert check_dataset(dataset.path).hash == manifest.hash


@pytest.mark.parametrize("file", [RECORDS, DEVELOPMENT])
def test_a_flipped_byte_on_the_store_is_found_on_the_way(
    store: Store, manifest: Manifest, file: str
) -> None:
    store.change(file, flip_a_byte)
    with pytest.raises(DataError) as caught:
        open_dataset(store.address)
    assert f"{store.address}/{file} is damaged: its SHA-256 is" in str(caught.value)
    assert "upload the dataset again" in caught.value.hint
    store.change(file, flip_a_byte)
    open_dataset(store.address)  # nothing of the bad copy was kept


def test_a_flipped_byte_in_a_test_shard_is_found_before_the_test_part_is_read(
    store: Store, manifest: Manifest
) -> None:
    store.change(TEST, flip_a_byte)
    dataset = open_dataset(store.address)
    for look in (dataset.verify_test, dataset.test, lambda: check_dataset(store.address)):
        with pytest.raises(DataError, match=f"{TEST} is damaged"):
            look()


def test_the_check_reads_what_is_on_the_store_not_only_the_copies(
    store: Store, manifest: Manifest
) -> None:
    check_dataset(store.address)
    store.change(DEVELOPMENT, flip_a_byte)
    open_dataset(store.address)  # its copy is sound
    with pytest.raises(DataError, match=f"{store.address}/{DEVELOPMENT} is damaged"):
        check_dataset(store.address)


@pytest.mark.parametrize("file", [RECORDS, DEVELOPMENT, TEST])
def test_a_missing_object_is_named_when_the_dataset_is_opened(
    store: Store, manifest: Manifest, file: str
) -> None:
    store.delete(file)
    for look in (open_dataset, check_dataset, describe_dataset):
        with pytest.raises(DataError, match=f"{store.address}/{file} is missing"):
            look(store.address)


@pytest.mark.parametrize("file", [RECORDS, DEVELOPMENT, TEST])
def test_a_truncated_object_is_named_with_both_sizes(
    store: Store, manifest: Manifest, file: str
) -> None:
    store.change(file, lambda content: content[:-8])
    with pytest.raises(DataError, match=rf"{file} has [\d,]+ bytes, expected [\d,]+"):
        check_dataset(store.address)


@pytest.mark.parametrize("file", [RECORDS, DEVELOPMENT])
def test_a_spoilt_copy_is_copied_again(store: Store, manifest: Manifest, file: str) -> None:
    dataset = open_dataset(store.address)
    copy = dataset.path / file
    content = copy.read_bytes()
    copy.unlink()
    copy.write_bytes(flip_a_byte(content))
    again = open_dataset(store.address)
    assert (again.path / file).read_bytes() == content
    assert store.downloads().count(file) >= 2


def test_an_interrupted_copy_goes_on_where_it_ended(store: Store, manifest: Manifest) -> None:
    dataset = open_dataset(store.address)
    copy = dataset.path / DEVELOPMENT
    content = copy.read_bytes()
    copy.unlink()
    partial = copy.with_name(f".{copy.name}.partial")
    partial.write_bytes(content[: len(content) * 2 // 3])
    store.change(DEVELOPMENT, flip_a_byte)  # in the part that need not be read again
    open_dataset(store.address)
    assert copy.read_bytes() == content
    assert not partial.exists()


@pytest.mark.parametrize("begun", [b"of another file", b"x" * 100_000])
def test_an_interrupted_copy_of_something_else_is_begun_again(
    store: Store, manifest: Manifest, begun: bytes
) -> None:
    dataset = open_dataset(store.address)
    copy = dataset.path / DEVELOPMENT
    content = copy.read_bytes()
    copy.unlink()
    copy.with_name(f".{copy.name}.partial").write_bytes(begun)
    open_dataset(store.address)
    assert copy.read_bytes() == content


def test_processes_that_open_it_at_once_share_one_copy(
    store: Store, manifest: Manifest, tmp_path: Path
) -> None:
    code = (
        "from ecgmodels.data import open_dataset; "
        f"d = open_dataset({store.address!r}); print(len(d.development()[0]), len(d.test()))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, env=environment, text=True
        )
        for _ in range(3)
    ]
    assert [process.communicate(timeout=120)[0].split() for process in processes] == [
        ["9", "6"]
    ] * 3
    for file in (RECORDS, DEVELOPMENT, TEST):
        assert store.downloads().count(file) == 1
    check_dataset(open_dataset(store.address).path)
    assert not list((tmp_path / "cache").rglob("*.partial"))


def test_a_dataset_changed_on_the_store_is_another_one(
    store: Store, manifest: Manifest, tmp_path: Path
) -> None:
    first = open_dataset(store.address)
    changed = write_dataset(tmp_path / "changed", make_records(4, 2))
    store.upload(tmp_path / "changed")
    second = open_dataset(store.address)
    assert second.hash == changed.hash != first.hash
    assert len(first.development()[0]) == 9
    assert len(second.development()[0]) == 6


def test_the_endpoint_may_be_given_with_the_address_and_is_not_printed(
    store: Store, manifest: Manifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL_S3")
    monkeypatch.delenv("AWS_REGION")
    host = store.endpoint.removeprefix("http://")
    query = f"?endpoint_override={host}&scheme=http&region=us-east-1"
    dataset = open_dataset(store.address + query)
    assert dataset.hash == manifest.hash
    with pytest.raises(DataError) as caught:
        dataset.development("fold-9")
    assert str(caught.value) == f"{store.address} has no split called 'fold-9'"


def test_an_address_without_a_dataset_is_named(store: Store) -> None:
    for address in (f"s3://{store.bucket}/nothing", "s3://no-such-bucket/set"):
        with pytest.raises(DataError, match=rf"{address}/dataset\.json is missing: .* is not a"):
            open_dataset(address)


def test_a_newer_manifest_on_the_store_is_refused(store: Store, manifest: Manifest) -> None:
    newer = b'"format_version": 3'
    store.change("dataset.json", lambda text: text.replace(b'"format_version": 2', newer))
    with pytest.raises(DataError, match=rf"{store.address}/dataset\.json has format version 3"):
        open_dataset(store.address)


@pytest.mark.slow
def test_a_study_searches_and_retrains_on_a_dataset_in_the_store(
    store: Store, ecg_home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.upload(ecg_home.path / "data" / "ecg")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "AWS_ENDPOINT_URL_S3")
    env = {name: os.environ[name] for name in (*names, "ECGSEARCH_CACHE")}
    home = Home(path=ecg_home.path, env={**ecg_home.env, **env})
    (home.path / "remote.toml").write_text(
        f'name = "remote"\ndataset = "{store.address}"\n'
        'space = {ranges = {base = ["tiny"], phi = [-3.0, -2.0]}}\n'
        "budget = {candidates = 2, epochs = 2}\n"
        "training = {batch_size = 32, segments_per_epoch = 64}\n"
    )
    with start_nodes(2) as address:  # whose workers have the store's keys
        searched = home.run("run", "remote.toml", at=address)
        assert searched.returncode == 0, searched.stdout + searched.stderr
        fetched = store.downloads()
        assert fetched.count(DEVELOPMENT) == 1  # once a node, whatever the number of trials
        assert TEST not in fetched
        retrained = home.run("retrain", "studies/remote", at=address)
        assert retrained.returncode == 0, retrained.stdout + retrained.stderr
        assert "test (" in retrained.stdout
        assert store.downloads().count(TEST) == 1
