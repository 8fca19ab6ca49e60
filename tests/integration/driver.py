"""The command line as a user starts it: a process of its own, in a session of its own.

A driver is ended by the id of its session, never by name, so that nothing of it survives a test.
"""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from .ray_head import end_session, living, session_members

REPOSITORY = Path(__file__).parents[2]

ECG_STUDY = """
name = "ecg"
dataset = "data/ecg"
space = {ranges = {base = ["tiny"], phi = [-3.0, -2.0]}}
budget = {candidates = 6, epochs = 3}
training = {batch_size = 32, segments_per_epoch = 64}
"""


@dataclass(frozen=True, kw_only=True)
class Home:
    """A folder that relative paths count from, and the environment of what is started in it."""

    path: Path
    env: Mapping[str, str]

    def run(
        self, *arguments: str, at: str | None = None, timeout_s: float = 150
    ) -> subprocess.CompletedProcess[str]:
        """`ecgsearch ARGUMENTS`, waited for; `at` a cluster's address, or on a Ray of its own."""
        with self.start(*arguments, at=at) as driver:
            driver.wait(timeout_s)
            return subprocess.CompletedProcess(
                arguments, driver.process.returncode, driver.output(), driver.errors()
            )

    def call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`ecgsearch ARGUMENTS` in this process, which has imported what a new one would have to.

        For what is over at once, starts no Ray and leaves the process as it is.
        """
        from search.cli import main

        out, err = io.StringIO(), io.StringIO()
        with (
            redirect_stdout(out),
            redirect_stderr(err),
            chdir(self.path),
            mock.patch.dict(os.environ, self.env, clear=True),
            mock.patch.object(sys, "path", [*sys.path]),
        ):
            try:
                status = main(arguments)
            except SystemExit as ended:  # argparse's way to refuse
                status = ended.code
        return subprocess.CompletedProcess(arguments, status, out.getvalue(), err.getvalue())

    @contextmanager
    def start(self, *arguments: str, at: str | None = None) -> Iterator["Driver"]:
        """`ecgsearch ARGUMENTS`, started; on leaving, nothing of its session survives."""
        logs = Path(tempfile.mkdtemp(dir=self.env["TMPDIR"]))
        with (logs / "out").open("w") as out, (logs / "err").open("w") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "search", *arguments],
                cwd=self.path,
                env={**self.env, **(_attached(at) if at else {})},
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )
        try:
            yield Driver(process, logs)
        finally:
            end_session(process.pid)
            process.wait()

    def study(self, name: str) -> "StudyOnDisk":
        return StudyOnDisk(self.path / "studies" / name)

    def write_toy_study(
        self, name: str, *, candidates: int, epochs: int, extra: str = "", **arguments: Any
    ) -> str:
        """Write NAME.toml, a search of `tests.toy.ToyProblem(**arguments)`; return its name."""
        file = self.path / f"{name}.toml"
        file.write_text(
            toy_study(name, candidates=candidates, epochs=epochs, extra=extra, **arguments)
        )
        return file.name


class Driver:
    """A command that runs."""

    def __init__(self, process: subprocess.Popen[bytes], logs: Path) -> None:
        self.process = process
        self._logs = logs

    def output(self) -> str:
        return (self._logs / "out").read_text()

    def errors(self) -> str:
        return (self._logs / "err").read_text()

    def wait(self, timeout_s: float) -> int:
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired as error:
            raise AssertionError(
                f"still running after {timeout_s} s\n{self.output()}\n{self.errors()}"
            ) from error

    def wait_until(self, holds: Callable[[], bool], *, timeout_s: float = 90) -> None:
        """Wait for something that the command does while it runs."""
        deadline = time.monotonic() + timeout_s
        while not holds():
            told = f"{self.output()}\n{self.errors()}"
            assert self.process.poll() is None, f"ended too early\n{told}"
            assert time.monotonic() < deadline, f"still waiting after {timeout_s} s\n{told}"
            time.sleep(0.02)

    def kill(self) -> None:
        """SIGKILL to the driver alone: workers and a Ray of its own are left to themselves."""
        self.process.kill()
        self.process.wait()

    def press_ctrl_c(self) -> None:
        """SIGINT to the whole process group, as a terminal does."""
        os.killpg(self.process.pid, signal.SIGINT)

    def survivors(self) -> set[int]:
        """Living processes of the command: its session's, and those that they have started."""
        return session_members(self.process.pid)


