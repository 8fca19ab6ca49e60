"""A problem that learns in milliseconds, for tests of the search: real processes, real files.

Its accuracy grows with size and epochs and depends on a learning rate, so that there is a front to
find. Options make it slow, failing, wide or small.
"""

from __future__ import annotations

import json
import math
import os
import signal
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.resources import Resources
from search.engine.conductor import Plan
from search.execution.simulator import simulate_plan
from search.objectives import Objective
from search.problem import Context, Problem, candidate_key
from search.study.study import Study

TOY_OBJECTIVES = [Objective("accuracy", "max"), Objective("parameters", "min", exact=True)]


@dataclass(frozen=True)
class ToyEpoch:
    number: int
    metrics: Mapping[str, float]
    seconds: float
    final: bool = False

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(self.number))


class ToyProblem:
    """`size` from 1 to 1000 against an accuracy below 1.

    Args:
        epoch_s: how long an epoch takes.
        fail: what goes wrong, several joined by "+": "bug" (always raises), "large" (raises above
            size 100), "nan" (up to size 10, no accuracy in epoch 2), "kill-once" (the last rank
            dies in epoch 2, the first time), "kill-first" (the same in epoch 1), "memory" (memory
            runs out in epoch 2, unless a batch is learned from in parts), "unmended" (raises in
            epoch 2, until there is a file `mended` in `marks`), "hoard" (takes memory in epoch 2
            until the kernel kills it, unless a batch is learned from in parts; `marks` is a memory
            cgroup with a limit).
        wide_above: candidates of a larger size take `workers` workers.
        marks: a folder where those that kill note whom.
        processes: a folder for a file `PROCESS-SIZE` of every candidate that learns.
        trained: a folder for a file `KEY` of every candidate, with a line for each epoch trained,
            its number, as often as it is.
        ends_after: with N, learning ends of its own accord after N epochs.
        finite: with N, the space has N candidates only: sizes 1 to N at one rate.
    """

    def __init__(
        self,
        *,
        epoch_s: float = 0.0,
        fail: str = "",
        wide_above: float = math.inf,
        workers: int = 2,
        marks: str = "",
        processes: str = "",
        trained: str = "",
        ends_after: int = 0,
        finite: int = 0,
    ) -> None:
        self.epoch_s = epoch_s
        self.fails = frozenset(fail.split("+"))
        self.wide_above = wide_above
        self.workers = workers
        self.marks = marks
        self.processes = processes
        self.trained = trained
        self.ends_after = ends_after
        self.finite = finite

    def suggest(self, trial: Any) -> dict[str, float]:
        if self.finite:
            return {"size": trial.suggest_int("size", 1, self.finite), "rate": 0.01}
        return {
            "size": trial.suggest_int("size", 1, 1000, log=True),
            "rate": trial.suggest_float("rate", 1e-3, 1e-1, log=True),
        }

    def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
        return {"parameters": float(candidate["size"])}

    def resources(self, candidate: Mapping[str, float]) -> Resources:
        return Resources(workers=self.workers if candidate["size"] > self.wide_above else 1)

    def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
        if self.processes:
            (Path(self.processes) / f"{os.getpid()}-{candidate['size']}").touch()
        first = json.loads(context.checkpoint.read_text()) + 1 if context.checkpoint else 1
        ceiling = math.log(candidate["size"] + 1) / 8 - 0.1 * abs(
            math.log10(candidate["rate"] * 100)
        )
        for number in range(first, context.max_epochs + 1):
            if self.epoch_s:
                time.sleep(self.epoch_s)
            self._misbehave(candidate, context, number)
            if self.trained and context.rank == 0:
                with (Path(self.trained) / candidate_key(self, candidate)).open("a") as file:
                    file.write(f"{number}\n")
            accuracy = ceiling * (1 - 0.5**number) + 0.02 * math.sin(candidate["size"] * number)
            if "nan" in self.fails and number == 2 and candidate["size"] <= 10:
                accuracy = math.nan
            final = number == self.ends_after
            yield ToyEpoch(number, {"accuracy": accuracy}, max(self.epoch_s, 0.001), final)
            if final:
                return

    def _misbehave(self, candidate: Mapping[str, float], context: Context, number: int) -> None:
        if "bug" in self.fails or ("large" in self.fails and candidate["size"] > 100):
            raise ZeroDivisionError("the toy divides by zero")
        if "memory" in self.fails and number == 2 and context.batch_parts == 1:
            raise MemoryError("the toy needs more memory")
        if "hoard" in self.fails and number == 2 and context.batch_parts == 1:
            (Path(self.marks) / "cgroup.procs").write_text(str(os.getpid()))
            hoard = []
            while True:
                hoard.append(b"x" * (1 << 20))
        if "unmended" in self.fails and number == 2 and not (Path(self.marks) / "mended").exists():
            raise KeyError("lead")
        for fault, epoch in (("kill-first", 1), ("kill-once", 2)):
            mark = Path(self.marks) / f"killed-{candidate['size']}"
            last_rank = context.rank == context.world_size - 1
            if fault in self.fails and number == epoch and last_rank and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)


def searched(problem: Problem, plan: Plan, *, workers: int = 1) -> Study:
    """Return the study that a plan comes to in virtual time."""
    return simulate_plan(problem, TOY_OBJECTIVES, plan, workers=workers).study
