import pytest

from cluster.errors import ClusterError
from cluster.ledger import require_fit, slots
from cluster.resources import Capacity, NodeCapacity, Resources


def cluster(*nodes: dict) -> Capacity:
    return Capacity(
        tuple(NodeCapacity(node_id=f"node-{number}", **node) for number, node in enumerate(nodes))
    )


LAPTOP = cluster({"cpus": 4.0})
LAPTOP_WITH_MEMORY = cluster({"cpus": 4.0, "memory_bytes": 16 * 2**30})


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"workers": 0}, "resources: workers is 0"),
        ({"cpus": -1.0}, "resources: cpus is -1"),
        ({"cpus": float("nan")}, "resources: cpus is nan"),
        ({"cpus": 0.00001}, "resources: cpus is 1e-05"),
        ({"gpus": 1.5}, "resources: gpus is 1.5"),
        ({"workers": 2, "gpus": 0.5}, "resources: gpus is 0.5"),
        ({"memory_bytes": -1}, "resources: memory_bytes is -1"),
        ({"cpus": 0.0}, "resources: cpus is 0"),
    ],
)
def test_shapes_that_ray_cannot_place_are_refused(shape, message):
    with pytest.raises(ClusterError) as refusal:
        Resources(**shape)
    assert str(refusal.value) == message
    assert "must be" in refusal.value.hint


def test_one_cpu_trials_fill_the_cpus():
    assert slots(LAPTOP, Resources()) == 4


def test_parts_of_a_cpu_add_up_exactly():
    assert slots(LAPTOP, Resources(cpus=0.1)) == 40


def test_a_worker_never_spans_nodes():
    two_of_three = cluster({"cpus": 3.0}, {"cpus": 3.0})
    assert slots(two_of_three, Resources(cpus=2.0)) == 2


def test_the_workers_of_one_trial_may_be_on_several_nodes():
    two_of_three = cluster({"cpus": 3.0}, {"cpus": 3.0})
    assert slots(two_of_three, Resources(workers=2, cpus=2.0)) == 1


def test_cpus_and_gpus_are_both_needed():
    gpu_node_with_few_cpus = cluster({"cpus": 8.0, "gpus": 4.0}, {"cpus": 64.0})
    assert slots(gpu_node_with_few_cpus, Resources(cpus=4.0, gpus=1.0)) == 2
    assert slots(gpu_node_with_few_cpus, Resources(cpus=1.0, gpus=1.0)) == 4


def test_a_part_of_a_gpu_lies_on_one_card():
    two_cards = cluster({"cpus": 16.0, "gpus": 2.0})
    assert slots(two_cards, Resources(gpus=0.6)) == 2
    assert slots(two_cards, Resources(gpus=0.25)) == 8


def test_memory_limits_like_everything_else():
    assert slots(LAPTOP_WITH_MEMORY, Resources(memory_bytes=5 * 2**30)) == 3


def test_what_fits_is_let_through():
    shape = Resources(workers=2, cpus=2.0)
    assert slots(LAPTOP, shape) == 1
    require_fit(LAPTOP, shape, "a trial")


def test_too_many_workers_are_refused_with_the_numbers():
    with pytest.raises(ClusterError) as refusal:
        require_fit(LAPTOP, Resources(workers=4, cpus=2.0), "a trial")
    assert str(refusal.value) == (
        "a trial of 4 workers x (2 CPUs) needs 8 CPUs; the cluster has 4 CPUs on 1 node, which is "
        "room for 2 of 4 workers"
    )
    assert refusal.value.hint.startswith("use at most 2 workers")


def test_a_worker_larger_than_every_node_is_refused_naming_the_largest():
    with pytest.raises(ClusterError) as refusal:
        require_fit(cluster({"cpus": 2.0}, {"cpus": 4.0}), Resources(cpus=6.0), "a trial")
    assert str(refusal.value) == (
        "a trial of 1 worker x (6 CPUs) needs 6 CPUs; the cluster has 6 CPUs on 2 nodes, and no "
        "node has room for one worker: the largest has 4 CPUs"
    )


def test_a_gpu_trial_on_a_cluster_without_gpus_is_refused():
    with pytest.raises(ClusterError, match="needs 1 CPU, 1 GPU; the cluster has 4 CPUs on 1"):
        require_fit(LAPTOP, Resources(gpus=1.0), "a trial")


def test_memory_is_named_where_memory_is_what_lacks():
    with pytest.raises(ClusterError) as refusal:
        require_fit(LAPTOP_WITH_MEMORY, Resources(memory_bytes=32 * 2**30), "a trial")
    assert "needs 1 CPU, 32.0 GiB of memory; the cluster has 4 CPUs, 16" in str(refusal.value)
    assert "the largest has 4 CPUs, 16.0 GiB of memory" in str(refusal.value)


def test_a_cluster_without_nodes_is_refused():
    with pytest.raises(ClusterError, match="the cluster has 0 CPUs on 0 nodes"):
        require_fit(cluster(), Resources(), "a trial")
