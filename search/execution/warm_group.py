"""A warm group: the ranks that wide leases are learned on, kept from lease to lease.

Whoever owns the group runs in a placement group with a bundle for each rank and needs nothing of it
itself. It takes part in no collective call, so a rank that raises, dies or hangs never holds it up:
it hears of it from Ray, or after `COLLECTIVE_TIMEOUT_S` from the ranks that wait. Then the
ranks are of no use any more, and the next lease gets new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from cluster.resources import Resources
from search.engine.failures import Cause, explain
from search.engine.lease import Lease
from search.execution.rank import Rank
from search.problem import ProblemSpec
from search.study.checkpoints import CheckpointFolder
from search.study.records import EpochResult

T = TypeVar("T")

COLLECTIVE_TIMEOUT_S = 1800.0
"""As under Ray Train (`TorchConfig.timeout_s`): the first epoch may wait for one rank's data."""

LOSSES = (Cause.LOST_WORKER, Cause.LOST_NODE)
"""Causes after which a group's placement group may be of no use either."""

_ECHO_S = 2.0
"""How long after a lost connection the rank that caused it may take to tell why."""


class GroupFailure(Exception):  # noqa: N818 (what Ray Train calls the same: WorkerGroupError)
    """What the ranks of a group raised; see `search.engine.failures.explain`."""

    def __init__(self, worker_failures: Mapping[int, Exception]) -> None:
        super().__init__(worker_failures)  # as it is: Ray takes an exception apart to send it
        self.worker_failures = worker_failures
        """Rank -> its exception."""

    def __str__(self) -> str:
        return "\n".join(f"rank {rank}: {e}" for rank, e in self.worker_failures.items())


class WarmGroup:
    """Ranks in the bundles of the placement group that this process was started in."""

    def __init__(self, *, timeout_s: float = COLLECTIVE_TIMEOUT_S) -> None:
        """Prepare a group; its processes start with the first lease.

        Args:
            timeout_s: how long a rank waits for the others in any one collective call.
        """
        self._timeout_s = timeout_s
        self._ranks: list[Any] = []

    def begin(self, lease: Lease, spec: ProblemSpec) -> None:
        """Have all ranks take a lease; they are started if there are none.

        Raises:
            GroupFailure: a rank could not be started, or cannot build the problem.
        """
        if not self._ranks:
            self._start(lease.resources)
        checkpoint = CheckpointFolder(lease.checkpoints).latest()
        self._on_all(lambda rank: rank.begin.remote(lease, spec, checkpoint))

    def next_epochs(self) -> tuple[EpochResult, ...] | None:
        """Learn an epoch on all ranks; return the first rank's results, None after the last ones.

        Raises:
            GroupFailure: a rank raised or died.
        """
        return self._on_all(lambda rank: rank.next_epochs.remote())[0]

    def end(self) -> None:
        """Take the lease back: models and optimisers are let go of, processes stay."""
        for rank in self._ranks:
            rank.end.remote()

    def close(self) -> None:
        """End the processes."""
        for rank in self._ranks:
            ray.kill(rank)
        self._ranks = []

    def _start(self, resources: Resources) -> None:
        bundles = ray.util.get_current_placement_group()
        assert bundles is not None
        actor = ray.remote(Rank)
        self._ranks = [
            actor.options(
                num_cpus=resources.cpus,
                num_gpus=resources.gpus,
                memory=resources.memory_bytes or None,
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    placement_group=bundles, placement_group_bundle_index=bundle
                ),
            ).remote(bundle, resources.workers)
            for bundle in range(resources.workers)
        ]
        # The first bundle is this process's own, so the first rank is on its node.
        address = ray.util.get_node_ip_address()
        port = self._on([self._ranks[0]], lambda rank: rank.open_store.remote(address))[0]
        backend = "nccl" if resources.gpus else "gloo"
        self._on_all(
            lambda rank: rank.join.remote(address, port, backend=backend, timeout_s=self._timeout_s)
        )

    def _on_all(self, call: Callable[[Any], Any]) -> list[Any]:
        return self._on(self._ranks, call)

    def _on(self, ranks: list[Any], call: Callable[[Any], Any]) -> list[Any]:
        """Call some ranks at the same time, and wait for what they return.

        Of the others' echoes those that come soon are heard too; one that waits in a collective
        call may never answer.
        """
        places = {call(rank): place for place, rank in enumerate(ranks)}
        answers: dict[int, Any] = {}
        failures: dict[int, Exception] = {}
        waiting = list(places)
        while waiting:
            ready, waiting = ray.wait(waiting, timeout=_ECHO_S if failures else None)
            if not ready:
                break
            try:
                answers[places[ready[0]]] = ray.get(ready[0])
            except Exception as error:
                failures[places[ready[0]]] = error
                if explain(error)[0] not in LOSSES:
                    break
        if failures:
            self.close()
            raise GroupFailure(failures)
        return [answers[place] for place in range(len(ranks))]
