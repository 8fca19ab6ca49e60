"""`ecgsearch plan`: what it says, and that it leaves everything as it was."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .conftest import Searched
from .driver import Home, assert_two_lines, files_under, make_home
from .ray_head import RayHead

pytestmark = pytest.mark.slow


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name."""
    found = (folder / name for name in files_under(folder))
    return {str(path): path.read_bytes() for path in found if path.is_file()}


def test_a_plan_times_networks_foresees_the_cost_and_writes_nothing(home: Home, ecg_home: Home):
    shutil.copytree(ecg_home.path / "data", home.path / "data")
    shutil.copy(ecg_home.path / "ecg.toml", home.path)
    before = files(home.path)
    ended = home.run("plan", "ecg.toml", "--cpus", "2")
    assert ended.returncode == 0, ended.stderr
    assert files(home.path) == before
    assert not list(Path(home.env["TMPDIR"]).glob(".ecgsearch-plan-*"))
    for said in (
        "candidates drawn at random keep the bounds",
        "2 at a time, each 1 worker x (1 CPU): CPUs limit it",
        "3 of 3 candidates of the probe",
        "s per million macs",
        "with halving",
        "all in full",
        "made-up learning curves",
    ):
        assert said in ended.stdout, ended.stdout


def test_a_study_that_has_begun_tells_its_own_seconds_and_stays_as_it_is(
    searched: Searched, ray_head: RayHead
):
    before = files(searched.study.path)
    ended = searched.home.run("plan", "ecg.toml", "--json", at=ray_head.address)
    assert ended.returncode == 0, ended.stderr
    assert files(searched.study.path) == before
    planned = json.loads(ended.stdout)
    assert planned["probed"] is None
    assert len(planned["timings"]) == 6
    assert {each["epochs"] for each in planned["cost"]["in_full"]} == {6 * 3}


@dataclass(frozen=True, kw_only=True)
class OnACluster:
    """A plan of narrow and wide trials, made on a cluster that exists."""

    address: str
    home: Home
    planned: dict[str, Any]


@pytest.fixture(scope="module")
def on_a_cluster(
    ray_head: RayHead, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OnACluster]:
    with make_home(tmp_path_factory.mktemp("mixed")) as home:
        file = home.write_toy_study("mixed", candidates=10, epochs=4, epoch_s=0.05, wide_above=300)
        ended = home.run("plan", file, "--json", at=ray_head.address)
        assert ended.returncode == 0, ended.stderr
        yield OnACluster(address=ray_head.address, home=home, planned=json.loads(ended.stdout))


def test_narrow_and_wide_trials_are_timed_in_their_own_shapes(on_a_cluster: OnACluster):
    planned = on_a_cluster.planned
    assert [(each["workers"], each["at_a_time"]) for each in planned["trials"]] == [(1, 2), (2, 1)]
    timed = [each["resources"]["workers"] for each in planned["timings"]]
    assert (timed.count(1), timed.count(2)) == (3, 3)
    for each in planned["timings"]:
        assert each["seconds"] == pytest.approx(0.05, rel=0.5)
        assert (each["costs"]["parameters"] > 300) == (each["resources"]["workers"] == 2)
    assert planned["seconds_per_epoch"]["quartiles"]["50%"] == pytest.approx(0.05, rel=0.5)


def test_on_a_cluster_the_probe_leaves_nothing_in_the_shared_folder(on_a_cluster: OnACluster):
    assert on_a_cluster.planned["cluster"].startswith(
        f"the Ray cluster at {on_a_cluster.address} (2 CPUs"
    )
    assert files_under(on_a_cluster.home.path) == ["mixed.toml"]


def test_a_trial_that_never_fits_is_refused_with_the_numbers(home: Home, ray_head: RayHead):
    file = home.write_toy_study("wide", candidates=2, epochs=2, wide_above=10, workers=9)
    assert_two_lines(home.run("plan", file, at=ray_head.address), "9 workers", "has 2 CPUs")
    assert files_under(home.path) == ["wide.toml"]


def test_a_problem_that_cannot_learn_is_found_by_the_probe(home: Home, ray_head: RayHead):
    file = home.write_toy_study("broken", candidates=2, epochs=2, fail="bug")
    assert_two_lines(home.run("plan", file, at=ray_head.address), "the toy divides by zero")
    assert files_under(home.path) == ["broken.toml"]


def test_a_probe_that_sees_no_epoch_in_time_says_so(home: Home, ray_head: RayHead):
    file = home.write_toy_study("slow", candidates=2, epochs=2, epoch_s=300.0)
    ended = home.run("plan", file, "--probe-seconds", "1", at=ray_head.address)
    assert_two_lines(ended, "within 1 s", "--probe-seconds")
    assert files_under(home.path) == ["slow.toml"]
