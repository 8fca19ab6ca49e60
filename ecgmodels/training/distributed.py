"""What data-parallel ranks tell each other; with one rank, nothing.

The caller starts the default process group (`torch.distributed.init_process_group`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from ecgmodels.errors import TrainingError


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process's place among `world_size` equal ones."""

    rank: int = 0
    world_size: int = 1

    def wrap(self, model: nn.Module, device: torch.device) -> nn.Module:
        """Return `model`, averaging its gradients over the ranks."""
        if self.world_size == 1:
            return model
        return DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,  # batch norm's are averaged once an epoch
            gradient_as_bucket_view=True,
        )

    def share(self, rows: int) -> slice:
        """Return this rank's part of `rows`."""
        return slice(rows * self.rank // self.world_size, rows * (self.rank + 1) // self.world_size)

    def average_(self, tensors: Iterable[Tensor]) -> None:
        """Replace each tensor by its mean over the ranks."""
        if self.world_size > 1:
            for tensor in tensors:
                dist.all_reduce(tensor)
                tensor /= self.world_size

    def gather(self, part: Tensor, rows: int) -> Tensor:
        """Return all `rows`, put together from every rank's share."""
        if self.world_size == 1:
            return part
        shares = [
            len(range(rows)[Ranks(rank=rank, world_size=self.world_size).share(rows)])
            for rank in range(self.world_size)
        ]
        padded = part.new_zeros((max(shares), *part.shape[1:]))
        padded[: len(part)] = part
        parts = [torch.empty_like(padded) for _ in shares]
        dist.all_gather(parts, padded)
        return torch.cat([part[:share] for part, share in zip(parts, shares, strict=True)])

    def of_first(self, values: Sequence[float], device: torch.device) -> list[float]:
        """Return rank 0's `values` on every rank."""
        if self.world_size == 1:
            return list(values)
        shared = torch.tensor(values, dtype=torch.float64, device=device)
        dist.broadcast(shared, src=0)
        return shared.tolist()

    def least(self, value: int, device: torch.device) -> int:
        """Return the smallest `value` of all ranks."""
        if self.world_size == 1:
            return value
        found = torch.tensor([value], dtype=torch.int64, device=device)
        dist.all_reduce(found, op=dist.ReduceOp.MIN)
        return int(found)

    def any(self, value: bool, device: torch.device) -> bool:
        """Return whether `value` holds on some rank."""
        if self.world_size == 1:
            return value
        found = torch.tensor([value], dtype=torch.int64, device=device)
        dist.all_reduce(found, op=dist.ReduceOp.MAX)
        return bool(found)

    def require_equal(self, value: int, meaning: str, device: torch.device) -> None:
        """Check that every rank has the same `value`.

        Raises:
            TrainingError: they differ (going on would hang).
        """
        if self.world_size == 1:
            return
        values = [torch.empty(1, dtype=torch.int64, device=device) for _ in range(self.world_size)]
        dist.all_gather(values, torch.tensor([value], device=device))
        found = [int(value) for value in values]
        if len(set(found)) > 1:
            raise TrainingError(
                f"workers differ in {meaning}: {', '.join(map(str, found))}",
                hint="give every worker the same checkpoint, data and configuration",
            )


def unshared_gradients(network: nn.Module, *, when: bool) -> AbstractContextManager[None]:
    """Inside, and `when` so, gradients are added up on each rank and not averaged over them."""
    if when and isinstance(network, DistributedDataParallel):
        return network.no_sync()
    return nullcontext()
