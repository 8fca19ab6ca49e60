"""Ways to a Ray cluster, and a search, shared by the integration tests.

No cluster sees a Ray token of the user's.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from .driver import Home, StudyOnDisk
from .ray_head import RayHead, start_nodes


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
