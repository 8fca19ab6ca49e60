"""Connecting, submitting, asking nodes and mapping, on real Ray clusters."""

import os
import signal
import time
from pathlib import Path

import pytest
import ray

from cluster.connect import connect
from cluster.errors import ClusterError
from cluster.ledger import require_fit, slots
from cluster.mapping import map_items
from cluster.preflight import check_nodes, require_healthy
from cluster.resources import Resources

from .ray_head import RayHead, free_ports, listening_beyond_loopback, living, living_children

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]


def test_a_local_ray_is_on_loopback_and_leaves_nothing_behind(clean_ray, tmp_path):
    clean_ray.chdir(tmp_path)
    (tmp_path / "beside_the_caller.py").write_text("WHERE = __file__")
    before = living_children()
    with connect(cpus=2) as connection:
        assert connection.local
        assert connection.address.startswith("127.0.0.1:")
        assert connection.description.startswith("a local Ray on this machine (2 CPUs")
        assert slots(connection.capacity, Resources(cpus=0.5)) == 4

        where, process_group, sigint_blocked = ray.get(_surroundings(), timeout=60)
        assert where == str(tmp_path / "beside_the_caller.py")
        # So a Ctrl-C at the terminal reaches the caller, and no worker.
        assert process_group != os.getpgrp()
        assert sigint_blocked

        started = living_children() - before
        assert len(started) > 3
        # Nor does a signal for the caller's whole group, as `timeout` sends it, reach any of them.
        assert os.getpgrp() not in map(os.getpgid, started)
        assert listening_beyond_loopback(started) == []
        temp_dir = Path(ray.get_runtime_context().get_temp_dir())
    assert not temp_dir.exists()
    _wait_until(lambda: not living(started), seconds=5)
    assert list((tmp_path / "home").iterdir()) == []  # no token
    assert "RAY_AUTH_MODE" not in os.environ


def test_a_dead_address_is_refused_within_seconds(clean_ray):
    address = f"127.0.0.1:{free_ports(1)[0]}"
    clean_ray.setenv("RAY_ADDRESS", address)
    started = time.monotonic()
    with pytest.raises(ClusterError, match=f"no Ray cluster answers at {address}"), connect():
        pass
    assert time.monotonic() - started < 8


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "http://127.0.0.1:8265", "head"])
def test_what_is_no_control_service_is_refused(clean_ray, address):
    with pytest.raises(ClusterError) as refusal, connect(address):
        pass
    assert address in str(refusal.value)
    assert "host:port" in refusal.value.hint


def test_a_number_of_cpus_for_a_cluster_that_exists_is_refused(clean_ray):
    refused = pytest.raises(ClusterError, match=r"the cluster at 10\.0\.0\.5:6379 exists already")
    with refused, connect("10.0.0.5:6379", cpus=4):
        pass


def test_connecting_to_a_head_that_runs_leaves_it_running(at_ray_head: RayHead):
    for _ in range(2):
        with connect() as connection:
            assert not connection.local
            assert connection.address == at_ray_head.address
            assert connection.description.startswith(
                f"the Ray cluster at {at_ray_head.address} (2 CPUs"
            )
            refused = pytest.raises(ClusterError, match="connected to a Ray cluster already")
            with refused, connect():
                pass


