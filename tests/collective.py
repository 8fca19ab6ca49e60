"""A problem whose ranks really talk: every epoch they add up what they know, by torch's group."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from typing import Any

from search.problem import Context
from tests.toy import ToyEpoch

FAULTY_EPOCH = 2


class CollectiveProblem:
    """Candidates are named by what their last rank does in the second epoch, before the others.

    "fine", "raises", "dies", or "hangs".
    """

    def suggest(self, trial: Any) -> dict[str, str]:
        return {"fault": trial.suggest_categorical("fault", ["fine", "raises", "dies", "hangs"])}

    def cost(self, candidate: Mapping[str, str]) -> dict[str, float]:
        return {"parameters": 1.0}

    def learn(self, candidate: Mapping[str, str], context: Context) -> Iterator[ToyEpoch]:
        import torch
        import torch.distributed

        first = json.loads(context.checkpoint.read_text()) + 1 if context.checkpoint else 1
        for number in range(first, context.max_epochs + 1):
            if number == FAULTY_EPOCH and context.rank == context.world_size - 1:
                _misbehave(candidate["fault"])
            mine = [1.0, float(number), float(os.getpid())]
            told = torch.tensor(mine, dtype=torch.float64)
            torch.distributed.all_reduce(told)
            ranks, epochs, processes = told.tolist()
            metrics = {"ranks": ranks, "mean_epoch": epochs / ranks, "processes": processes}
            yield ToyEpoch(number, metrics, 0.001)


def _misbehave(fault: str) -> None:
    if fault == "raises":
        raise ZeroDivisionError("the last rank divides by zero")
    if fault == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "hangs":
        time.sleep(600)
