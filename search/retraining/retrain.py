"""Retrains members of a front to full length under Ray Train, and reports them honestly.

This is where the test part is read: once a model, after its training has ended, and every reading
is written into the study first.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cluster.connect import connect
from cluster.ledger import require_fit
from cluster.resources import Resources
from ecgmodels import TrainingConfig, read_model, save_model
from ecgmodels.training.threads import allowed_cpus, torch_threads
from search.ecg_problem import ECGProblem
from search.engine.failures import LOSS_MESSAGES, explain
from search.engine.lease import Lease, candidate_name
from search.errors import StudyError
from search.interruption import Interruption
from search.objectives import first_learned
from search.problem import ProblemSpec, ReplayTrial, rebuild_candidate
from search.reports.progress import format_value
from search.retraining.evaluation import Evaluation, evaluate, evaluation_threads
from search.retraining.model_card import model_card
from search.running import problem_spec
from search.sampling.samplers import derived_seed
from search.study.checkpoints import CheckpointFolder
from search.study.folder import StudyFolder
from search.study.fronts import NO_FRONT, most_accurate
from search.study.records import CandidateRecord
from search.study.study import Study
from search.study_file.reading import StudyFile


@dataclass(frozen=True, kw_only=True)
class RetrainOptions:
    """What is retrained, and on what."""

    top: int | None = None
    """So many members of the front, the most accurate first."""
    trials: tuple[int, ...] = ()
    """Or these trials, by number."""
    workers: int = 1
    epochs: int | None = None
    """Length of the training; by default the study's full length."""
    seed: int = 0
    """0 trains with the search's own seed; others draw weights and order anew."""


@dataclass(frozen=True, kw_only=True)
class Retrained:
    """One retrained model."""

    record: CandidateRecord
    folder: Path
    validation: Evaluation
    test: Evaluation


def retrain(
    path: Path,
    options: RetrainOptions,
    *,
    address: str | None = None,
    cpus: int | None = None,
    show: Callable[[str], None] = print,
) -> list[Retrained]:
    """Retrain and evaluate; a run that was interrupted goes on from its checkpoints.

    Raises:
        StudyError: no such study or trial, an empty front, or a training that failed.
    """
    folder = StudyFolder(path)
    study_file = folder.study_file()
    if study_file.problem is not None:
        raise StudyError(
            f"study {path} searches '{study_file.problem.path}', which is not EfficientECG",
            hint="train it with your own code: `ecgsearch pareto --json` gives the configurations",
        )
    with contextlib.ExitStack() as stack:
        interruption = stack.enter_context(Interruption.handled())
        stack.enter_context(folder.driving())
        study = folder.open()
        chosen = _chosen(study, options)
        spec = _retraining_spec(study_file, folder, options.epochs)
        _ecg_problem(spec).dataset.verify_test()  # a damaged one is found before hours of training
        show(f"study    {folder.path}")
        show("ray      connecting")
        _require_divisible(spec, options.workers)
        connection = stack.enter_context(connect(address, cpus=cpus))
        gpus = study_file.trials.gpus
        resources = Resources(
            workers=options.workers,
            cpus=study_file.trials.cpus,
            gpus=math.ceil(gpus) if options.workers > 1 else gpus,
        )
        require_fit(connection.capacity, resources, "retraining")
        show(f"on       {connection.description}")
        stack.callback(shutil.rmtree, folder.ray, ignore_errors=True)
        metric = first_learned(study.objectives).metric
        retrained = []
        for record in chosen:
            if interruption.requested:
                raise KeyboardInterrupt
            lease = _lease(record, spec, folder, resources, study_file, options)
            show(
                f"trial {record.number}: {format_value(record.costs['parameters'])} parameters, "
                f"{lease.max_epochs} epochs on {resources}"
            )
            _train(lease, spec, folder.ray, interruption, metric, show)
            threads_limit = cpus or allowed_cpus()
            retrained.append(_take_home(study, record, lease, spec, threads_limit, show))
        return retrained


def _chosen(study: Study, options: RetrainOptions) -> Sequence[CandidateRecord]:
    if options.trials:
        for number in options.trials:
            if number not in study.records:
                raise StudyError(
                    f"there is no trial {number} in the study",
                    hint=f"trials run from 0 to {max(study.records, default=0)}; "
                    "`ecgsearch pareto` lists the front",
                )
        return [study.records[number] for number in dict.fromkeys(options.trials)]
    chosen = most_accurate(study, options.top or 1)
    if not chosen:
        raise StudyError(
            f"the study has no front: {NO_FRONT}",
            hint="search first with `ecgsearch run STUDY.toml`",
        )
    return chosen


def _retraining_spec(study_file: StudyFile, folder: StudyFolder, epochs: int | None) -> ProblemSpec:
    spec, _ = problem_spec(study_file)
    arguments = {**spec.arguments, "dataset_hash": folder.dataset_hash()}
    if epochs is not None:
        arguments["training"] = {**arguments["training"], "epochs": epochs}
    return dataclasses.replace(spec, arguments=arguments)


