"""Runs a study from its file: everything is checked first, then searched by one driver."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Mapping
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
from search.engine.conductor import Conductor
from search.engine.decisions import Done
from search.errors import StudyError
from search.interruption import Interruption
from search.problem import Problem, ProblemSpec
from search.problem_check import drawn_shapes, require_reachable, require_sound
from search.reports.progress import ProgressLines, counted
from search.study.folder import StudyFolder
from search.study.study import Study
from search.study_file.plan import goal, plan
from search.study_file.reading import StudyFile
from search.warm_start import Earlier, enqueued, read_earlier, require_candidates, take_over


@dataclass(frozen=True, kw_only=True)
class SearchOutcome:
    """How a run ended."""

    study: Study
    interrupted: bool
    reason: str | None
    """Why it ended before everything asked for was done; None when it did not."""
    limit: str | None = None
    """Which limit ended it, in words for people; None when it ended otherwise."""


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
    require_spendable(study_file, problem)
    with contextlib.ExitStack() as stack:
        interruption = stack.enter_context(Interruption.handled())
        lock = stack.enter_context(folder.driving(show))
        folder.require_same(study_file, dataset_hash)
        earlier, first = begin(study_file, problem, dataset_hash, folder.begun())
        show(f"study    {folder.path}")
        show("ray      connecting")
        connection = stack.enter_context(connect(address, cpus=cpus))
        show(f"on       {connection.description}")
        if not connection.local:
            require_healthy(check_nodes(readable=readable(problem), writable=folder.path))
        shapes = trial_shapes(problem)
        for shape in shapes:
            require_fit(connection.capacity, shape, "a trial")
            show(f"trials   up to {slots(connection.capacity, shape)} at a time, each {shape}")
        if not shapes:
            for shape in drawn_shapes(problem, study_file.to_bounds(), first, study_file.seed):
                require_fit(connection.capacity, shape, "a trial")
        study = folder.create(study_file, dataset_hash)
        if study.records:
            show(f"resumed  {counted(len(study.records), 'candidate', 'is', 'are')} known")
        for line in take_over(study, problem, earlier):
            show(f"earlier  {line}")
        conductor = Conductor(
            problem,
            study,
            dataclasses.replace(plan(study_file), enqueued=first),
            checkpoints=folder.trials,
            listener=ProgressLines(
                study.objectives,
                goal=goal(study_file),
                known=study.records,
                spent=lambda: study.spent,
                show=show,
            ),
        )
        try:
            done = _search(
                conductor,
                spec,
                connection.capacity,
                folder.ray,
                lambda: interruption.requested or lock.lost,
                show,
            )
        finally:
            if not lock.lost:
                conductor.close()
        if done is None:
            lock.require_kept()
            return SearchOutcome(study=study, interrupted=True, reason=None)
        if not done.resumable:
            conductor.conclude()
        limit = limit_reached(done, study)
        return SearchOutcome(study=study, interrupted=False, reason=done.reason, limit=limit)


def limit_reached(done: Done, study: Study) -> str | None:
    """Return which limit ended a search; None when it ended before one was reached."""
    if done.reason is not None:
        return None
    # As many as there are, which is more than the budget says when it was lowered since.
    tried = sum(record.imported is None for record in study.records.values())
    return done.limit or f"{counted(tried, 'candidate', 'was', 'were')} tried"


def begin(
    study_file: StudyFile, problem: Problem, dataset_hash: str | None, begun: Study | None
) -> tuple[list[Earlier], tuple[Mapping[str, Any], ...]]:
    """Return the earlier studies to take over, and the candidates to try first.

    Args:
        begun: the study itself, when it is there already.

    Raises:
        StudyError: one of them cannot be used, nothing can be found to begin with, or latency
            cannot be measured here.
    """
    if isinstance(problem, ECGProblem) and problem.latency is not None:
        problem.latency.require_usable()
    earlier = read_earlier(study_file, problem, dataset_hash, begun)
    require_sound(problem, study_file.to_objectives(), study_file.to_bounds())
    first = enqueued(study_file, begun)
    require_candidates(problem, study_file.to_bounds(), first, study_file.seed)
    if not first and not earlier and not (begun is not None and begun.records):
        require_reachable(problem, study_file.to_bounds())
    return earlier, first


def readable(problem: Problem) -> list[Path]:
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
        latency=_latency_settings(study_file),
    )
    return spec, dataset.hash


def _latency_settings(study_file: StudyFile) -> dict[str, Any] | None:
    """Return what `ECGProblem` takes under `latency`."""
    if study_file.latency is None:
        return None
    folder = StudyFolder(resolve_path(study_file.study, what="the study folder"))
    return {**study_file.latency.model_dump(), "cache": str(folder.latencies)}


def require_spendable(study_file: StudyFile, problem: Problem) -> None:
    """Refuse a budget of GPU-hours where no trial can ever take a GPU.

    Raises:
        StudyError: the problem's own shapes of trials have none.
    """
    shapes = trial_shapes(problem)
    if not shapes and not hasattr(problem, "resources"):
        shapes = (Resources(),)
    if study_file.budget.gpu_hours is not None and shapes and not any(s.gpus for s in shapes):
        raise StudyError(
            "budget.gpu_hours would never be spent: no trial takes a GPU",
            hint="set budget.worker_hours instead, or let the problem's resources() ask for GPUs",
        )


def _search(
    conductor: Conductor,
    spec: ProblemSpec,
    capacity: Capacity,
    ray_folder: Path,
    interrupted: Callable[[], bool],
    show: Callable[[str], None],
) -> Done | None:
    from search.execution.tune_executor import run_on_tune

    return run_on_tune(
        conductor,
        spec,
        capacity,
        folder=ray_folder,
        interrupted=interrupted,
        capacity_changed=lambda now: show(f"on       {now}: nodes have joined or left"),
    )


def trial_shapes(problem: Problem) -> tuple[Resources, ...]:
    """Return the shapes of trials, where the problem can tell before a candidate is proposed."""
    return problem.shapes() if hasattr(problem, "shapes") else ()