def test_a_sigterm_handler_of_the_callers_stays(at_ray_head: RayHead):
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        with connect():
            os.kill(os.getpid(), signal.SIGTERM)
            assert received == [signal.SIGTERM]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_without_a_sigterm_handler_the_signal_unwinds_the_connection(at_ray_head: RayHead):
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        with pytest.raises(SystemExit), connect():
            os.kill(os.getpid(), signal.SIGTERM)
        assert not ray.is_initialized()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def test_workers_of_a_cluster_count_relative_paths_from_the_callers_folder(
    at_ray_head: RayHead, monkeypatch, tmp_path
):
    monkeypatch.delenv("ECGSEARCH_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    with connect():
        home = ray.remote(lambda: os.environ["ECGSEARCH_HOME"]).remote()
        assert ray.get(home, timeout=60) == str(tmp_path)


JOB = """
import os
import ray
from cluster.connect import connect
from cluster.errors import ClusterError
from cluster.paths import inside_job, resolve_path
from cluster.submission import job_info

print("inside job:", inside_job(), job_info().submission_id.startswith("raysubmit_"))
with connect() as connection:
    print("attached:", connection.local)
    seen = ray.remote(lambda: (inside_job(), resolve_path("studies/a", what="study"))).remote()
    print("worker:", *ray.get(seen, timeout=60))
print("driver:", resolve_path("studies/a", what="study"))
del os.environ["ECGSEARCH_HOME"]
try:
    resolve_path("studies/a", what="study")
except ClusterError as error:
    print("refused:", error)
"""


def test_a_submitted_job_finds_its_cluster_and_refuses_relative_paths_without_a_home(
    ray_head: RayHead, tmp_path
):
    (tmp_path / "cluster").symlink_to(REPOSITORY / "cluster")
    (tmp_path / "job.py").write_text(JOB)
    home = '{"env_vars": {"ECGSEARCH_HOME": "/shared/ecg"}}'
    job = ray_head.submit(tmp_path, "python", "job.py", runtime_env_json=home)
    assert job.returncode == 0, job.stdout
    lines = job.stdout.splitlines()
    assert "inside job: True True" in lines
    assert "attached: False" in lines
    assert "worker: True /shared/ecg/studies/a" in lines
    assert "driver: /shared/ecg/studies/a" in lines
    assert any(
        line.startswith("refused: study 'studies/a' is relative, and inside a Ray job")
        for line in lines
    )


def test_preflight_asks_each_node_and_names_what_is_wrong_where(ray_nodes, tmp_path, monkeypatch):
    installed_here_alone = tmp_path / "site" / "ecg_probe-1.0.dist-info"
    installed_here_alone.mkdir(parents=True)
    (installed_here_alone / "METADATA").write_text("Name: ecg-probe\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(installed_here_alone.parent)
    with connect(ray_nodes) as connection:
        assert slots(connection.capacity, Resources(workers=2)) == 1
        with pytest.raises(ClusterError, match="no node has room for one worker"):
            require_fit(connection.capacity, Resources(cpus=2.0), "a trial")

        healthy = check_nodes(
            distributions=["ray", "numpy"], readable=[tmp_path], writable=tmp_path
        )
        assert [node.node_id for node in healthy] == [
            node.node_id for node in connection.capacity.nodes
        ]
        assert {node.versions["ray"] for node in healthy} == {ray.__version__}
        require_healthy(healthy)

        ill = check_nodes(
            distributions=["ecg-probe"],
            readable=[tmp_path / "missing"],
            writable=Path("/proc"),
        )
        assert len(ill) == 2
        for node in ill:
            assert node.problems[0] == "has ecg-probe missing, expected 1.0"
            assert node.problems[1] == f"cannot read {tmp_path / 'missing'}"
            assert node.problems[2].startswith("cannot write to /proc: ")
        with pytest.raises(ClusterError, match=f"node .* \\({ill[1].node_id[:8]}\\) cannot read"):
            require_healthy(ill)


def test_mapping_reports_the_item_that_fails_and_tries_again_where_a_worker_dies(
    at_ray_head: RayHead, tmp_path
):
    def half(number: int) -> float:
        died = tmp_path / f"died-{number}"
        if number == 6 and not died.exists():
            died.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 8:
            os.kill(os.getpid(), signal.SIGKILL)
        if number % 2:
            raise ValueError(f"{number} is odd")
        return number / 2

    failures: dict[str, Exception] = {}
    progress: list[tuple[int, int]] = []
    items = {f"record-{number}": number for number in (6, 2, 3, 8, 4)}
    with connect():
        results = map_items(
            half,
            items,
            on_error=failures.__setitem__,
            progress=lambda done, total: progress.append((done, total)),
        )
        assert list(results.items()) == [("record-6", 3.0), ("record-2", 1.0), ("record-4", 2.0)]
        assert set(failures) == {"record-3", "record-8"}
        assert isinstance(failures["record-3"], ValueError)
        assert isinstance(failures["record-8"], ray.exceptions.WorkerCrashedError)
        assert progress == [(done, 5) for done in range(1, 6)]

        with pytest.raises(ClusterError, match="record-3: ValueError: 3 is odd") as refusal:
            map_items(half, items, in_flight=1)
        assert isinstance(refusal.value.__cause__, ValueError)


def _surroundings() -> ray.ObjectRef:
    @ray.remote
    def surroundings() -> tuple[str, int, bool]:
        import beside_the_caller

        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
        return beside_the_caller.WHERE, os.getpgrp(), signal.SIGINT in blocked

    return surroundings.remote()


def _wait_until(holds, *, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
