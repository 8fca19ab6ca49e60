"""Who holds what of a cluster: one ledger for narrow and wide trials.

The ledger is pure: it neither asks Ray nor tells it. It says whether a trial fits beside those
that run, and on which node each of its workers is counted.
"""

from dataclasses import dataclass, field

from cluster.errors import ClusterError
from cluster.resources import PARTS, Capacity, NodeCapacity, Resources, counted, in_parts


def slots(capacity: Capacity, resources: Resources) -> int:
    """How many trials of this shape run at once on an otherwise empty cluster."""
    return Ledger(capacity).room(resources)


def require_fit(capacity: Capacity, resources: Resources, what: str) -> None:
    """Raises ClusterError, with the numbers, where not even one such trial fits.

    Asked before anything is submitted: Ray would keep the trial pending for ever.
    """
    if slots(capacity, resources) >= 1:
        return
    workers = Ledger(capacity).room_for_workers(resources)
    needs = NodeCapacity(
        node_id="",
        cpus=resources.workers * resources.cpus,
        gpus=resources.workers * resources.gpus,
        memory_bytes=resources.workers * resources.memory_bytes,
    )
    largest = max(capacity.nodes, key=lambda node: (node.gpus, node.cpus), default=None)
    message = f"{what} of {resources} needs {needs}; the cluster has {capacity}"
    if largest is None:
        raise ClusterError(message, hint="start worker nodes, or wait until they have joined")
    if workers == 0:
        raise ClusterError(
            f"{message}, and no node has room for one worker: the largest has {largest}",
            hint="ask less for each worker, or add a larger node; a worker never spans nodes",
        )
    raise ClusterError(
        f"{message}, which is room for {workers} of {resources.workers} workers",
        hint=f"use at most {counted(workers, 'worker')}, ask less for each, or add nodes",
    )


class Ledger:
    """What of a cluster's capacity is leased, and what is free.

    Placing fills the fullest node that takes a whole trial, so that room for wide trials stays
    in one piece; a trial that fits on no single node is spread over as few as possible.
    """

    def __init__(self, capacity: Capacity) -> None:
        self._nodes = [_Node.of(node) for node in capacity.nodes]
        self._leases: dict[str, list[_Share]] = {}

    @property
    def leases(self) -> tuple[str, ...]:
        """Identifiers of the leases held, oldest first."""
        return tuple(self._leases)

    @property
    def free(self) -> Capacity:
        """What is not leased."""
        return Capacity(tuple(node.free() for node in self._nodes))

    def room(self, resources: Resources) -> int:
        """How many more trials of this shape could be placed now."""
        return self.room_for_workers(resources) // resources.workers

    def room_for_workers(self, resources: Resources) -> int:
        """How many more workers of this shape could be placed now, whichever trial's they are."""
        return sum(node.fits(resources) for node in self._nodes)

    def can_place(self, resources: Resources) -> bool:
        return self.room(resources) >= 1

    def place(self, lease_id: str, resources: Resources) -> tuple[str, ...]:
        """Leases room for one trial; returns the node identifier of each worker.

        Raises ClusterError where it does not fit, or the identifier holds a lease already.
        """
        if lease_id in self._leases:
            raise ClusterError(
                f"lease {lease_id!r} is held already", hint="release it before placing it again"
            )
        if not self.can_place(resources):
            raise ClusterError(
                f"lease {lease_id!r} of {resources} does not fit; free: {self.free}",
                hint="ask can_place first, and release what has ended",
            )
        shares: list[_Share] = []
        for node in self._in_order_of_use(resources):
            count = min(node.fits(resources), resources.workers - len(shares))
            shares += [node.take(resources) for _ in range(count)]
        self._leases[lease_id] = shares
        return tuple(share.node.node_id for share in shares)

    def release(self, lease_id: str) -> None:
        """Gives a lease back. Raises ClusterError where there is none of that name."""
        if lease_id not in self._leases:
            raise ClusterError(
                f"there is no lease {lease_id!r}", hint="release a lease once, after placing it"
            )
        for share in self._leases.pop(lease_id):
            share.node.give_back(share)

    def follow(self, capacity: Capacity) -> None:
        """Counts with the nodes of `capacity` from now on: some have joined, others are gone.

        Leases on a node that is gone stay until they are released, and give nothing back.
        """
        known = {node.node_id: node for node in self._nodes}
        self._nodes = [known.get(node.node_id) or _Node.of(node) for node in capacity.nodes]

    def _in_order_of_use(self, resources: Resources) -> list["_Node"]:
        """Nodes that take the whole trial, the fullest first; then the others, roomiest first."""

        def rank(node: _Node) -> tuple[bool, int]:
            fits = node.fits(resources)
            whole = fits >= resources.workers
            return (not whole, fits if whole else -fits)

        return sorted(self._nodes, key=rank)