def _ecg_problem(spec: ProblemSpec) -> ECGProblem:
    problem = spec.build()
    assert isinstance(problem, ECGProblem)
    return problem


def _require_divisible(spec: ProblemSpec, workers: int) -> None:
    batch_size = TrainingConfig.from_dict(spec.arguments["training"]).batch_size
    if batch_size % workers:
        raise StudyError(
            f"the study's batches of {batch_size} segments do not divide over {workers} workers",
            hint=f"choose a number of workers that divides {batch_size}",
        )


def _lease(
    record: CandidateRecord,
    spec: ProblemSpec,
    folder: StudyFolder,
    resources: Resources,
    study_file: StudyFile,
    options: RetrainOptions,
) -> Lease:
    """Lease the candidate under the key that it has at this length of training."""
    searched, _ = problem_spec(study_file)
    rebuild_candidate(searched.build(), record.params, record.key)  # still the one of the search
    problem = _ecg_problem(spec)
    key = problem.key(problem.suggest(ReplayTrial(record.params)))
    label = ("train", record.key) if options.seed == 0 else ("retrain", options.seed, record.key)
    seed = derived_seed(study_file.seed, *label)
    home = folder.retrained / _name(record, key, options)
    checkpoints = CheckpointFolder(home / "checkpoints")
    latest = checkpoints.latest()
    return Lease(
        number=record.number,
        attempt=latest.attempt + 1 if latest else 1,
        key=key,
        params=record.params,
        resources=resources,
        seed=seed,
        max_epochs=options.epochs or study_file.budget.epochs,
        rungs=(),
        known_epochs=latest.epoch if latest else 0,
        batch_parts=record.batch_parts,
        checkpoints=checkpoints.path,
    )


def _name(record: CandidateRecord, key: str, options: RetrainOptions) -> str:
    name = candidate_name(record.number, key)
    if options.workers > 1:
        name += f"-workers-{options.workers}"
    return name if options.seed == 0 else f"{name}-seed-{options.seed}"


def _train(
    lease: Lease,
    spec: ProblemSpec,
    ray_folder: Path,
    interruption: Interruption,
    metric: str,
    show: Callable[[str], None],
) -> None:
    """Train to the last epoch, unless a checkpoint is there already; show `metric` and loss."""
    from search.execution.train_trainer import TrainRun, open_mailbox

    latest = CheckpointFolder(lease.checkpoints).latest()
    if latest is not None and (latest.epoch >= lease.max_epochs or latest.history()[-1].final):
        show(f"  trained already: {latest.folder}")
        return
    with open_mailbox() as mailbox:
        run = TrainRun(lease, spec, mailbox, storage=ray_folder)
        try:
            while (report := run.next_report(interruption)) is not None:
                last = report[-1]
                show(
                    f"  epoch {last.number}/{lease.max_epochs}  "
                    f"{metric} {last.metrics[metric]:.4f}  "
                    f"train_loss {last.metrics['train_loss']:.4f}  {last.seconds:.1f} s"
                )
        except OSError:  # nobody reads what is shown any more
            raise
        except Exception as error:
            cause, message = explain(error)
            raise StudyError(
                f"retraining trial {lease.number} failed: {cause.value}: {message}",
                hint="run the same command again: it goes on from the last checkpoint"
                if cause in LOSS_MESSAGES
                else "choose another member of the front, or mend the cause named above",
            ) from error
        run.join()


def _take_home(
    study: Study,
    record: CandidateRecord,
    lease: Lease,
    spec: ProblemSpec,
    threads_limit: int,
    show: Callable[[str], None],
) -> Retrained:
    """Evaluate on validation, log and do the reading of the test part, write the model's folder."""
    checkpoint = CheckpointFolder(lease.checkpoints).latest()
    assert checkpoint is not None
    last = checkpoint.history()[-1]
    if last.kept is not None:
        show(f"  the model is that of epoch {last.kept}, the best of {last.number}")
    problem = _ecg_problem(spec)
    dataset = problem.dataset
    model = read_model(checkpoint.state)
    normalisation = dataset.normalisation(problem.split)
    _, validation_segments = dataset.development(problem.split)
    threads = evaluation_threads(model, threads_limit)
    with torch_threads(threads):
        validation = evaluate(
            model, dataset, validation_segments, normalisation, part=f"validation ({problem.split})"
        )
    study.log_test_reading(
        {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "by": "retrain",
            "trial": record.number,
            "key": lease.key,
            "epochs": last.number,
            "seed": lease.seed,
        }
    )
    with torch_threads(threads):
        test = evaluate(model, dataset, dataset.test(), normalisation, part="test")
    folder = lease.checkpoints.parent
    save_model(folder, model, model_card(problem, record, lease, last, validation, test))
    for evaluation in (validation, test):
        show(evaluation.to_text())
    show(f"  this was reading {len(study.test_readings)} of the test part in this study")
    show(f"  model: {folder}")
    return Retrained(record=record, folder=folder, validation=validation, test=test)
