"""`ray job submit` of a search: stopped, killed, edited and submitted again, it goes on."""

import json
import os
import re
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

from .driver import REPOSITORY, StudyOnDisk, toy_study
from .ray_head import RayHead

pytestmark = pytest.mark.slow

CANDIDATES = 6
RUN = ("python", "-m", "search", "run", "toy.toml")


@dataclass
class Submitted:
    """One study, submitted three times: the first job stopped, the second one's driver killed."""

    study: StudyOnDisk
    statuses: list[JobStatus] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    working_dirs: list[str] = field(default_factory=list)
    without_home: str = ""
    """The log of a job that was not told where relative paths count from."""


@pytest.fixture(scope="module")
def working_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a problem of their own, and a study file."""
    folder = tmp_path_factory.mktemp("work")
    toy = (REPOSITORY / "tests" / "toy.py").read_text()
    # So that each job's log says from which copy of the folder it ran.
    (folder / "my_toy.py").write_text(f"{toy}\n\nprint('copy', __file__, flush=True)\n")
    (folder / "toy.toml").write_text(
        toy_study("toy", candidates=CANDIDATES, epochs=3, path="my_toy:ToyProblem", epoch_s=0.1)
    )
    return folder


@pytest.fixture(scope="module")
def submitted(
    ray_head: RayHead, working_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Submitted:
    home = tmp_path_factory.mktemp("home")
    client = JobSubmissionClient(ray_head.dashboard_url)
    study = StudyOnDisk(home / "studies" / "toy")
    story = Submitted(study)

    def submit(**env_vars: str) -> str:
        return client.submit_job(
            entrypoint=" ".join(RUN),
            runtime_env={"working_dir": str(working_dir), "env_vars": env_vars},
        )

    def note(job: str) -> None:
        _wait_for(lambda: client.get_job_status(job).is_terminal(), seconds=60)
        story.statuses.append(client.get_job_status(job))
        story.logs.append(client.get_job_logs(job))
        story.working_dirs += re.findall(r"^copy (\S+)", story.logs[-1], re.MULTILINE)[:1]
        with (working_dir / "my_toy.py").open("a") as file:
            file.write(f"# an edit after {job}\n")

    without_home = submit()
    job = submit(ECGSEARCH_HOME=str(home))
    _wait_for(study.has_epochs(2), seconds=60)
    client.stop_job(job)
    _wait_for(lambda: client.get_job_status(without_home) is JobStatus.FAILED, seconds=60)
    story.without_home = client.get_job_logs(without_home)
    note(job)

    known = study.text().count('{"epoch:')
    job = submit(ECGSEARCH_HOME=str(home))
    _wait_for(study.has_epochs(known + 1), seconds=60)
    os.kill(study.driver_pid(), signal.SIGKILL)
    note(job)

    ended = ray_head.submit(
        working_dir,
        *RUN,
        runtime_env_json=json.dumps({"env_vars": {"ECGSEARCH_HOME": str(home)}}),
    )
    story.logs.append(ended.stdout)
    story.working_dirs += re.findall(r"^copy (\S+)", ended.stdout, re.MULTILINE)[:1]
    story.statuses.append(JobStatus.SUCCEEDED if ended.returncode == 0 else JobStatus.FAILED)
    return story


def test_a_search_that_was_stopped_and_killed_goes_on_when_it_is_submitted_again(
    submitted: Submitted,
):
    assert submitted.statuses == [JobStatus.STOPPED, JobStatus.FAILED, JobStatus.SUCCEEDED]
    assert "resumed " in submitted.logs[1]
    assert "resumed " in submitted.logs[2]
    submitted.study.assert_whole(CANDIDATES)


def test_every_submission_runs_from_a_copy_of_the_folder_as_it_is_then(submitted: Submitted):
    assert len(set(submitted.working_dirs)) == 3
    assert all("working_dir_files" in copy for copy in submitted.working_dirs)


def test_a_jobs_log_shows_where_the_study_is_and_its_front(submitted: Submitted):
    lines = submitted.logs[2].splitlines()
    assert f"study    {submitted.study.path}" in lines
    assert any(line.startswith("on       the Ray cluster at 127.0.0.1:") for line in lines)
    assert any(line.startswith(f"{CANDIDATES} candidates tried (") for line in lines)


def test_a_relative_study_folder_is_refused_where_no_home_is_given(submitted: Submitted):
    error, fix = submitted.without_home.splitlines()[-2:]
    assert error.startswith(
        "error: the study folder 'studies/toy' is relative, and inside a Ray job "
    )
    assert fix.startswith("fix: give an absolute path, or submit with ")
    assert "ECGSEARCH_HOME" in fix


def _wait_for(holds, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"still waiting after {seconds} s"
        time.sleep(0.1)
