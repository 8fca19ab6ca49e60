"""Searching through the command line: from recordings to a front, and through every kind of end."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from optuna.trial import TrialState

from ecgmodels import EfficientECGConfig, cost
from search.engine.pareto import dominates

from .conftest import Searched
from .driver import (
    Driver,
    Home,
    StudyOnDisk,
    assert_two_lines,
    make_home,
    wait_until_gone,
)
from .ray_head import RayHead

pytestmark = pytest.mark.slow


def test_a_prepared_dataset_is_described_and_checked(ecg_home: Home):
    described = ecg_home.run("data", "describe", "data/ecg")
    assert described.returncode == 0, described.stderr
    lines = described.stdout.splitlines()
    assert "records: 10 of 9 patients, 0.1 hours" in lines
    assert "leads: MLII, V1" in lines
    checked = ecg_home.run("data", "check", "data/ecg")
    assert checked.returncode == 0, checked.stderr
    assert (
        "data/ecg is sound: 333 segments of 10 records (9 patients) in 2 shards" in checked.stdout
    )
    assert described.stderr == checked.stderr == ""


def test_a_search_tries_what_was_asked_and_prints_its_front(searched: Searched):
    lines = searched.run.stdout.splitlines()
    assert lines[0] == f"study    {searched.study.path}"
    assert lines[1] == "ray      connecting"
    assert lines[2].startswith("on       a local Ray on this machine (2 CPUs")
    assert lines[3] == "trials   up to 2 at a time, each 1 worker x (1 CPU)"
    assert any("6/6 tried" in line for line in lines)
    header = next(line for line in lines if line.split()[:1] == ["trial"])
    assert header.split() == [
        *("trial", "parameters", "macs", "mean_f1", "epochs", "seconds", "configuration")
    ]
    assert lines[-3].startswith("6 candidates tried (")
    assert re.fullmatch(
        r"worker time [\d.]+ (s|min): \d+% front, \d+% dominated, \d+% stopped early, 0% failed, "
        r"0% lost, \d+% starting, waiting",
        lines[-2],
    )
    assert lines[-1] == "ended: 6 candidates were tried"


def test_halving_stops_some_candidates_and_every_one_has_its_verdict(searched: Searched):
    searched.study.assert_whole(6)
    trials = searched.study.trials()
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    assert 1 <= len(complete) < 6
    for trial in complete:
        f1, size = trial.values
        assert f1 == trial.user_attrs["epoch:3"]["metrics"]["mean_f1"]
        assert 10**size == pytest.approx(trial.user_attrs["costs"]["parameters"])


def test_what_ray_needs_while_searching_is_gone_afterwards(searched: Searched):
    left = {entry.name for entry in searched.study.path.iterdir()}
    assert left - {"retrained"} == {"driver.lock", "journal.log", "study.json", "trials"}


def test_pareto_prints_the_front_again(searched: Searched):
    shown = searched.home.call("pareto", "studies/ecg")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.strip() in searched.run.stdout


def test_pareto_as_json_says_of_each_member_what_it_is_and_what_it_reached(searched: Searched):
    rows = json.loads(searched.home.call("pareto", "studies/ecg", "--json").stdout)
    assert rows
    by_number = {trial.number: trial for trial in searched.study.trials()}
    for row in rows:
        assert list(row) == [
            *("trial", "key", "parameters", "macs", "metrics", "epochs", "seconds", "phase"),
            "config",
        ]
        trial = by_number[row["trial"]]
        assert row["key"] == trial.user_attrs["key"]
        assert row["config"] == trial.user_attrs["candidate"]
        assert row["metrics"] == trial.user_attrs[f"epoch:{row['epochs']}"]["metrics"]
        assert {"mean_f1", "macro_f1", "accuracy", "validation_loss"} <= set(row["metrics"])
        assert row["phase"] in ("done", "stopped")
        network = EfficientECGConfig.from_dict(row["config"]["model"])
        assert {name: row[name] for name in ("parameters", "macs")} == cost(network)
    points = [(-row["metrics"]["mean_f1"], row["parameters"]) for row in rows]
    assert not any(dominates(a, b) for a in points for b in points)


# One search through every kind of end -------------------------------------------------------------

CANDIDATES = 6


@dataclass
class Interrupted:
    """One search, ended four times on its way and run to its end by the same command each time."""

    study: StudyOnDisk
    finished_before: list[dict[int, list[str]]] = field(default_factory=list)
    """At each kill: finished trial -> its lines of the journal."""
    leaving_s: dict[str, float] = field(default_factory=dict)
    """How long a signalled driver took to leave."""
    status: dict[str, int] = field(default_factory=dict)
    last_words: dict[str, str] = field(default_factory=dict)
    second_driver: subprocess.CompletedProcess[str] | None = None
    first_driver_pid: int = 0
    end: subprocess.CompletedProcess[str] | None = None
    replayed: subprocess.CompletedProcess[str] | None = None


@pytest.fixture(scope="module")
def interrupted(
    tmp_path_factory: pytest.TempPathFactory, ray_head: RayHead
) -> Iterator[Interrupted]:
    """SIGKILL as soon as a candidate is written down, and after a verdict; then SIGTERM, then
    Ctrl-C; then to the end. Kills at other moments are in tests/faults."""
    with make_home(tmp_path_factory.mktemp("interrupted")) as home:
        command = ("run", home.write_toy_study("toy", candidates=CANDIDATES, epochs=9, epoch_s=0.1))
        story = Interrupted(study := home.study("toy"))

        with home.start(*command, at=ray_head.address) as driver:
            driver.wait_until(lambda: '"phase":"queued"' in study.text())
            driver.kill()
        story.finished_before.append(_finished(study))

        with home.start(*command, at=ray_head.address) as driver:
            driver.wait_until(study.has_epochs(2))
            story.first_driver_pid = driver.process.pid
            story.second_driver = home.call(*command)
            driver.wait_until(study.has_phase("done", 2))  # then Optuna has been told of one
            driver.kill()
        story.finished_before.append(_finished(study))
        _tear(study)

        for name in ("SIGTERM", "Ctrl-C"):
            known = study.text().count('{"epoch:')
            # Both go to the driver's whole group, which the Ray that it has started is not in.
            with home.start(*command, "--cpus", "2") as driver:
                driver.wait_until(study.has_epochs(known + 1))
                story.leaving_s[name] = _leave(driver, name)
                story.status[name] = driver.process.returncode
                story.last_words[name] = driver.errors()
                wait_until_gone(driver.survivors(), seconds=5)
            story.finished_before.append(_finished(study))

        story.end = home.run(*command, at=ray_head.address)
        story.replayed = home.call("replay", str(study.path))
        yield story


def _leave(driver: Driver, name: str) -> float:
    begun_s = time.monotonic()
    if name == "SIGTERM":  # as `timeout` and batch systems send it
        os.killpg(driver.process.pid, signal.SIGTERM)
    else:
        driver.press_ctrl_c()
    driver.wait(30)
    return time.monotonic() - begun_s


def _tear(study: StudyOnDisk) -> None:
    """Half a line at the journal's end, as a kill in the middle of a write leaves it."""
    with study.journal.open("a") as file:
        file.write('{"op_code":8,"worker_id":"torn","trial_id":0,"user_at')


