"""A driver killed at twenty random moments of one search, and a data-parallel one of real networks.

Run by `make faults`.
"""

import json
import os
import random
import signal
import time

import pytest

from search.study.folder import StudyFolder
from tests.integration.conftest import ECG_STUDY
from tests.integration.driver import (
    Home,
    StudyOnDisk,
    command_of,
    wait_until_gone,
    wait_until_only_agents,
)
from tests.integration.ray_head import living_children, start_head, start_nodes

pytestmark = pytest.mark.faults

KILLS = 20
CANDIDATES = 40


@pytest.mark.timeout(1500)
@pytest.mark.parametrize("seed", [1])
def test_a_search_killed_at_twenty_random_moments_ends_whole(home: Home, seed: int):
    """Every second time what is left of the journal ends in half a line."""
    moments = random.Random(seed)
    command = (
        "run",
        home.write_toy_study("toy", candidates=CANDIDATES, epochs=9, epoch_s=0.15),
    )
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
                torn = moments.choice(study.text().splitlines())
                with study.journal.open("a") as file:
                    file.write(torn[: moments.randrange(1, len(torn))])
        ended = home.run(*command, at=head.address, timeout_s=300)
    assert ended.returncode == 0, ended.stderr
    study.assert_whole(CANDIDATES)
    for number, lines in finished.items():
        assert _lines_of(study, number) == lines
    for trial in study.trials():
        epochs = [key for key in trial.user_attrs if key.startswith("epoch:")]
        assert sorted(epochs) == [f"epoch:{number}" for number in range(1, len(epochs) + 1)]


def test_everything_a_killed_driver_started_is_gone_after_a_minute_or_so(home: Home):
    command = ("run", home.write_toy_study("toy", candidates=8, epochs=9, epoch_s=0.3))
    study = home.study("toy")
    with home.start(*command, "--cpus", "2") as driver:
        driver.wait_until(study.has_epochs(3))
        driver.kill()
        wait_until_only_agents(driver, seconds=20)
        wait_until_gone(driver.survivors(), seconds=90)
        assert driver.survivors() == set()


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
    assert sum(record.losses for record in records.values()) == 1
    assert "lost worker (a worker process died): goes on from its checkpoint" in output
    for number, attributes in before.items():
        known = {key: value for key, value in attributes.items() if key.startswith("epoch:")}
        assert known.items() <= study.load().trials[number].user_attrs.items()


def _kill_a_rank() -> None:
    """SIGKILL to the oldest worker of the trainings that run on this test's own nodes."""
    ranks = [pid for pid in living_children() if "RayTrainWorker" in command_of(pid)]
    assert ranks
    os.kill(min(ranks), signal.SIGKILL)


def _lines_of(study: StudyOnDisk, number: int) -> list[str]:
    return [json.dumps(line) for line in study.operations() if line.get("trial_id") == number]
