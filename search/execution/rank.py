"""One rank of a warm group: a class for an actor, which needs no Ray itself."""

from __future__ import annotations

import gc
import socket
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from cluster.resources import Resources
from search.engine.lease import PROBLEMS, Lease, learn
from search.problem import ProblemSpec
from search.study.checkpoints import Checkpoint
from search.study.records import EpochResult


class Rank:
    """Learns one lease after the other, together with the other ranks, an epoch a call.

    torch's default process group is set up once; what is trained data-parallel is each lease's own.
    """

    def __init__(self, rank: int, world_size: int) -> None:
        # Seconds, which all ranks spend at the same time; who starts them need not.
        import torch.distributed  # noqa: F401

        self._rank = rank
        self._world_size = world_size
        self._store: Any = None
        self._results: Iterator[tuple[EpochResult, ...]] | None = None

    def open_store(self, address: str) -> int:
        """Start the store where the ranks meet; return its port at this node's `address`."""
        import torch.distributed

        with socket.create_server((address, 0)) as listener:
            port = listener.getsockname()[1]
            self._store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
                address,
                port,
                self._world_size,
                is_master=True,
                wait_for_workers=False,
                # The store's from now on. A port that was only looked up could be taken by another.
                master_listen_fd=listener.detach(),
            )
        return port

    def join(self, address: str, port: int, *, backend: str, timeout_s: float) -> None:
        """Meet the others; returns when all have come.

        Args:
            backend: "gloo" or "nccl".
            timeout_s: how long a rank waits for the others in any one collective call.
        """
        import torch.distributed

        timeout = timedelta(seconds=timeout_s)
        if self._store is None:
            self._store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
                address, port, self._world_size, is_master=False, timeout=timeout
            )
        torch.distributed.init_process_group(
            backend,
            store=self._store,
            rank=self._rank,
            world_size=self._world_size,
            timeout=timeout,
        )
        # What has been loaded stays; looking through it after each lease would take a moment.
        gc.freeze()

    def begin(self, lease: Lease, spec: ProblemSpec, checkpoint: Checkpoint | None) -> None:
        """Take a lease, to go on from `checkpoint`: the one that all ranks are given."""
        self._results = learn(
            lease,
            PROBLEMS.get(spec),
            checkpoint,
            rank=self._rank,
            world_size=self._world_size,
            device=_device(lease.resources),
            threads=max(1, int(lease.resources.cpus)),
        )

    def next_epochs(self) -> tuple[EpochResult, ...] | None:
        """Learn an epoch; None when learning has ended."""
        assert self._results is not None
        return next(self._results, None)

    def end(self) -> None:
        """Let go of model and optimiser, which lie in reference cycles with what makes them DDP."""
        self._results = None
        gc.collect()


def _device(resources: Resources) -> str:
    # Ray shows an actor its own GPUs alone.
    return "cuda:0" if resources.gpus else "cpu"
