"""Whether the settings of a study file go together: each with an effect, none against another."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError
from ecgmodels.training.config import TrainingConfig
from search.objectives import LOG10_PREFIX, is_exact
from search.study_file.errors import refusal, type_problem
from search.study_file.measures import CLASS_METRICS, ECG_METRICS, MEASURED_COSTS
from search.study_file.tables import ProblemTable, has_changed

if TYPE_CHECKING:
    from search.study_file.reading import StudyFile


def check(file: StudyFile) -> None:
    """Refuse settings that contradict each other, or that would have no effect.

    Raises:
        what `search.study_file.errors.refusal` makes: a message that names the key, and a hint.
    """
    if file.problem is None:
        _check_ecg(file)
    else:
        _check_problem(file, file.problem)
    _check_objectives(file)
    _check_halving(file)
    _check_beginning(file)
    _check_budget(file)


def _check_ecg(file: StudyFile) -> None:
    if not file.dataset:
        raise refusal("'dataset' is missing", 'add dataset = "data/mitdb"')
    _check_training(file)
    _check_wide(file)
    names = _with_logarithms(file.costs)
    for name in file.bounds:
        _check_measured(file, f"bounds.{name}", name)
        if name not in names:
            raise refusal(f"bounds.{name}: no such cost", nearest_hint(name, names))
    for table in file.objectives:
        _check_measured(file, "objectives", table.metric)
        known = table.metric in names
        if not known and (
            table.exact or difflib.get_close_matches(table.metric, names, cutoff=0.8)
        ):
            raise refusal(
                f"objectives: '{table.metric}' is not a cost", nearest_hint(table.metric, names)
            )
        if not known:
            _check_learned("objectives", table.metric, names)


def _check_measured(file: StudyFile, key: str, name: str) -> None:
    if file.latency is None and is_exact(name, MEASURED_COSTS):
        raise refusal(
            f"{key}: '{name}' is measured on a machine, and none is named",
            'add [latency] with name = "my-laptop", say',
        )


def _check_training(file: StudyFile) -> None:
    fields = typing.get_type_hints(TrainingConfig)
    for key, value in file.training.items():
        if key == "epochs":
            raise refusal("training.epochs: the budget says it", "set budget.epochs instead")
        if key not in fields:
            raise refusal(f"unknown key 'training.{key}'", nearest_hint(key, fields))
        if problem := type_problem(value, fields[key]):
            raise refusal(f"training.{key}: {problem}", f"change or leave out {key}")
    try:
        config = TrainingConfig.from_dict({**file.training, "epochs": file.budget.epochs})
    except ConfigError as error:
        raise refusal(f"training: {error}", error.hint) from error
    if config.early_stop_epochs is not None:
        _check_learned("training.early_stop_metric", config.early_stop_metric)
    wide = file.trials.wide
    for workers in (file.trials.workers, wide.workers if wide else 1):
        if config.batch_size % workers:
            raise refusal(
                f"training.batch_size {config.batch_size} does not divide over {workers} workers",
                "make it a multiple of the workers",
            )


def _check_wide(file: StudyFile) -> None:
    """Refuse bounds that leave no narrow trial, or no wide one."""
    if file.trials.wide is None:
        return
    above = file.trials.wide.above_parameters
    for name, limits in file.bounds.items():
        if name.removeprefix(LOG10_PREFIX) != "parameters":
            continue
        least, most = (
            limit if name == "parameters" or limit is None else 10.0 ** min(limit, 300.0)
            for limit in (limits.min, limits.max)
        )
        if most is not None and most <= above:
            raise refusal(
                f"trials.wide has no effect: bounds.{name} allows no model above "
                f"{above:,} parameters",
                "lower trials.wide.above_parameters, or leave out [trials.wide]",
            )
        if least is not None and least > above:
            raise refusal(
                f"trials.wide makes every trial wide: bounds.{name} allows only models above "
                f"{above:,} parameters",
                "raise trials.wide.above_parameters, or set trials.workers in its place",
            )


def _check_problem(file: StudyFile, problem: ProblemTable) -> None:
    for key in ("dataset", "split", "space", "training", "latency"):
        if has_changed(file, key):
            raise refusal(
                f"{key} has no effect: problem '{problem.path}' brings its own",
                f"leave out {key}, or pass it on under [problem.arguments]",
            )
    if has_changed(file, "trials"):
        raise refusal(
            f"trials has no effect: problem '{problem.path}' says what a trial takes",
            "leave out trials, or give the problem a method resources(candidate)",
        )


def _check_objectives(file: StudyFile) -> None:
    metrics = [table.metric.removeprefix(LOG10_PREFIX) for table in file.objectives]
    for index, metric in enumerate(metrics):
        if metric in metrics[:index]:
            raise refusal(f"objectives: '{metric}' is there twice", "leave one of the two out")
    if all(each.exact for each in file.to_objectives()):
        raise refusal(
            f"objectives: {', '.join(metrics)} can be had without training",
            'add a learned one, such as metric = "mean_f1", direction = "max"',
        )


def _check_halving(file: StudyFile) -> None:
    first, epochs = file.halving.first_rung, file.budget.epochs
    if file.halving.name == "pareto" and first >= epochs:
        raise refusal(
            f"halving.first_rung is {first}, not before the last epoch, {epochs}",
            'lower halving.first_rung, or set halving.name = "none"',
        )


def _check_budget(file: StudyFile) -> None:
    if file.budget.gpu_hours is not None and file.trials.gpus == 0 and file.problem is None:
        raise refusal(
            "budget.gpu_hours would never be spent: trials.gpus is 0",
            "set budget.worker_hours instead, or give trials GPUs",
        )


def _check_beginning(file: StudyFile) -> None:
    for index, given in enumerate(file.enqueue):
        if not given:
            raise refusal(f"enqueue[{index}] has no parameters", "name some, or leave it out")
        for name, value in given.items():
            if not isinstance(value, str | int | float | bool):
                raise refusal(f"enqueue[{index}].{name}: not one value", "give it one")
        if given in file.enqueue[:index]:
            raise refusal(f"enqueue[{index}] is there twice", "leave one of the two out")
    wanted = file.budget.candidates
    if wanted is not None and len(file.enqueue) > wanted:
        raise refusal(
            f"{len(file.enqueue)} candidates are enqueued, budget.candidates is {wanted}",
            "raise budget.candidates",
        )
    for index, earlier in enumerate(file.warm_start):
        if earlier.study in [each.study for each in file.warm_start[:index]]:
            raise refusal(f"warm_start: '{earlier.study}' is there twice", "leave one out")
        if earlier.study == file.study:
            raise refusal(
                f"warm_start: '{earlier.study}' is this study itself",
                "name an earlier one, or give this one another folder under `study`",
            )
        if earlier.ranges and file.problem is None:
            raise refusal(
                f"warm_start[{index}].ranges has no effect: there is no [problem]",
                "leave it out: [space.ranges] may differ",
            )


def _check_learned(key: str, metric: str, others: Iterable[str] = ()) -> None:
    """Refuse what no epoch measures; `others` are what could have been meant, too."""
    if metric not in ECG_METRICS and not metric.startswith(CLASS_METRICS):
        raise refusal(
            f"{key}: there is no metric '{metric}'", nearest_hint(metric, [*ECG_METRICS, *others])
        )


def _with_logarithms(costs: tuple[str, ...]) -> list[str]:
    return [*costs, *(LOG10_PREFIX + name for name in costs)]
