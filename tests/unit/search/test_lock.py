"""The driver's lock: between processes of one machine, and between machines."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.errors import StudyError
from search.study.folder import StudyFolder
from search.study.lock import driver_lock

REPOSITORY = Path(__file__).parents[3]
BEAT_S = 0.1

DRIVE = """
import sys, time
from pathlib import Path
from search.errors import StudyError
from search.study.lock import driver_lock
try:
    with driver_lock(Path(sys.argv[1])):
        print("driving", flush=True)
        time.sleep(60)
except StudyError as error:
    print(error, flush=True)
"""


@contextlib.contextmanager
def other_process(study: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that tries to drive the study, and the first line it says."""
    process = subprocess.Popen(
        [sys.executable, "-c", DRIVE, str(study)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.communicate()


# One machine ------------------------------------------------------------------------------------


def test_a_second_driver_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with other_process(tmp_path) as (holder, said):
        assert said == "driving"
        refused = pytest.raises(StudyError, match=f"already driven by process {holder.pid} on ")
        with refused as caught, driver_lock(tmp_path):
            pass
        assert "ecgsearch pareto" in caught.value.hint
        assert f"delete {tmp_path / 'driver.lock'}" in caught.value.hint


def test_another_process_is_refused_while_this_one_drives(tmp_path: Path) -> None:
    with driver_lock(tmp_path), other_process(tmp_path) as (_, said):
        assert f"study {tmp_path} is already driven by process {os.getpid()} on " in said
        assert " since 20" in said


def test_a_killed_driver_holds_nothing(tmp_path: Path) -> None:
    with other_process(tmp_path) as (holder, said):
        assert said == "driving"
        holder.send_signal(signal.SIGKILL)
        holder.wait(timeout=10)
        told: list[str] = []
        with driver_lock(tmp_path, tell=told.append):
            assert (tmp_path / "driver.lock").read_text().startswith(f'{{"process": {os.getpid()}')
        assert told == []  # at once, without watching


def test_a_stopped_driver_still_holds_its_study(tmp_path: Path) -> None:
    with other_process(tmp_path) as (holder, _):
        holder.send_signal(signal.SIGSTOP)
        with pytest.raises(StudyError, match="already driven"), driver_lock(tmp_path):
            pass


def test_the_lock_is_free_after_its_driver_left(tmp_path: Path) -> None:
    with driver_lock(tmp_path):
        assert (tmp_path / "driver.lock").read_text()
    assert not (tmp_path / "driver.lock").read_text()
    with driver_lock(tmp_path):
        assert (tmp_path / "driver.lock").read_text()


def test_the_lock_makes_the_folder_of_a_new_study(tmp_path: Path) -> None:
    with driver_lock(tmp_path / "studies" / "first"):
        assert (tmp_path / "studies" / "first").is_dir()


def test_a_folder_in_which_nothing_came_to_be_is_removed_with_its_lock(tmp_path: Path) -> None:
    with StudyFolder(tmp_path / "studies" / "first").driving():
        pass
    assert list(tmp_path.iterdir()) == []


# Another machine, of which this one sees the file alone ------------------------------------------


def leave_text(study: Path, beats: int = 1) -> None:
    """What a driver on another machine writes."""
    holder = {
        "process": 4711,
        "host": "node-7",
        "machine": "another",
        "since": "2026-01-02 03:04:05 +0000",
        "token": "theirs",
        "beats": beats,
    }
    (study / "driver.lock").write_text(json.dumps(holder))


@contextlib.contextmanager
def beating(study: Path) -> Iterator[None]:
    """A driver on another machine that lives."""
    over = threading.Event()

    def beat() -> None:
        beats = 1
        while not over.wait(BEAT_S):
            leave_text(study, beats := beats + 1)

    leave_text(study)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@pytest.fixture(params=["locks count here only", "no locks"])
def shared(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study on a file system whose locks do not reach other machines."""
    if request.param == "no locks":

        def unsupported(descriptor: int, operation: int) -> None:
            raise OSError(errno.ENOTSUP, "Operation not supported")

        monkeypatch.setattr(fcntl, "flock", unsupported)
    return tmp_path


def test_a_living_driver_on_another_machine_is_seen_by_its_beats(shared: Path) -> None:
    told: list[str] = []
    with beating(shared):
        refused = pytest.raises(
            StudyError,
            match=r"already driven by process 4711 on node-7 since 2026-01-02 03:04:05 \+0000",
        )
        with refused, driver_lock(shared, beat_s=BEAT_S, tell=told.append):
            pass
    assert len(told) == 1
    assert "to see whether process 4711 on node-7" in told[0]


def test_a_driver_on_another_machine_that_beats_no_more_is_gone(shared: Path) -> None:
    leave_text(shared)
    begun_s = time.monotonic()
    with driver_lock(shared, beat_s=BEAT_S):
        assert time.monotonic() - begun_s > 5 * BEAT_S
        assert json.loads((shared / "driver.lock").read_text())["process"] == os.getpid()


def test_a_driver_that_leaves_while_it_is_watched_is_not_waited_for(shared: Path) -> None:
    leave_text(shared)
    threading.Timer(0.2, (shared / "driver.lock").write_text, ("",)).start()
    begun_s = time.monotonic()
    with driver_lock(shared, beat_s=1.0):
        assert time.monotonic() - begun_s < 3.0


def test_a_driver_says_that_it_lives(shared: Path) -> None:
    def beats() -> int:
        return json.loads((shared / "driver.lock").read_text())["beats"]

    with driver_lock(shared, beat_s=BEAT_S):
        first = beats()
        deadline = time.monotonic() + 10
        while beats() < first + 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_a_driver_that_was_replaced_notices_and_leaves_the_others_text(shared: Path) -> None:
    with driver_lock(shared, beat_s=BEAT_S) as lock:
        lock.require_kept()
        leave_text(shared, beats=10**40)  # longer than this one's, which may be being written
        deadline = time.monotonic() + 10
        while not lock.lost:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with pytest.raises(StudyError, match="was taken over by process 4711 on node-7"):
            lock.require_kept()
    assert json.loads((shared / "driver.lock").read_text())["token"] == "theirs"


def test_a_file_that_holds_no_name_is_no_holder(tmp_path: Path) -> None:
    (tmp_path / "driver.lock").write_text("half a li")
    with driver_lock(tmp_path, beat_s=BEAT_S):
        assert json.loads((tmp_path / "driver.lock").read_text())["process"] == os.getpid()
