"""A warm group on a real Ray: two ranks, kept from lease to lease, and what becomes of them."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.connect import Connection
from cluster.resources import Resources
from search.engine.failures import explain
from search.engine.lease import Lease, candidate_name
from search.execution.warm_group import WarmGroup
from search.problem import ProblemSpec, candidate_key
from search.study.records import EpochResult
from tests.collective import CollectiveProblem

from .driver import wait_until_gone

pytestmark = pytest.mark.slow

WORKERS = 2
TIMEOUT_S = 3.0
SPEC = ProblemSpec(path="tests.collective:CollectiveProblem")


class Owner:
    """What a lease runner does with its group, and whom to kill."""

    def __init__(self) -> None:
        self._group = WarmGroup(timeout_s=TIMEOUT_S)

    def learn(self, lease: Lease) -> tuple[list[EpochResult], tuple[str, str] | None, float]:
        """Return the lease's results, and cause, message and delay of its failure."""
        results: list[EpochResult] = []
        began_s = time.monotonic()
        try:
            self._group.begin(lease, SPEC)
            while epochs := self._group.next_epochs():
                results += epochs
                began_s = time.monotonic()
        except Exception as error:
            cause, message = explain(error)
            return results, (cause.value, message), time.monotonic() - began_s
        self._group.end()
        return results, None, 0.0

    def processes(self) -> tuple[int, list[int]]:
        """Its own, and those of its ranks."""
        call: Any = type(self)._process_of
        ranks = [ray.get(rank.__ray_call__.remote(call)) for rank in self._group._ranks]
        return os.getpid(), ranks

    @staticmethod
    def _process_of(rank: Any) -> int:
        return os.getpid()


@pytest.fixture(scope="module")
def owner(connected: Connection) -> Iterator[Any]:
    """An owner as Tune starts it: in a bundle of its own placement group, of which it takes none.

    The last test kills it.
    """
    bundles = placement_group([{"CPU": 1}] * WORKERS)
    strategy = PlacementGroupSchedulingStrategy(bundles, placement_group_bundle_index=0)
    actor: Any = ray.remote(Owner)
    yield actor.options(num_cpus=0, scheduling_strategy=strategy).remote()
    remove_placement_group(bundles)


def a_lease(folder: Path, fault: str = "fine", *, number: int = 0, **changes: Any) -> Lease:
    params = {"fault": fault}
    key = candidate_key(CollectiveProblem(), params)
    values: dict[str, Any] = {
        "number": number,
        "attempt": 1,
        "key": key,
        "params": params,
        "resources": Resources(workers=WORKERS),
        "seed": 1,
        "max_epochs": 3,
        "rungs": (1,),
        "known_epochs": 0,
        "checkpoints": folder / candidate_name(number, key),
        **changes,
    }
    return Lease(**values)


def learn(owner: Any, lease: Lease) -> tuple[list[EpochResult], tuple[str, str] | None, float]:
    return ray.get(owner.learn.remote(lease), timeout=120)


def assert_works(owner: Any, lease: Lease) -> None:
    results, failure, _ = learn(owner, lease)
    assert failure is None
    assert [result.number for result in results] == [1, 2, 3]


def test_ranks_learn_together_and_stay_from_lease_to_lease(owner: Any, tmp_path: Path):
    processes = set()
    for number in range(3):
        results, failure, _ = learn(owner, a_lease(tmp_path, number=number))
        assert failure is None
        for epoch, result in enumerate(results, start=1):
            assert result.metrics["ranks"] == WORKERS
            assert result.metrics["mean_epoch"] == epoch
            processes.add(result.metrics["processes"])
    assert len(processes) == 1


def test_all_ranks_go_on_from_the_same_checkpoint(owner: Any, tmp_path: Path):
    first, _, _ = learn(owner, a_lease(tmp_path, max_epochs=1))
    results, failure, _ = learn(owner, a_lease(tmp_path, attempt=2, known_epochs=1))
    assert failure is None
    assert [result.number for result in first + results] == [1, 2, 3]
    assert [result.metrics["mean_epoch"] for result in results] == [2, 3]


@pytest.mark.parametrize(
    ("fault", "expected", "most_s"),
    [
        ("raises", ("bug", "ZeroDivisionError: the last rank divides by zero"), TIMEOUT_S),
        ("dies", ("lost worker", "a worker process died"), 10.0),
        ("hangs", ("lost worker", "a worker did not answer the others in time"), TIMEOUT_S + 10),
    ],
)
def test_a_rank_that_fails_ends_the_lease_with_its_own_cause_and_the_next_one_has_new_ranks(
    owner: Any, tmp_path: Path, fault: str, expected: tuple[str, str], most_s: float
):
    assert_works(owner, a_lease(tmp_path))
    _, before = ray.get(owner.processes.remote())
    results, failure, waited_s = learn(owner, a_lease(tmp_path, fault, number=1))
    assert [result.number for result in results] == [1]
    assert failure == expected
    assert waited_s < most_s
    wait_until_gone(set(before), seconds=10)
    assert_works(owner, a_lease(tmp_path, number=2))
    _, after = ray.get(owner.processes.remote())
    assert len(after) == WORKERS
    assert not set(before) & set(after)


def test_ranks_end_with_their_owner(owner: Any, tmp_path: Path):
    assert_works(owner, a_lease(tmp_path))
    process, ranks = ray.get(owner.processes.remote())
    os.kill(process, signal.SIGKILL)
    wait_until_gone({process, *ranks}, seconds=15)
