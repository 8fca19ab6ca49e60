"""Drivers, workers and heads killed at random moments, and what is left of their searches.

All by `make faults`; what is not marked `faults` by `make test` too. Nodes that die are in
tests/integration/test_lost_nodes.py.
"""

import json
import os
import random
import signal
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial

from search.study.folder import StudyFolder
from tests.integration.driver import (
    ECG_STUDY,
    Home,
    StudyOnDisk,
    command_of,
    wait_until_gone,
    wait_until_only_agents,
)
from tests.integration.ray_head import RayHead, living_children, start_head, start_nodes

pytestmark = pytest.mark.slow
only_by_make_faults = pytest.mark.faults

KILLS = 20
KILLS_IN_MAKE_TEST = 3
EPOCHS = 9
RUNGS = (1, 3, 9)
"""Where a candidate's state lies on disk, at the latest."""


class Trained:
    """A folder in which toys note every epoch that they train."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()

    def epochs(self, key: str) -> Counter[int]:
        """Epoch -> how often the candidate has trained it."""
        file = self.folder / key
        return Counter(map(int, file.read_text().split())) if file.exists() else Counter()

    def again(self, key: str) -> list[int]:
        """The epochs that the candidate has trained more than once."""
        return sorted(epoch for epoch, times in self.epochs(key).items() if times > 1)


@pytest.mark.parametrize(
    "kill",
    [
        pytest.param(kill, marks=[only_by_make_faults] if kill >= KILLS_IN_MAKE_TEST else [])
        for kill in range(KILLS)
    ],
)
def test_a_search_whose_driver_is_killed_at_a_random_moment_ends_whole_and_loses_little(
    home: Home, ray_head: RayHead, kill: int
):
    moments = random.Random(kill)
    trained = Trained(home.path / "trained")
    command = (
        "run",
        home.write_toy_study(
            "toy", candidates=6, epochs=EPOCHS, epoch_s=0.1, trained=str(trained.folder)
        ),
    )
    study = home.study("toy")
    # From the first line of the journal to nearly its last one.
    lines = moments.randrange(1, 80)
    with home.start(*command, at=ray_head.address) as driver:
        driver.wait_until(lambda: study.text().count("\n") >= lines)
        time.sleep(moments.uniform(0.0, 0.1))
        driver.kill()
    if kill % 2:
        _tear(study, moments)
    before = _known(study)

    ended = home.run(*command, at=ray_head.address)
    assert ended.returncode == 0, ended.stderr
    study.assert_whole(6)
    _assert_kept(study, before)
    for trial in study.trials():
        known = before.epochs.get(trial.number, 0)
        saved = max((rung for rung in RUNGS if rung <= known), default=0)
        assert all(epoch > saved for epoch in trained.again(trial.user_attrs["key"]))
    running = [n for n, phase in before.phases.items() if phase == "running"]
    again = [t.number for t in study.trials() if trained.again(t.user_attrs["key"])]
    assert len(again) <= max(2, len(running))  # no more than there were slots


@only_by_make_faults
@pytest.mark.timeout(400)
def test_between_rungs_a_killed_driver_costs_a_minute_of_training_at_most(
    home: Home, ray_head: RayHead
):
    trained = Trained(home.path / "trained")
    command = (
        "run",
        home.write_toy_study(
            *("long",),
            candidates=1,
            epochs=45,
            extra='halving = {name = "none"}',
            epoch_s=2.0,
            trained=str(trained.folder),
        ),
    )
    study = home.study("long")
    with home.start(*command, at=ray_head.address) as driver:
        driver.wait_until(study.has_epochs(random.Random(0).randrange(33, 42)), timeout_s=150)
        driver.kill()
    ended = home.run(*command, at=ray_head.address)
    assert ended.returncode == 0, ended.stderr
    study.assert_whole(1)
    (trial,) = study.trials()
    lost = trained.again(trial.user_attrs["key"])
    assert 0 < 2.0 * len(lost) <= 60.0 + 2.0
    assert sorted(trained.epochs(trial.user_attrs["key"])) == list(range(1, 46))


@only_by_make_faults
@pytest.mark.timeout(400)
def test_a_search_whose_workers_are_killed_at_random_moments_ends_whole(
    home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    moments = random.Random(0)
    trained = Trained(home.path / "trained")
    file = home.write_toy_study(
        "workers", candidates=10, epochs=EPOCHS, epoch_s=0.3, trained=str(trained.folder)
    )
    study = home.study("workers")
    kills = 0
    with start_nodes(2) as address, home.start("run", file, at=address) as driver:
        driver.wait_until(study.has_epochs(2))
        while kills < 6 and driver.process.poll() is None:
            if runners := [pid for pid in living_children() if "LeaseRunner" in command_of(pid)]:
                os.kill(moments.choice(runners), signal.SIGKILL)
                kills += 1
            time.sleep(moments.uniform(0.5, 2.0))
        assert driver.wait(200) == 0, driver.errors()
    study.assert_whole(10)
    records = StudyFolder(study.path).open().records.values()
    setbacks = [setback for record in records for setback in record.setbacks]
    # An idle runner may have been hit, which costs nothing.
    assert 1 <= len(setbacks) <= kills
    assert {setback.cause for setback in setbacks} <= {"lost worker", "lost node"}
    for record in records:
        again = trained.again(record.key)
        assert not set(again) & set(RUNGS[:-1]) or len(record.setbacks) >= 1
        assert len(again) <= 6 * len(record.setbacks)  # from one rung to the next


@only_by_make_faults
@pytest.mark.timeout(500)
def test_a_search_whose_head_is_killed_goes_on_at_another_one(home: Home):
    command = ("run", home.write_toy_study("head", candidates=8, epochs=EPOCHS, epoch_s=1.0))
    study = home.study("head")
    with ExitStack() as stack:
        head = stack.enter_context(start_head(cpus=2))
        with home.start(*command, at=head.address) as driver:
            driver.wait_until(study.has_epochs(random.Random(0).randrange(2, 8)))
            stack.close()  # SIGKILL to the head and all its processes
            assert driver.wait(180) != 0, driver.output()
    before = _known(study)
    with start_head(cpus=2) as head:
        ended = home.run(*command, at=head.address)
    assert ended.returncode == 0, ended.stderr
    study.assert_whole(8)
    _assert_kept(study, before)


@only_by_make_faults
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [1])
def test_a_search_killed_at_twenty_random_moments_ends_whole(home: Home, seed: int):
    """Every second time what is left of the journal ends in half a line."""
    moments = random.Random(seed)
    command = (
        "run",
        home.write_toy_study("toy", candidates=120, epochs=9, epoch_s=0.3),
    )  # enough that twenty kills come before its end
    study = home.study("toy")
    finished: dict[int, list[str]] = {}
    kills = 0
    with start_head(cpus=2) as head:
        while kills < KILLS:
            # From before Ray is connected to well into the search.
            with home.start(*command, at=head.address) as driver:
                time.sleep(moments.uniform(1.0, 14.0))
                assert driver.process.poll() is None, driver.output() + driver.errors()
                driver.kill()
            kills += 1
            if not study.journal.exists():
                continue
            for number, lines in finished.items():
                assert _lines_of(study, number) == lines
            finished |= {
                trial.number: _lines_of(study, trial.number)
                for trial in study.trials()
                if trial.state.is_finished()
            }
            if kills % 2:
                _tear(study, moments)
        ended = home.run(*command, at=head.address, timeout_s=300)
    assert ended.returncode == 0, ended.stderr
    study.assert_whole(120)
    for number, lines in finished.items():
        assert _lines_of(study, number) == lines
    for trial in study.trials():
        epochs = [key for key in trial.user_attrs if key.startswith("epoch:")]
        assert sorted(epochs) == [f"epoch:{number}" for number in range(1, len(epochs) + 1)]


@only_by_make_faults
def test_everything_a_killed_driver_started_is_gone_after_a_minute_or_so(home: Home):
    command = ("run", home.write_toy_study("toy", candidates=8, epochs=9, epoch_s=0.3))
    study = home.study("toy")
    with home.start(*command, "--cpus", "2") as driver:
        driver.wait_until(study.has_epochs(3))
        driver.kill()
        wait_until_only_agents(driver, seconds=20)
        wait_until_gone(driver.survivors(), seconds=90)
        assert driver.survivors() == set()


@only_by_make_faults
@pytest.mark.timeout(600)
def test_a_data_parallel_search_of_real_networks_outlives_its_driver_and_a_rank(
    ecg_home: Home, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    # Epochs of some seconds, so that there is a rank to kill in the middle of one.
    text = ECG_STUDY.replace('"ecg"', '"wide"').replace("_epoch = 64", "_epoch = 8192")
    (ecg_home.path / "wide.toml").write_text(
        f"{text}trials = {{workers = 2}}\nhalving = {{finish_front = false}}\n"
    )
    study = ecg_home.study("wide")
    with start_nodes(2, 2) as address:
        with ecg_home.start("run", "wide.toml", at=address) as driver:
            driver.wait_until(study.has_phase("paused", 2), timeout_s=150)
            driver.kill()
        before = {trial.number: trial.user_attrs for trial in study.trials()}
        with ecg_home.start("run", "wide.toml", at=address) as driver:
            # No rung: whoever has learned this epoch is in the middle of the next one.
            driver.wait_until(lambda: '{"epoch:2":' in study.text(), timeout_s=240)
            _kill_a_rank()
            assert driver.wait(300) == 0, driver.errors()
            output = driver.output()
    study.assert_whole(6)
    records = StudyFolder(study.path).open().records
    assert sum(len(record.setbacks) for record in records.values()) == 1
    assert "lost worker (a worker process died): goes on from its checkpoint" in output
    for number, attributes in before.items():
        known = {key: value for key, value in attributes.items() if key.startswith("epoch:")}
        assert known.items() <= study.load().trials[number].user_attrs.items()


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What a study knew of its trials at a kill."""

    epochs: dict[int, int]
    phases: dict[int, str]
    finished: dict[int, list[str]]


