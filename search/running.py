"""Runs a study from its file: everything is checked first, then searched by one driver."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from cluster.connect import connect
from cluster.ledger import require_fit, slots
from cluster.paths import resolve_location, resolve_path
from cluster.preflight import check_nodes, require_healthy
from cluster.resources import Capacity, Resources
from ecgmodels.data import open_dataset
from search.ecg_problem import ECGProblem, ecg_problem_spec, require_measured
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.problem import Problem, ProblemSpec
from search.reports.progress import ProgressLines
from search.study.folder import StudyFolder
from search.study.study import Study
from search.study_file.reading import StudyFile


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """How a run ended."""

    study: Study
    interrupted: bool
    reason: str | None
    """Why it ended before everything asked for was done; None when it did not."""


def run_study(
    study_file: StudyFile,
    *,
    address: str | None = None,
    cpus: int | None = None,
    show: Callable[[str], None] = print,
) -> SearchOutcome:
    """Start a study or take it up where it stands.

    Nothing is written before file, dataset, space and cluster have been found fit for each other.

    Args:
        address: a Ray cluster; by default $RAY_ADDRESS, else a local Ray for as long as this lasts.
        cpus: limits a local Ray.

    Raises:
        ECGSearchError, ECGModelsError, ClusterError: what is wrong, and how to mend it.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = StudyFolder(resolve_path(study_file.study, what="the study folder"))
    spec, dataset_hash = problem_spec(study_file)
    problem = spec.build()
    with contextlib.ExitStack() as stack:
        interruption = stack.enter_context(Interruption.handled())
        stack.enter_context(folder.driving())
        folder.require_same(study_file, dataset_hash)
        show(f"study    {folder.path}")
        show("ray      connecting")
        connection = stack.enter_context(connect(address, cpus=cpus))
        show(f"on       {connection.description}")
        if not connection.local:
            require_healthy(check_nodes(readable=_shared(problem), writable=folder.path))
        for shape in _shapes(problem):
            require_fit(connection.capacity, shape, "a trial")
            show(f"trials   up to {slots(connection.capacity, shape)} at a time, each {shape}")
        study = folder.create(study_file, dataset_hash)
        if study.records:
            show(f"resumed  {len(study.records)} candidates are known")
        conductor = Conductor(
            problem,
            study,
            plan(study_file),
            checkpoints=folder.trials,
            listener=ProgressLines(
                study.objectives,
                candidates=study_file.budget.candidates,
                epochs=study_file.budget.epochs,
                known=study.records,
                show=show,
            ),
        )
        done = _search(conductor, spec, connection.capacity, folder.ray, interruption)
        if done is None:
            return SearchOutcome(study=study, interrupted=True, reason=None)
        if not done.resumable:
            conductor.conclude()
        return SearchOutcome(study=study, interrupted=False, reason=done.reason)


def _shared(problem: Problem) -> list[Path]:
    """Return what every node must be able to read; a dataset in an object store is not a folder."""
    if isinstance(problem, ECGProblem) and "://" not in problem.dataset.location:
        return [problem.dataset.path]
    return []


def problem_spec(study_file: StudyFile) -> tuple[ProblemSpec, str | None]:
    """Return how workers build the study's problem, and its dataset's hash if it has one."""
    if study_file.problem is not None:
        table = study_file.problem
        return ProblemSpec(path=table.path, arguments=table.arguments), None
    dataset = open_dataset(resolve_location(study_file.dataset, what="the dataset"))
    require_measured(study_file, dataset)
    trials = study_file.trials
    wide = trials.wide
    spec = ecg_problem_spec(
        dataset,
        split=study_file.split,
        space=study_file.space.name,
        ranges=study_file.space.ranges,
        training={**study_file.training, "epochs": study_file.budget.epochs},
        workers=trials.workers,
        cpus=trials.cpus,
        gpus=trials.gpus,
        wide_above_parameters=wide.above_parameters if wide else None,
        wide_workers=wide.workers if wide else 1,
    )
    return spec, dataset.hash


def plan(study_file: StudyFile) -> Plan:
    """Return how the study is searched."""
    halving = study_file.halving
    return Plan(
        goal=Goal(candidates=study_file.budget.candidates, max_epochs=study_file.budget.epochs),
        sampler=study_file.sampler.name,
        startup=study_file.sampler.startup,
        seed=study_file.seed,
        bounds=study_file.to_bounds(),
        halving=(
            ParetoHalving(
                eta=halving.eta,
                first_rung=halving.first_rung,
                min_results=halving.min_results,
                finish_front=halving.finish_front,
            )
            if halving.name == "pareto"
            else None
        ),
    )


class Interruption:
    """Whether somebody asked the search to leave (Ctrl-C, SIGTERM); a second Ctrl-C insists."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self) -> bool:
        return self.requested

    @classmethod
    @contextlib.contextmanager
    def handled(cls) -> Iterator[Interruption]:
        """Listen to signals for as long as the context lasts; in the main thread only."""
        interruption = cls()
        if threading.current_thread() is not threading.main_thread():
            yield interruption
            return
        before = {
            number: signal.signal(number, interruption._handle)
            for number in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield interruption
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: Any) -> None:
        if self.requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.requested = True
        # At once, by a write that a signal handler may make: leaving takes some seconds.
        os.write(2, b"stopping; running candidates are left at their checkpoints\n")


def _search(
    conductor: Conductor,
    spec: ProblemSpec,
    capacity: Capacity,
    ray_folder: Path,
    interruption: Interruption,
) -> Done | None:
    from search.execution.tune_executor import run_on_tune

    return run_on_tune(conductor, spec, capacity, folder=ray_folder, interrupted=interruption)


def _shapes(problem: Problem) -> tuple[Resources, ...]:
    """Return the shapes of trials, where the problem can tell before a candidate is proposed."""
    return problem.shapes() if hasattr(problem, "shapes") else ()
