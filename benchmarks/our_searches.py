"""The project's own search: a real journal on disk, a checkpoint at each trial's end."""

from __future__ import annotations

from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from stopwatch import Stopwatch
from trivial_problem import EPOCHS

from cluster.connect import connect
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Verdict
from search.engine.goal import Goal
from search.execution.tune_executor import run_on_tune
from search.objectives import Objective
from search.problem import ProblemSpec
from search.study.creation import create_study
from search.study.records import CandidateRecord, Failure

OBJECTIVES = (Objective("accuracy", "max"), Objective("parameters", "min", exact=True))


class _Listener:
    def __init__(self, stopwatch: Stopwatch) -> None:
        self._stopwatch = stopwatch

    def started(self, record: CandidateRecord) -> None:
        """Starting is no result."""

    def reported(self, record: CandidateRecord, verdict: Verdict) -> None:
        learned_s = sum(epoch.seconds for epoch in record.curve)
        self._stopwatch.result(learned_s, last=verdict is Verdict.STOP)

    def failed(self, record: CandidateRecord, failure: Failure, *, retried: bool) -> None:
        raise RuntimeError(f"trial {record.number} failed: {failure.message}")


def search(
    folder: Path, *, trials: int, workers: int, cpus: int, sampler: str = "tpe"
) -> Stopwatch:
    """Search with trials of `workers` workers, as many at once as `cpus` hold."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec = ProblemSpec(path="trivial_problem:TrivialProblem", arguments={"workers": workers})
    with connect("local", cpus=cpus) as connection:
        stopwatch = Stopwatch(slots=cpus // workers)
        storage = JournalStorage(JournalFileBackend(str(folder / "journal.log")))
        conductor = Conductor(
            spec.build(),
            create_study(storage, "benchmark", OBJECTIVES),
            Plan(goal=Goal(candidates=trials, max_epochs=EPOCHS), sampler=sampler),
            checkpoints=folder / "trials",
            listener=_Listener(stopwatch),
        )
        run_on_tune(conductor, spec, connection.capacity, folder=folder / "ray")
    return stopwatch