@dataclass(frozen=True)
class StudyOnDisk:
    """What a study's folder shows to whoever reads it with Optuna alone."""

    path: Path

    @property
    def journal(self) -> Path:
        return self.path / "journal.log"

    def text(self) -> str:
        return self.journal.read_text(errors="replace") if self.journal.exists() else ""

    def operations(self) -> list[dict[str, Any]]:
        """The journal's complete lines."""
        return [
            json.loads(line) for line in self.text().splitlines(keepends=True) if line[-1:] == "\n"
        ]

    def has_epochs(self, count: int) -> Callable[[], bool]:
        """Whether so many results are written down; for `Driver.wait_until`."""
        return lambda: self.text().count('{"epoch:') >= count

    def has_phase(self, phase: str, count: int = 1) -> Callable[[], bool]:
        """Whether a phase was entered so often; for `Driver.wait_until`."""
        return lambda: self.text().count(f'{{"phase":"{phase}"}}') >= count

    def trials(self) -> list[FrozenTrial]:
        """The trials that were started, as Optuna sees them; proposals turned down left out."""
        trials = self.load().get_trials(deepcopy=False)
        return [trial for trial in trials if trial.user_attrs.get("phase") != "rejected"]

    def load(self) -> optuna.Study:
        storage = JournalStorage(JournalFileBackend(str(self.journal)))
        (name,) = optuna.get_all_study_names(storage)
        return optuna.load_study(study_name=name, storage=storage)

    def driver_pid(self) -> int:
        return int(json.loads((self.path / "driver.lock").read_text())["process"])

    def assert_whole(self, candidates: int) -> None:
        """Exactly the asked number, no two alike, each with a verdict that its phase agrees to."""
        trials = self.trials()
        assert len(trials) == candidates
        assert len({trial.user_attrs["key"] for trial in trials}) == candidates
        verdicts = {"done": TrialState.COMPLETE, "stopped": TrialState.PRUNED}
        for trial in trials:
            assert trial.state is verdicts[trial.user_attrs["phase"]], trial.number
        assert not [t for t in self.load().trials if t.state is TrialState.RUNNING]


def toy_study(
    name: str,
    *,
    candidates: int,
    epochs: int,
    extra: str = "",
    path: str = "tests.toy:ToyProblem",
    **arguments: Any,
) -> str:
    """The text of a study file that searches a toy."""
    values = ", ".join(f"{key} = {json.dumps(value)}" for key, value in arguments.items())
    return f"""
name = "{name}"
problem = {{path = "{path}", arguments = {{{values}}}}}
objectives = [
    {{metric = "accuracy", direction = "max"}},
    {{metric = "log10_parameters", direction = "min", exact = true}},
]
budget = {{candidates = {candidates}, epochs = {epochs}}}
{extra}
"""


@contextmanager
def make_home(path: Path) -> Iterator[Home]:
    """A home without Ray settings; what a killed driver leaves in its temporary folder goes too.

    What belongs to the user ($HOME) lies there as well, so that `path` shows what a command writes.
    """
    # Ray's sockets lie in the temporary folder: its name must be short.
    temp_dir = Path(tempfile.mkdtemp(prefix="e", dir="/tmp"))
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("RAY_", "ECGSEARCH_"))
    }
    env = {
        "HOME": str(temp_dir),
        "TMPDIR": str(temp_dir),
        "PYTHONPATH": str(REPOSITORY),
        # One thread a process: torch's pools would only fight for the test machine's cores.
        "OMP_NUM_THREADS": "1",
    }
    try:
        yield Home(path=path, env={**kept, **env})
    finally:
        shutil.rmtree(temp_dir, ignore_errors=True)


def wait_until_only_agents(driver: Driver, *, seconds: float) -> None:
    """Wait until nothing of a killed driver's Ray works any more.

    Ray's two agents of a node hold neither CPUs nor data; they miss their node after a minute.
    """
    deadline = time.monotonic() + seconds
    while left := [name for name in map(command_of, driver.survivors()) if "Agent" not in name]:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def wait_until_gone(processes: set[int], *, seconds: float) -> None:
    """Wait until none of the processes lives."""
    deadline = time.monotonic() + seconds
    while left := living(processes):
        assert time.monotonic() < deadline, f"processes {sorted(left)} are still there"
        time.sleep(0.1)


def assert_two_lines(ended: subprocess.CompletedProcess[str], *names: str) -> None:
    """An error of the user's: what is wrong and how to mend it, nothing else, exit status 2."""
    told = ended.stdout + ended.stderr
    assert ended.returncode == 2, told
    lines = ended.stderr.splitlines()
    assert len(lines) == 2, told
    assert lines[0].startswith("error: "), told
    assert lines[1].startswith("fix: "), told
    assert len(lines[1]) > len("fix: "), told
    for name in names:
        assert name in ended.stderr, told


def files_under(folder: Path) -> Sequence[str]:
    """Everything below a folder, to see that nothing was left half-written."""
    return sorted(str(entry.relative_to(folder)) for entry in folder.rglob("*"))


def command_of(pid: int) -> str:
    """A process's title: Ray's workers show there what they do."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:  # it ended meanwhile
        return "Agent that has ended"


def _attached(address: str) -> dict[str, str]:
    return {"RAY_ADDRESS": address, "RAY_AUTH_MODE": "disabled"}
