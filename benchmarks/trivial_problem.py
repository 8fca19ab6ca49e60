"""A problem that learns nothing: what its trials cost is what running trials costs.

An epoch waits two milliseconds. torch is imported, as by every trial that learns something, so
that a new process pays for it here too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cluster.resources import Resources
from search.problem import Context

EPOCHS = 3
"""Full length of a trial."""
_EPOCH_S = 0.002


@dataclass(frozen=True, kw_only=True)
class TrivialEpoch:
    number: int
    metrics: Mapping[str, float]
    seconds: float

    def save(self, path: Path) -> None:
        torch.save({"epoch": self.number}, path)


def epochs(size: int, *, after: int = 0, last: int = EPOCHS) -> Iterator[TrivialEpoch]:
    """Wait, again and again, for an accuracy that grows with size and epochs."""
    for number in range(after + 1, last + 1):
        began_s = time.perf_counter()
        time.sleep(_EPOCH_S)
        accuracy = 1 - 1 / (number + size**0.5)
        yield TrivialEpoch(
            number=number, metrics={"accuracy": accuracy}, seconds=time.perf_counter() - began_s
        )


class TrivialProblem:
    """`epochs` as the search wants it: two objectives, `workers` ranks a trial."""

    def __init__(self, *, workers: int = 1) -> None:
        self._workers = workers

    def suggest(self, trial: Any) -> dict[str, float]:
        return {
            "size": trial.suggest_int("size", 1, 1_000_000, log=True),
            "rate": trial.suggest_float("rate", 1e-3, 1e-1, log=True),
        }

    def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
        return {"parameters": float(candidate["size"])}

    def resources(self, candidate: Mapping[str, float]) -> Resources:
        return Resources(workers=self._workers)

    def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[TrivialEpoch]:
        after = 0
        if context.checkpoint:
            after = torch.load(context.checkpoint, weights_only=True)["epoch"]
        return epochs(int(candidate["size"]), after=after, last=context.max_epochs)
