import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import ClusterError
from cluster.ledger import Ledger, slots
from cluster.resources import PARTS, Capacity, NodeCapacity, Resources

NARROW = Resources()
GIB = 2**30


def cluster(*nodes: tuple[float, float]) -> Capacity:
    return Capacity(
        tuple(
            NodeCapacity(node_id=f"node-{number}", cpus=cpus, gpus=gpus, memory_bytes=8 * GIB)
            for number, (cpus, gpus) in enumerate(nodes)
        )
    )


cpus = st.sampled_from([0.1, 0.3, 0.5, 1.0, 2.0, 3.0])
memory = st.sampled_from([0, 0, GIB, 3 * GIB])
shapes = st.one_of(
    st.builds(
        Resources,
        cpus=cpus,
        gpus=st.sampled_from([0.0, 0.0, 0.1, 0.3, 0.5, 0.6, 1.0, 2.0]),
        memory_bytes=memory,
    ),
    st.builds(
        Resources,
        workers=st.integers(2, 5),
        cpus=cpus,
        gpus=st.sampled_from([0.0, 0.0, 1.0, 2.0]),
        memory_bytes=memory,
    ),
)
clusters = st.lists(
    st.tuples(st.integers(0, 8).map(float), st.integers(0, 3).map(float)), max_size=4
).map(lambda nodes: cluster(*nodes))


def test_a_wide_trial_waits_for_narrow_ones_and_then_runs():
    ledger = Ledger(cluster((4, 0)))
    wide = Resources(workers=2, cpus=2.0)
    ledger.place("narrow", NARROW)
    assert not ledger.can_place(wide)
    ledger.release("narrow")
    assert ledger.place("wide", wide) == ("node-0", "node-0")
    assert ledger.free.cpus == 0


def test_narrow_trials_fill_the_fullest_node_so_that_a_wide_one_still_fits():
    ledger = Ledger(cluster((4, 0), (4, 0)))
    nodes = {ledger.place(f"narrow-{number}", NARROW) for number in range(4)}
    assert len(nodes) == 1
    assert ledger.can_place(Resources(cpus=4.0))


def test_a_trial_is_spread_only_where_no_node_takes_it_whole():
    ledger = Ledger(cluster((2, 0), (3, 0), (4, 0)))
    assert set(ledger.place("whole", Resources(workers=4))) == {"node-2"}
    assert ledger.place("spread", Resources(workers=4)) == (*["node-1"] * 3, "node-0")


def test_parts_of_a_gpu_share_a_card_so_that_whole_cards_stay_whole():
    ledger = Ledger(cluster((8, 2)))
    ledger.place("half", Resources(gpus=0.5))
    ledger.place("other half", Resources(gpus=0.5))
    assert ledger.can_place(Resources(gpus=1.0))
    assert not ledger.can_place(Resources(gpus=2.0))


def test_a_lease_is_held_once_and_released_once():
    ledger = Ledger(cluster((4, 0)))
    ledger.place("trial-1", NARROW)
    with pytest.raises(ClusterError, match="'trial-1' is held already"):
        ledger.place("trial-1", NARROW)
    ledger.release("trial-1")
    with pytest.raises(ClusterError, match="no lease 'trial-1'"):
        ledger.release("trial-1")


def test_a_trial_that_does_not_fit_is_refused_and_changes_nothing():
    ledger = Ledger(cluster((4, 0)))
    with pytest.raises(ClusterError, match=r"'wide' of 3 workers .* does not fit; free: 4 CPUs"):
        ledger.place("wide", Resources(workers=3, cpus=2.0))
    assert ledger.leases == ()
    assert ledger.free.cpus == 4


@given(clusters, shapes)
def test_as_many_trials_can_be_placed_as_there_are_slots(capacity, shape):
    ledger = Ledger(capacity)
    placed = 0
    while ledger.can_place(shape):
        ledger.place(f"trial-{placed}", shape)
        placed += 1
    assert placed == slots(capacity, shape)


@given(clusters, st.lists(st.tuples(shapes, st.booleans()), max_size=20))
def test_no_node_is_ever_oversubscribed_and_releasing_all_restores_it(capacity, wishes):
    ledger = Ledger(capacity)
    held: dict[str, tuple[Resources, tuple[str, ...]]] = {}
    for number, (shape, release_one) in enumerate(wishes):
        if release_one and held:
            lease, _ = held.popitem()
            ledger.release(lease)
        if ledger.can_place(shape):
            nodes = ledger.place(f"trial-{number}", shape)
            assert len(nodes) == shape.workers
            held[f"trial-{number}"] = shape, nodes
        assert ledger.leases == tuple(held)
        for node, free in zip(capacity.nodes, ledger.free.nodes, strict=True):
            on_node = [
                shape for shape, nodes in held.values() for each in nodes if each == node.node_id
            ]
            for amount in ("cpus", "gpus", "memory_bytes"):
                used = sum(getattr(shape, amount) for shape in on_node)
                left = getattr(node, amount) - used
                assert left > -1 / PARTS
                assert getattr(free, amount) == pytest.approx(left, abs=1e-6)
    for lease in held:
        ledger.release(lease)
    assert ledger.free == capacity
    assert ledger.room(NARROW) == slots(capacity, NARROW)
