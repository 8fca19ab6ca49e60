"""What a trial asks of a cluster, what a cluster has, and how many such trials fit.

A trial is some workers of one shape. A worker lives on one node; a trial's workers may be spread
over several. Only workers count: what drives a trial (a Tune actor, Ray Train's controller)
reserves no CPU, since drivers that reserve some deadlock a small cluster.

Amounts are compared as Ray compares them, in ten-thousandths, so ten workers of 0.1 CPU fit on one.
"""

import math
from dataclasses import dataclass

from cluster.errors import ClusterError

PARTS = 10_000
"""Ray's resolution: the smallest part of a CPU or a GPU that can be asked for is 1 / PARTS."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """The workers of one trial, each with `cpus`, `gpus` and `memory_bytes` of its own.

    Raises ClusterError for a shape that Ray cannot place.
    """

    workers: int = 1
    cpus: float = 1.0
    """Of each worker; a part of a CPU shares it."""
    gpus: float = 0.0
    """Of each worker; a part of a GPU shares one card, more than one must be whole cards, and so
    must those of several workers."""
    memory_bytes: int = 0
    """Main memory of each worker, or 0 to reserve none."""

    def __post_init__(self) -> None:
        if self.workers < 1:
            raise _refused("workers", self.workers, "at least 1")
        for name, value in (("cpus", self.cpus), ("gpus", self.gpus)):
            if not math.isfinite(value) or value < 0:
                raise _refused(name, value, "a number of at least 0")
            if abs(value * PARTS - in_parts(value)) > 1e-6:
                raise _refused(name, value, f"a multiple of {1 / PARTS}")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise _refused("gpus", self.gpus, "whole above 1, since part of a card is on one card")
        if self.workers > 1 and 0 < self.gpus < 1:
            # Ray would put several on one card, where nccl refuses to connect them.
            raise _refused("gpus", self.gpus, "whole (or 0) for several workers")
        if self.memory_bytes < 0:
            raise _refused("memory_bytes", self.memory_bytes, "at least 0")
        if self.cpus == 0 and self.gpus == 0:
            raise _refused(
                "cpus", self.cpus, "above 0 where gpus is 0, or nothing would limit how many run"
            )

    def __str__(self) -> str:
        each = _amounts(self.cpus, self.gpus, self.memory_bytes)
        return f"{counted(self.workers, 'worker')} x ({each})"


@dataclass(frozen=True, kw_only=True)
class NodeCapacity:
    """What one node offers to workers."""

    node_id: str
    cpus: float
    gpus: float = 0.0
    memory_bytes: int = 0

    def __str__(self) -> str:
        return _amounts(self.cpus, self.gpus, self.memory_bytes)


@dataclass(frozen=True)
class Capacity:
    """What the nodes of a cluster offer to workers."""

    nodes: tuple[NodeCapacity, ...]

    @property
    def cpus(self) -> float:
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        return sum(node.gpus for node in self.nodes)

    @property
    def memory_bytes(self) -> int:
        return sum(node.memory_bytes for node in self.nodes)

    def __str__(self) -> str:
        everything = _amounts(self.cpus, self.gpus, self.memory_bytes)
        return f"{everything} on {counted(len(self.nodes), 'node')}"


def read_capacity() -> Capacity:
    """The living nodes of the connected cluster, in the order of their identifiers."""
    import ray  # here, so that planning and simulating work where there is no Ray

    nodes = [
        NodeCapacity(
            node_id=node["NodeID"],
            cpus=node["Resources"].get("CPU", 0.0),
            gpus=node["Resources"].get("GPU", 0.0),
            memory_bytes=int(node["Resources"].get("memory", 0)),
        )
        for node in ray.nodes()
        if node["Alive"]
    ]
    return Capacity(tuple(sorted(nodes, key=lambda node: node.node_id)))


def in_parts(amount: float) -> int:
    """An amount of CPUs or GPUs as a whole number of Ray's smallest parts."""
    return round(amount * PARTS)


def _refused(name: str, value: float, expected: str) -> ClusterError:
    return ClusterError(f"resources: {name} is {value:g}", hint=f"{name} must be {expected}")


def counted(number: float, unit: str) -> str:
    """ "1 node", "2 nodes"."""
    return f"{number:g} {unit}{'' if number == 1 else 's'}"


def _amounts(cpus: float, gpus: float, memory_bytes: int) -> str:
    parts = [counted(cpus, "CPU")] if cpus or not gpus else []
    parts += [counted(gpus, "GPU")] if gpus else []
    parts += [f"{memory_bytes / 2**30:.1f} GiB of memory"] if memory_bytes else []
    return ", ".join(parts)