def _known(study: StudyOnDisk) -> _Known:
    trials = study.trials()
    return _Known(
        epochs={trial.number: len(_epochs(trial)) for trial in trials},
        phases={trial.number: trial.user_attrs["phase"] for trial in trials},
        finished={t.number: _lines_of(study, t.number) for t in trials if t.state.is_finished()},
    )


def _assert_kept(study: StudyOnDisk, before: _Known) -> None:
    """Nothing that was known is gone, nothing that was finished is touched, no epoch is missing."""
    for number, lines in before.finished.items():
        assert _lines_of(study, number) == lines
    for trial in study.trials():
        assert _epochs(trial) == list(range(1, len(_epochs(trial)) + 1))
        assert len(_epochs(trial)) >= before.epochs.get(trial.number, 0)
    assert set(before.epochs) <= {trial.number for trial in study.trials()}


def _epochs(trial: FrozenTrial) -> list[int]:
    keys = [key for key in trial.user_attrs if key.startswith("epoch:")]
    return sorted(int(key.removeprefix("epoch:")) for key in keys)


def _tear(study: StudyOnDisk, moments: random.Random) -> None:
    """Half a line at the journal's end, as a kill in the middle of a write leaves it."""
    torn = moments.choice(study.text().splitlines())
    with study.journal.open("a") as file:
        file.write(torn[: moments.randrange(1, len(torn))])


def _kill_a_rank() -> None:
    """SIGKILL to the oldest worker of the trainings that run on this test's own nodes."""
    ranks = [pid for pid in living_children() if "ray::Rank" in command_of(pid)]
    assert ranks
    os.kill(min(ranks), signal.SIGKILL)


def _lines_of(study: StudyOnDisk, number: int) -> list[str]:
    return [json.dumps(line) for line in study.operations() if line.get("trial_id") == number]


@only_by_make_faults
def test_a_driver_whose_own_ray_lost_its_control_service_ends_soon_and_the_study_goes_on(
    home: Home,
):
    file = home.write_toy_study("toy", candidates=2, epochs=EPOCHS, epoch_s=0.3)
    with home.start("run", file, "--cpus", "2") as driver:
        driver.wait_until(home.study("toy").has_epochs(1))
        (head,) = [pid for pid in driver.survivors() if "gcs_server" in command_of(pid)]
        os.kill(head, signal.SIGKILL)
        assert driver.wait(45) != 0
    again = home.run("run", file, "--cpus", "2")
    assert again.returncode == 0, again.stderr
    home.study("toy").assert_whole(2)