@dataclass(kw_only=True)
class _Node:
    """What is free on a node. Each card is counted apart: a part of a GPU is on one card."""

    node_id: str
    cpu_parts: int
    memory_bytes: int
    gpu_parts: list[int]

    @classmethod
    def of(cls, node: NodeCapacity) -> "_Node":
        whole, rest = divmod(in_parts(node.gpus), PARTS)
        return cls(
            node_id=node.node_id,
            cpu_parts=in_parts(node.cpus),
            memory_bytes=node.memory_bytes,
            gpu_parts=[PARTS] * whole + [rest] * (rest > 0),
        )

    def free(self) -> NodeCapacity:
        return NodeCapacity(
            node_id=self.node_id,
            cpus=self.cpu_parts / PARTS,
            gpus=sum(self.gpu_parts) / PARTS,
            memory_bytes=self.memory_bytes,
        )

    def fits(self, resources: Resources) -> int:
        """How many workers of this shape fit beside what is here."""
        limits = []
        if resources.cpus:
            limits.append(self.cpu_parts // in_parts(resources.cpus))
        if resources.memory_bytes:
            limits.append(self.memory_bytes // resources.memory_bytes)
        if resources.gpus >= 1:
            limits.append(self.gpu_parts.count(PARTS) // int(resources.gpus))
        elif resources.gpus:
            limits.append(sum(card // in_parts(resources.gpus) for card in self.gpu_parts))
        return min(limits)

    def take(self, resources: Resources) -> "_Share":
        """Room for one worker that fits."""
        cards: dict[int, int] = {}
        if resources.gpus >= 1:
            empty = [card for card, free in enumerate(self.gpu_parts) if free == PARTS]
            cards = dict.fromkeys(empty[: int(resources.gpus)], PARTS)
        elif resources.gpus:
            # The fullest card that takes it, so that whole cards stay whole.
            asked = in_parts(resources.gpus)
            fitting = [card for card, free in enumerate(self.gpu_parts) if free >= asked]
            cards = {min(fitting, key=lambda card: self.gpu_parts[card]): asked}
        share = _Share(
            node=self,
            cpu_parts=in_parts(resources.cpus),
            memory_bytes=resources.memory_bytes,
            gpu_parts=cards,
        )
        self._change(share, -1)
        return share

    def give_back(self, share: "_Share") -> None:
        self._change(share, +1)

    def _change(self, share: "_Share", sign: int) -> None:
        self.cpu_parts += sign * share.cpu_parts
        self.memory_bytes += sign * share.memory_bytes
        for card, parts in share.gpu_parts.items():
            self.gpu_parts[card] += sign * parts


@dataclass(frozen=True, kw_only=True)
class _Share:
    """What one worker holds of a node; `gpu_parts` maps a card's number to its part."""

    node: _Node
    cpu_parts: int
    memory_bytes: int
    gpu_parts: dict[int, int] = field(default_factory=dict)
