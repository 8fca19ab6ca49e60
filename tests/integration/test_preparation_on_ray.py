"""Preparing recordings on real Ray clusters: what comes out is what comes out of one machine."""

import itertools
import os
import signal
import time
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import pytest

from cluster.connect import connect
from cluster.errors import ClusterError
from cluster.mapping import iter_items
from ecgmodels.data import PrepareOptions, open_dataset, prepare, write_synthetic_recordings
from ecgmodels.data.preparation.workers import Group, Outcome
from ecgmodels.errors import DataError
from search.cli.over_ray import map_on_ray, ray_mapper

from .driver import Home
from .ray_head import RayHead, start_nodes

pytestmark = pytest.mark.slow

OPTIONS = PrepareOptions(folds=2)
Function = Callable[[Group], list[Outcome]]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fourteen recordings, one of them cut short."""
    folder = tmp_path_factory.mktemp("synthetic") / "recordings"
    write_synthetic_recordings(folder, records=14, seconds_per_record=30)
    signal_file = folder / "s004a.dat"
    signal_file.write_bytes(signal_file.read_bytes()[:1000])
    return folder


@pytest.fixture(scope="module")
def prepared_here(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("here") / "dataset"
    prepare("synthetic", source, out, OPTIONS, processes=1)
    return out


@pytest.fixture(scope="module")
def nodes() -> Generator[str, None, None]:
    """The address of a cluster of two nodes with one CPU each."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            patch.delenv(name, raising=False)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        with start_nodes(1, 1) as address:
            yield address


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "provenance.json"
    }


def test_items_are_taken_as_there_is_room_and_answers_come_in_their_order(nodes: str):
    taken: list[int] = []

    def endless() -> Generator[tuple[str, int], None, None]:
        for number in itertools.count():
            taken.append(number)
            yield f"item-{number}", number

    def slow_at_first(number: int) -> int:
        time.sleep(0.3 if number == 0 else 0)
        return -number

    with connect(nodes):
        answers = iter_items(slow_at_first, endless(), in_flight=3)
        first = list(itertools.islice(answers, 8))
        answers.close()
    assert [(answer.name, answer.item, answer.result) for answer in first] == [
        (f"item-{number}", number, -number) for number in range(8)
    ]
    assert len(taken) <= 8 + 3


def test_two_nodes_give_the_same_bytes_as_one_process_and_a_killed_worker_is_made_good(
    nodes: str, source: Path, prepared_here: Path, tmp_path: Path
):
    died = tmp_path / "died"

    def killing_once(
        function: Function, groups: Iterable[Group]
    ) -> Generator[list[Outcome], None, None]:
        def dies_once(group: Group) -> list[Outcome]:
            if "s006a" in group and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return function(group)

        return map_on_ray(dies_once, groups)

    told: dict[str, DataError] = {}
    with connect(nodes):
        prepare(
            "synthetic",
            source,
            tmp_path / "out",
            OPTIONS,
            mapper=killing_once,
            on_failure=told.__setitem__,
        )
    assert died.exists()
    assert list(told) == ["s004a"]
    assert "s004a.dat is cut short" in str(told["s004a"])
    assert content(tmp_path / "out") == content(prepared_here)


def test_records_whose_worker_always_dies_are_named_and_a_bug_is_raised_with_its_record(
    nodes: str, source: Path, tmp_path: Path
):
    def killing(
        function: Function, groups: Iterable[Group]
    ) -> Generator[list[Outcome], None, None]:
        def dies(group: Group) -> list[Outcome]:
            if "s006a" in group:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(group)

        return map_on_ray(dies, groups)

    def failing(
        function: Function, groups: Iterable[Group]
    ) -> Generator[list[Outcome], None, None]:
        def has_a_bug(group: Group) -> list[Outcome]:
            raise ZeroDivisionError("a bug")

        return map_on_ray(has_a_bug, groups)

    with connect(nodes):
        manifest = prepare("synthetic", source, tmp_path / "out", OPTIONS, mapper=killing)
        with pytest.raises(ZeroDivisionError, match="a bug"):
            prepare("synthetic", source, tmp_path / "none", OPTIONS, mapper=failing)
    assert sorted(manifest.failed) == ["s004a", "s006a"]
    assert "the worker died twice" in manifest.failed["s006a"]
    assert len(open_dataset(tmp_path / "out").records) == 12
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_node_that_cannot_read_the_recordings_is_named(nodes: str, tmp_path: Path):
    refused = pytest.raises(ClusterError, match=f"cannot read {tmp_path / 'nowhere'}")
    with refused, ray_mapper(nodes, source=tmp_path / "nowhere", show=print):
        pass


def test_the_command_prepares_on_a_cluster(
    home: Home, ray_head: RayHead, source: Path, prepared_here: Path
):
    command = ("data", "prepare", "synthetic", "--source", str(source), "--out", "out")
    ended = home.run(*command, "--folds", "2", "--ray", at=ray_head.address)
    assert ended.returncode == 0, ended.stderr
    assert f"on the Ray cluster at {ray_head.address}" in ended.stdout
    assert "1 of 14 records failed: s004a\n  fix: " in ended.stdout
    assert content(home.path / "out") == content(prepared_here)
    refused = home.call(*command, "--address", ray_head.address, "--processes", "2")
    assert refused.returncode == 2
    assert "processes has no effect on a Ray cluster" in refused.stderr
