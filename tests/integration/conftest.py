"""Ray clusters shared by the integration tests. None of them sees a Ray token of the user's."""

from collections.abc import Iterator

import pytest

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
