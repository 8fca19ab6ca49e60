"""What tests of several folders share: one Ray head, and homes to start commands in."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Before torch is imported: two pools of threads on two cores cost more than they bring here.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest

from tests.integration.driver import ECG_STUDY, REPOSITORY, Home, make_home
from tests.integration.ray_head import RayHead, start_head

if TYPE_CHECKING:
    from cluster.connect import Connection


@pytest.fixture(scope="session")
def ray_head() -> Iterator[RayHead]:
    """A real head with dashboard and two CPUs, for subprocesses: `env=ray_head.env`, or `submit`.

    Shared by all tests: leave nothing running on it.
    """
    with start_head(cpus=2) as head:
        yield head


@pytest.fixture(scope="module")
def connected(ray_head: RayHead) -> Iterator[Connection]:
    """This process's connection to the head, whose workers import what this repository has."""
    with pytest.MonkeyPatch.context() as environment:
        for name in ("RAY_ADDRESS", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
            environment.delenv(name, raising=False)
        environment.setenv("RAY_AUTH_MODE", "disabled")
        paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
        environment.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
        from cluster.connect import connect  # and ray with it, which few tests need

        with connect(ray_head.address) as connection:
            yield connection


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
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
