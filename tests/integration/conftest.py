"""Ray clusters and searches shared by the integration tests.

No cluster sees a Ray token of the user's.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .driver import Home, StudyOnDisk, make_home
from .ray_head import RayHead, start_head, start_nodes


@pytest.fixture(scope="session")
def ray_head() -> Iterator[RayHead]:
    """A real head with dashboard and two CPUs, for subprocesses: `env=ray_head.env`, or `submit`.

    Shared by all tests: leave nothing running on it.
    """
    with start_head(cpus=2) as head:
        yield head


@pytest.fixture
def at_ray_head(ray_head: RayHead, clean_ray: pytest.MonkeyPatch) -> RayHead:
    """The head, with this process's environment set so that `connect()` attaches to it."""
    clean_ray.setenv("RAY_AUTH_MODE", "disabled")
    clean_ray.setenv("RAY_ADDRESS", ray_head.address)
    return ray_head


@pytest.fixture
def ray_nodes(clean_ray: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a cluster of two nodes with one CPU each, without dashboard."""
    clean_ray.setenv("RAY_AUTH_MODE", "disabled")
    with start_nodes(1, 1) as address:
        yield address


@pytest.fixture
def clean_ray(monkeypatch: pytest.MonkeyPatch, tmp_path) -> pytest.MonkeyPatch:
    """An environment without Ray settings, and an empty home folder."""
    for name in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    return monkeypatch


@pytest.fixture
def home(tmp_path) -> Iterator[Home]:
    """An empty folder to start commands in."""
    with make_home(tmp_path) as made:
        yield made


@pytest.fixture(scope="session")
def ecg_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A folder with synthetic recordings, `data/ecg` prepared from them, and `ecg.toml`.

    Shared by all tests: copy what you want to change.
    """
    with make_home(tmp_path_factory.mktemp("ecg")) as made:
        (made.path / "ecg.toml").write_text(ECG_STUDY)
        for command in (
            ("data", "synthesise", "--out", "recordings", "--records", "10", "--seconds", "30"),
            (
                *("data", "prepare", "synthetic", "--source", "recordings", "--out", "data/ecg"),
                *("--processes", "1"),
            ),
        ):
            ended = made.run(*command)
            assert ended.returncode == 0, ended.stderr
        yield made


ECG_STUDY = """
name = "ecg"
dataset = "data/ecg"
space = {ranges = {base = ["tiny"], phi = [-3.0, -2.0]}}
budget = {candidates = 6, epochs = 3}
training = {batch_size = 32, segments_per_epoch = 64}
"""


@dataclass(frozen=True, kw_only=True)
class Searched:
    """A search that was run to its end."""

    home: Home
    run: subprocess.CompletedProcess[str]
    study: StudyOnDisk


@pytest.fixture(scope="session")
def searched(ecg_home: Home) -> Searched:
    """`ecgsearch run ecg.toml --cpus 2`: six EfficientECG networks on a Ray of its own.

    Shared by all tests: leave its trials as they are.
    """
    ended = ecg_home.run("run", "ecg.toml", "--cpus", "2")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return Searched(home=ecg_home, run=ended, study=ecg_home.study("ecg"))
