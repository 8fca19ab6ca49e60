"""Searching with two data-parallel workers a trial: warm groups inside Ray Tune, on two nodes."""

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import ray
from optuna.trial import TrialState

from cluster.connect import connect
from search.engine.failures import Cause
from search.study.folder import StudyFolder

from .driver import (
    Home,
    StudyOnDisk,
    assert_two_lines,
    command_of,
    make_home,
    wait_until_gone,
    wait_until_only_agents,
)
from .ray_head import living_children, start_nodes

pytestmark = pytest.mark.slow

CANDIDATES = 6


@dataclass(frozen=True, kw_only=True)
class WideSearch:
    """A search whose driver was killed in the middle, run to its end by the same command.

    In every trial that reaches its second epoch, the second rank is killed once.
    """

    address: str
    study: StudyOnDisk
    killed_ranks: int
    started_before_the_kill: int
    output: str
    end: subprocess.CompletedProcess[str]
    too_wide: subprocess.CompletedProcess[str]


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WideSearch]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        with (
            make_home(tmp_path_factory.mktemp("wide")) as home,
            start_nodes(2, 2) as address,
        ):
            marks = home.path / "marks"
            marks.mkdir()
            command = (
                "run",
                home.write_toy_study(
                    "wide",
                    candidates=CANDIDATES,
                    epochs=3,
                    extra="halving = {eta = 6, finish_front = false}",
                    wide_above=0,
                    workers=2,
                    fail="kill-once",
                    marks=str(marks),
                ),
            )
            study = home.study("wide")
            with home.start(*command, at=address) as driver:
                driver.wait_until(study.has_phase("paused"))
                driver.kill()
                output = driver.output()
            started = len(study.trials())
            end = home.run(*command, at=address)
            file = home.write_toy_study("too-wide", candidates=1, epochs=2, wide_above=0, workers=5)
            yield WideSearch(
                address=address,
                study=study,
                killed_ranks=len(list(marks.iterdir())),
                started_before_the_kill=started,
                output=output,
                end=end,
                too_wide=home.run("run", file, at=address),
            )


def test_a_wide_search_goes_on_after_its_driver_was_killed_and_ends_whole(wide: WideSearch):
    assert 2 <= wide.started_before_the_kill < CANDIDATES
    assert wide.end.returncode == 0, wide.end.stderr
    wide.study.assert_whole(CANDIDATES)
    assert all(trial.user_attrs["resources"]["workers"] == 2 for trial in wide.study.trials())


def test_progress_shows_while_the_search_runs(wide: WideSearch):
    assert "on       the Ray cluster at 127.0.0.1:" in wide.output
    assert "starts on 2 workers x (1 CPU)" in wide.output


def test_halving_stops_wide_trials_and_others_run_in_their_place(wide: WideSearch):
    assert [t for t in wide.study.trials() if t.state is TrialState.PRUNED]
    # Four CPUs hold two such trials: the third and later ones ran on what others had freed.
    assert _most_at_once(wide.study) == 2


def _most_at_once(study: StudyOnDisk) -> int:
    """Replay the journal: how many trials were running at the same time."""
    most, running, driver = 0, set(), ""
    for line in study.operations():
        if line["worker_id"] != driver:  # what another one had running, died with it
            running.clear()
            driver = line["worker_id"]
        phase = line.get("user_attr", {}).get("phase")
        if phase == "running":
            running.add(line["trial_id"])
        elif phase:
            running.discard(line["trial_id"])
        most = max(most, len(running))
    return most


def test_every_cpu_is_free_once_the_search_is_over(
    wide: WideSearch, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with connect(wide.address) as connection:
        assert sum(node.cpus for node in connection.capacity.nodes) == 4
        assert ray.available_resources()["CPU"] == 4


def test_a_trial_whose_rank_was_killed_goes_on_from_its_checkpoint(wide: WideSearch):
    assert wide.killed_ranks >= 1
    records = StudyFolder(Path(wide.study.path)).open().records.values()
    assert sum(record.retried(Cause.LOST_WORKER) for record in records) == wide.killed_ranks
    assert not [record for record in records if record.failure]
    # At epoch 1 there is a checkpoint, so no epoch was learned twice.
    assert "lost worker (a worker process died): goes on from its checkpoint" in wide.end.stdout


def _command(home: Home) -> tuple[str, str]:
    file = home.write_toy_study("one", candidates=1, epochs=30, wide_above=0, epoch_s=0.3)
    return "run", file


def _ranks(processes: set[int]) -> set[int]:
    return {pid for pid in processes if "ray::Rank" in command_of(pid)}


def test_no_rank_outlives_its_driver_that_was_told_to_leave(home: Home, wide: WideSearch):
    with home.start(*_command(home), at=wide.address) as driver:
        driver.wait_until(home.study("one").has_epochs(1))
        ranks = _ranks(living_children())
        assert len(ranks) == 2
        os.killpg(driver.process.pid, signal.SIGTERM)  # as `timeout` and batch systems do
        assert driver.wait(30) == 130
        wait_until_gone(ranks | driver.survivors(), seconds=5)


def test_no_rank_outlives_a_killed_driver_nor_the_ray_that_it_has_started(home: Home):
    with home.start(*_command(home), "--cpus", "2") as driver:
        driver.wait_until(home.study("one").has_epochs(1))
        ranks = _ranks(driver.survivors())
        assert len(ranks) == 2
        driver.kill()
        wait_until_gone(ranks, seconds=5)
        wait_until_only_agents(driver, seconds=20)


def test_a_trial_wider_than_the_cluster_is_refused(wide: WideSearch):
    assert_two_lines(wide.too_wide, "5 workers", "4 CPUs", "at most 4 workers")