def _finished(study: StudyOnDisk) -> dict[int, list[str]]:
    numbers = [t.number for t in study.trials() if t.state.is_finished()]
    return {number: _lines_of(study, number) for number in numbers}


def _lines_of(study: StudyOnDisk, number: int) -> list[str]:
    """What the journal says of a trial, its proposal left out."""
    return [json.dumps(line) for line in study.operations() if line.get("trial_id") == number]


def test_a_search_that_was_killed_again_and_again_ends_whole(interrupted: Interrupted):
    assert interrupted.end is not None
    assert interrupted.end.returncode == 0, interrupted.end.stderr
    interrupted.study.assert_whole(CANDIDATES)


def test_what_the_ends_cost_is_on_the_ledger(interrupted: Interrupted):
    assert interrupted.end is not None
    told = re.search(r"^worker time .*, 0% failed, (\d+)% lost, ", interrupted.end.stdout, re.M)
    assert told is not None, interrupted.end.stdout
    assert 1 <= int(told[1]) <= 99


def test_what_was_finished_before_a_kill_is_left_untouched(interrupted: Interrupted):
    assert interrupted.finished_before[1]
    for finished in interrupted.finished_before:
        for number, lines in finished.items():
            assert _lines_of(interrupted.study, number) == lines


def test_no_epoch_is_written_down_twice_and_none_is_missing(interrupted: Interrupted):
    for trial in interrupted.study.trials():
        written = [
            int(key.removeprefix("epoch:"))
            for line in map(json.loads, _lines_of(interrupted.study, trial.number))
            for key in line.get("user_attr", ())
            if key.startswith("epoch:")
        ]
        assert written == list(range(1, len(written) + 1))


def test_a_torn_last_line_of_the_journal_is_cut_off(interrupted: Interrupted):
    text = interrupted.study.text()
    assert "torn" not in text
    assert text.endswith("\n")


def test_every_decision_comes_out_the_same_again(interrupted: Interrupted):
    assert interrupted.replayed is not None
    assert interrupted.replayed.returncode == 0, interrupted.replayed.stdout
    assert "suggestions and" in interrupted.replayed.stdout
    assert interrupted.replayed.stdout.endswith("decisions came out the same\n")


@pytest.mark.parametrize("name", ["SIGTERM", "Ctrl-C"])
def test_a_signal_for_its_group_ends_a_search_within_seconds_and_says_how_to_go_on(
    interrupted: Interrupted, name: str
):
    assert interrupted.status[name] == 130
    assert interrupted.last_words[name].splitlines() == [
        "stopping; running candidates are left at their checkpoints",
        "interrupted; the same command goes on from here",
    ]
    assert interrupted.leaving_s[name] < 15


def test_a_second_driver_is_refused_while_the_first_one_runs(interrupted: Interrupted):
    assert interrupted.second_driver is not None
    assert_two_lines(
        interrupted.second_driver,
        f"is already driven by process {interrupted.first_driver_pid} on ",
    )
