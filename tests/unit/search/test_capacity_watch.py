"""Nodes that join and leave while a search runs."""

from __future__ import annotations

import pytest

from cluster.errors import ClusterError
from cluster.resources import Capacity, NodeCapacity, Resources
from search.execution.capacity_watch import CapacityWatch

NARROW = Resources()
WIDE = Resources(workers=3)


class Cluster:
    """A cluster that a test changes, and a clock that it moves."""

    def __init__(self, *cpus: int) -> None:
        self.now_s = 0.0
        self.asked = 0
        self.told: list[str] = []
        self.capacity = self.of(*cpus)

    def of(self, *cpus: int) -> Capacity:
        nodes = [NodeCapacity(node_id=f"node-{n}", cpus=count) for n, count in enumerate(cpus)]
        return Capacity(tuple(node for node in nodes if node.cpus))

    def read(self) -> Capacity:
        self.asked += 1
        return self.capacity

    def watch(self) -> CapacityWatch:
        return CapacityWatch(
            self.capacity,
            self.read,
            changed=lambda capacity: self.told.append(str(capacity)),
            every_s=3.0,
            patience_s=100.0,
            clock=lambda: self.now_s,
        )


def test_the_cluster_is_asked_every_few_seconds_at_most() -> None:
    cluster = Cluster(2)
    watch = cluster.watch()
    for step in range(100):
        cluster.now_s = step * 0.1
        assert watch.fits(NARROW)
    assert cluster.asked == 3


def test_a_node_that_joins_is_leased_from() -> None:
    cluster = Cluster(1)
    watch = cluster.watch()
    watch.ledger.place("a", NARROW)
    assert not watch.fits(NARROW)
    cluster.capacity, cluster.now_s = cluster.of(1, 1), 4.0
    assert watch.fits(NARROW)
    assert watch.ledger.place("b", NARROW) == ("node-1",)
    assert cluster.told == ["2 CPUs on 2 nodes"]


def test_a_node_that_is_lost_is_leased_from_no_more_and_gives_nothing_back() -> None:
    cluster = Cluster(1, 1)
    watch = cluster.watch()
    assert watch.ledger.place("a", NARROW) == ("node-0",)
    assert watch.ledger.place("b", NARROW) == ("node-1",)
    cluster.capacity, cluster.now_s = cluster.of(1, 0), 4.0
    assert not watch.fits(NARROW)
    watch.ledger.release("b")
    assert not watch.fits(NARROW)
    watch.ledger.release("a")
    assert watch.fits(NARROW)
    assert watch.ledger.room(NARROW) == 1


def test_what_never_fitted_is_refused_at_once_with_the_numbers() -> None:
    with pytest.raises(ClusterError, match=r"a trial of 3 workers .* the cluster has 2 CPUs"):
        Cluster(1, 1).watch().fits(WIDE)


def test_a_trial_that_nodes_were_lost_to_waits_for_others_but_not_for_ever() -> None:
    cluster = Cluster(2, 1)
    watch = cluster.watch()
    assert watch.fits(WIDE)
    cluster.capacity, cluster.now_s = cluster.of(2, 0), 10.0
    assert not watch.fits(WIDE)
    cluster.now_s = 109.0
    assert not watch.fits(WIDE)
    cluster.now_s = 111.0
    with pytest.raises(ClusterError, match="room for 2 of 3 workers"):
        watch.fits(WIDE)


def test_a_node_that_comes_back_ends_the_wait() -> None:
    cluster = Cluster(2, 1)
    watch = cluster.watch()
    assert watch.fits(WIDE)
    for now_s, cpus in ((10.0, (2, 0)), (90.0, (2, 1)), (100.0, (2, 0)), (190.0, (2, 0))):
        cluster.capacity, cluster.now_s = cluster.of(*cpus), now_s
        assert watch.fits(WIDE) is (cpus == (2, 1))


def test_nothing_is_leased_until_a_lost_node_has_been_noticed() -> None:
    cluster = Cluster(1, 1)
    watch = cluster.watch()
    watch.distrust()
    assert not watch.fits(NARROW)
    cluster.now_s = 4.0
    assert not watch.fits(NARROW)
    cluster.capacity, cluster.now_s = cluster.of(1, 0), 8.0
    assert watch.fits(NARROW)
    watch.distrust()  # another worker of the same node
    assert watch.fits(NARROW)


def test_a_node_that_was_out_of_reach_for_a_moment_is_leased_from_again() -> None:
    cluster = Cluster(1, 1)
    watch = cluster.watch()
    cluster.now_s = 100.0
    watch.distrust()
    cluster.now_s = 119.0
    assert not watch.fits(NARROW)
    cluster.now_s = 121.0
    assert watch.fits(NARROW)
