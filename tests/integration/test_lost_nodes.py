"""Searches on nodes that die, join and run out of memory, and a search that a bug ends."""

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from cluster.connect import connect
from search.engine.conductor import Conductor, Plan
from search.engine.goal import Goal
from search.execution.tune_executor import run_on_tune
from search.problem import ProblemSpec
from search.study.creation import create_study
from search.study.folder import StudyFolder
from search.study.records import CandidateRecord, Phase
from tests.toy import TOY_OBJECTIVES, ToyProblem

from .driver import Home, StudyOnDisk
from .ray_head import Nodes, RayHead, start_cluster

pytestmark = pytest.mark.slow

# A dead node is noticed within two seconds instead of twelve.
WATCHFUL = {
    "health_check_initial_delay_ms": 1000,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 500,
    "health_check_failure_threshold": 3,
}


def records(study: StudyOnDisk) -> list[CandidateRecord]:
    return list(StudyFolder(study.path).open().records.values())


def running(study: StudyOnDisk) -> int:
    return sum(record.phase is Phase.RUNNING for record in records(study))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """Two nodes, of one CPU and of two; who kills the second one adds another in its place."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("RAY_AUTH_MODE", "disabled")
        with start_cluster(1, 2, **WATCHFUL) as started:
            yield started


def test_trials_of_a_node_that_dies_go_on_elsewhere_and_a_node_that_joins_is_used(
    home: Home, nodes: Nodes
):
    study = home.study("nodes")
    # So many that there is still enough to do for all once the node has joined.
    file = home.write_toy_study("nodes", candidates=14, epochs=3, epoch_s=0.5)
    with home.start("run", file, at=nodes.address) as driver:
        driver.wait_until(lambda: study.has_epochs(1)() and running(study) == 3)
        nodes.kill_last()
        driver.wait_until(lambda: bool(re.search("1 CPU,.* nodes have joined", driver.output())))
        driver.wait_until(lambda: running(study) == 1)
        nodes.add(2)
        driver.wait_until(lambda: running(study) == 3)
        assert driver.wait(120) == 0, driver.errors()
        output = driver.output()
    study.assert_whole(14)
    assert re.search("on       3 CPUs,.* on 2 nodes: nodes have joined or left", output)
    setbacks = [setback for record in records(study) for setback in record.setbacks]
    assert len(setbacks) >= 2
    # The head may hear of the workers' death before it misses the node.
    assert {setback.cause for setback in setbacks} <= {"lost node", "lost worker"}
    assert "lost node" in {setback.cause for setback in setbacks}
    assert "; tried again: " in output


def test_trials_too_wide_for_the_nodes_that_are_left_wait_until_another_joins(
    home: Home, nodes: Nodes
):
    study = home.study("wide")
    file = home.write_toy_study("wide", candidates=2, epochs=2, epoch_s=1.0, wide_above=0)
    with home.start("run", file, at=nodes.address) as driver:
        driver.wait_until(study.has_epochs(1))
        nodes.kill_last()
        driver.wait_until(lambda: bool(re.search("1 CPU,.* nodes have joined", driver.output())))
        driver.wait_until(lambda: running(study) == 0)
        nodes.add(2)
        assert driver.wait(120) == 0, driver.errors()
    study.assert_whole(2)
    setbacks = [setback for record in records(study) for setback in record.setbacks]
    assert {setback.cause for setback in setbacks} <= {"lost node", "lost worker"}
    assert setbacks


def test_a_worker_that_rays_memory_monitor_kills_is_recorded_as_out_of_memory(
    clean_ray: pytest.MonkeyPatch, tmp_path: Path
):
    clean_ray.setenv("RAY_AUTH_MODE", "disabled")
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "journal.log")))
    study = create_study(storage, "toy", TOY_OBJECTIVES)
    conductor = Conductor(
        ToyProblem(epoch_s=5.0),
        study,
        Plan(goal=Goal(candidates=1, max_epochs=9), sampler="random"),
        checkpoints=tmp_path / "trials",
    )
    spec = ProblemSpec(path="tests.toy:ToyProblem", arguments={"epoch_s": 5.0})
    # More than 1% of any machine's memory is in use: no worker is let live.
    with (
        start_cluster(1, memory_usage_threshold=0.01, memory_monitor_refresh_ms=200) as nodes,
        connect(nodes.address) as connection,
    ):
        run_on_tune(conductor, spec, connection.capacity, folder=tmp_path / "ray")
    record = study.records[0]
    assert [setback.cause for setback in record.setbacks] == ["out of memory"]
    assert record.failure is not None
    assert (record.failure.cause, record.failure.attempt) == ("out of memory", 2)
    assert "due to the node running low on memory" in record.failure.message


@pytest.fixture
def small_cgroup() -> Iterator[Path]:
    """A group of processes that may take 300 MiB together, before the kernel kills one."""
    v1 = Path("/sys/fs/cgroup/memory")
    group = (v1 if v1.is_dir() else Path("/sys/fs/cgroup")) / f"ecgsearch-{os.getpid()}"
    limit = "memory.limit_in_bytes" if v1.is_dir() else "memory.max"
    try:
        group.mkdir()
        (group / limit).write_text(str(300 << 20))
    except OSError as error:
        if group.is_dir():
            group.rmdir()
        pytest.skip(f"limits memory by control groups: {error}")
    try:
        yield group
    finally:
        deadline = time.monotonic() + 10
        while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
            time.sleep(0.1)
        group.rmdir()


def test_a_worker_that_the_kernel_kills_for_lack_of_memory_goes_on_with_batches_in_parts(
    home: Home, ray_head: RayHead, small_cgroup: Path
):
    file = home.write_toy_study(
        "hoard", candidates=1, epochs=3, fail="hoard", marks=str(small_cgroup)
    )
    ended = home.run("run", file, at=ray_head.address)
    assert ended.returncode == 0, ended.stderr
    (record,) = records(home.study("hoard"))
    assert (record.phase, record.batch_parts) == (Phase.DONE, 2)
    assert [setback.cause for setback in record.setbacks] == ["out of memory"]
    assert "the kernel killed one for lack of memory" in ended.stdout


def test_three_identical_bugs_end_a_search_that_goes_on_once_they_are_mended(
    home: Home, ray_head: RayHead
):
    command = (
        "run",
        home.write_toy_study(
            "bug",
            candidates=8,
            epochs=3,
            extra='sampler = {name = "random"}\nhalving = {name = "none"}',
            fail="unmended",
            marks=str(home.path),
        ),
    )
    study = home.study("bug")
    halted = home.run(*command, at=ray_head.address)
    assert halted.returncode == 1, halted.stderr
    last = halted.stdout.splitlines()[-1]
    # Another one may have been in the same epoch when the third failed.
    assert re.fullmatch(
        "ended early: [34] candidates in a row failed alike: KeyError: 'lead'", last
    )
    failed = [record for record in records(study) if record.phase is Phase.FAILED]
    assert 3 <= len(failed) <= 4
    assert {record.failure.cause for record in failed if record.failure} == {"bug"}
    assert running(study) == 0

    (home.path / "mended").touch()
    ended = home.run(*command, at=ray_head.address)
    assert ended.returncode == 0, ended.stderr
    phases = [record.phase for record in records(study)]
    assert sorted(phases) == [Phase.DONE] * (8 - len(failed)) + [Phase.FAILED] * len(failed)
