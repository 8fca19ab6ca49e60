"""The study file: everything that one study is, in TOML.

    name = "mitdb"
    dataset = "data/mitdb"

is a whole study file; `search.study_file.tables` lists the other keys with their defaults.
"""

from __future__ import annotations

import difflib
import json
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError
from ecgmodels.training.config import TrainingConfig
from search.errors import StudyFileError
from search.latency import LATENCY_COST
from search.objectives import LOG10_PREFIX, Bound, Objective, is_exact
from search.study_file.errors import explained, refusal, type_problem
from search.study_file.tables import (
    BoundTable,
    BudgetTable,
    HalvingTable,
    LatencyTable,
    ObjectiveTable,
    OptimismTable,
    ProblemTable,
    SamplerTable,
    SpaceTable,
    StorageTable,
    Table,
    TrialsTable,
    WarmStartTable,
    bound,
    has_changed,
    objective,
)

# What a network costs, by arithmetic (ecgmodels.models.registry.cost).
ECG_COSTS = ("parameters", "macs")
# And what it costs by measurement, where there is a [latency].
MEASURED_COSTS = (LATENCY_COST,)

# What an epoch measures (ecgmodels.metrics.classification, ecgmodels.training.fitting.Epoch).
ECG_METRICS = (
    *("mean_f1", "macro_f1", "macro_f1_occurring", "micro_f1", "macro_auc"),
    *("macro_sensitivity", "macro_positive_predictivity", "validation_loss", "train_loss"),
    *("balanced_accuracy", "accuracy", "exact_match", "challenge_score"),
)
CLASS_METRICS = ("sensitivity_", "positive_predictivity_", "f1_", "auc_")  # and a class's name

# Which of them one dataset has depends on its labels: one class a segment, or several.
ONE_CLASS_ONLY = ("balanced_accuracy", "accuracy")
SEVERAL_CLASSES_ONLY = ("exact_match", "auc_")

# What may differ when a study goes on: where it and its data are kept, on what it runs, how far and
# by whose proposals. (That the dataset is the same one is checked by its hash.)
# All else decides what a result means, and results that mean different things share no front.
CHANGEABLE = frozenset(
    {
        *("dataset", "study", "storage", "trials", "sampler", "enqueue", "optimism"),
        *("budget.candidates", "budget.total_epochs", "budget.min_gain_per_hour"),
        *("budget.gpu_hours", "budget.worker_hours", "budget.hours"),
    }
)


class StudyFile(Table):
    """One study. Frozen; a study that goes on keeps all but the `CHANGEABLE` settings."""

    name: str = Field(min_length=1, examples=["mitdb"])
    """The study's name in its storage and in Optuna's dashboard."""

    dataset: str = Field(default="", examples=["data/mitdb"])
    """Folder that `ecgsearch data prepare` wrote; required unless there is a `[problem]`."""

    study: str = Field(default="", min_length=1, examples=["studies/mitdb"])
    """Folder for the journal, checkpoints and reports; studies/NAME when left out."""

    seed: int = Field(default=0, ge=0, le=2**32 - 1)
    """Decides proposals, initial weights and the order of the batches."""

    split: str = Field(default="fixed", min_length=1)
    """The development split that candidates train on and are compared by."""

    space: SpaceTable = SpaceTable()

    objectives: tuple[ObjectiveTable, ...] = Field(
        default=(
            ObjectiveTable(metric="mean_f1", direction="max"),
            ObjectiveTable(metric="log10_parameters", direction="min"),
        ),
        min_length=1,
        strict=False,  # TOML has lists, no tuples
    )

    bounds: dict[str, BoundTable] = Field(default_factory=dict)
    budget: BudgetTable = BudgetTable()
    sampler: SamplerTable = SamplerTable()
    halving: HalvingTable = HalvingTable()
    optimism: OptimismTable = OptimismTable()
    trials: TrialsTable = TrialsTable()

    training: dict[str, JsonValue] = Field(default_factory=dict)
    """Fixed settings of every training: fields of `ecgmodels.training.fitting.TrainingConfig`."""

    latency: LatencyTable | None = None
    problem: ProblemTable | None = None
    storage: StorageTable = StorageTable()

    enqueue: tuple[dict[str, JsonValue], ...] = Field(default=(), strict=False)
    """`[[enqueue]]`: parameters of candidates to try first; those left out are drawn by chance."""

    warm_start: tuple[WarmStartTable, ...] = Field(default=(), strict=False)
    """`[[warm_start]]`: earlier studies to learn from."""

    @model_validator(mode="before")
    @classmethod
    def _study_folder(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and "name" in values:
            return {"study": f"studies/{values['name']}", **values}
        return values

    @model_validator(mode="after")
    def _checks(self) -> Self:
        if self.problem is None:
            self._check_ecg()
        else:
            self._check_problem(self.problem)
        self._check_objectives()
        self._check_halving()
        self._check_beginning()
        self._check_budget()
        return self

    def _check_ecg(self) -> None:
        if not self.dataset:
            raise refusal("'dataset' is missing", 'add dataset = "data/mitdb"')
        self._check_training()
        names = _with_logarithms(self._costs)
        for name in self.bounds:
            self._check_measured(f"bounds.{name}", name)
            if name not in names:
                raise refusal(f"bounds.{name}: no such cost", nearest_hint(name, names))
        for table in self.objectives:
            self._check_measured("objectives", table.metric)
            known = table.metric in names
            if not known and (
                table.exact or difflib.get_close_matches(table.metric, names, cutoff=0.8)
            ):
                raise refusal(
                    f"objectives: '{table.metric}' is not a cost", nearest_hint(table.metric, names)
                )
            if not known:
                _check_learned("objectives", table.metric, names)

    @property
    def _costs(self) -> tuple[str, ...]:
        """What is known of every network before it is trained."""
        return ECG_COSTS if self.latency is None else (*ECG_COSTS, *MEASURED_COSTS)

    def _check_measured(self, key: str, name: str) -> None:
        if self.latency is None and is_exact(name, MEASURED_COSTS):
            raise refusal(
                f"{key}: '{name}' is measured on a machine, and none is named",
                'add [latency] with name = "my-laptop", say',
            )

    def _check_training(self) -> None:
        fields = typing.get_type_hints(TrainingConfig)
        for key, value in self.training.items():
            if key == "epochs":
                raise refusal("training.epochs: the budget says it", "set budget.epochs instead")
            if key not in fields:
                raise refusal(f"unknown key 'training.{key}'", nearest_hint(key, fields))
            if problem := type_problem(value, fields[key]):
                raise refusal(f"training.{key}: {problem}", f"change or leave out {key}")
        try:
            config = TrainingConfig.from_dict({**self.training, "epochs": self.budget.epochs})
        except ConfigError as error:
            raise refusal(f"training: {error}", error.hint) from error
        if config.early_stop_epochs is not None:
            _check_learned("training.early_stop_metric", config.early_stop_metric)
        wide = self.trials.wide
        for workers in (self.trials.workers, wide.workers if wide else 1):
            if config.batch_size % workers:
                raise refusal(
                    f"training.batch_size {config.batch_size} does not divide over "
                    f"{workers} workers",
                    "make it a multiple of the workers",
                )

    def _check_problem(self, problem: ProblemTable) -> None:
        for key in ("dataset", "split", "space", "training", "latency"):
            if has_changed(self, key):
                raise refusal(
                    f"{key} has no effect: problem '{problem.path}' brings its own",
                    f"leave out {key}, or pass it on under [problem.arguments]",
                )
        if has_changed(self, "trials"):
            raise refusal(
                f"trials has no effect: problem '{problem.path}' says what a trial takes",
                "leave out trials, or give the problem a method resources(candidate)",
            )

    def _check_objectives(self) -> None:
        metrics = [table.metric.removeprefix(LOG10_PREFIX) for table in self.objectives]
        for index, metric in enumerate(metrics):
            if metric in metrics[:index]:
                raise refusal(f"objectives: '{metric}' is there twice", "leave one of the two out")
        if all(each.exact for each in self.to_objectives()):
            raise refusal(
                f"objectives: {', '.join(metrics)} can be had without training",
                'add a learned one, such as metric = "mean_f1", direction = "max"',
            )

    def _check_halving(self) -> None:
        first, epochs = self.halving.first_rung, self.budget.epochs
        if self.halving.name == "pareto" and first >= epochs:
            raise refusal(
                f"halving.first_rung is {first}, not before the last epoch, {epochs}",
                'lower halving.first_rung, or set halving.name = "none"',
            )

    def _check_budget(self) -> None:
        if self.budget.gpu_hours is not None and self.trials.gpus == 0 and self.problem is None:
            raise refusal(
                "budget.gpu_hours would never be spent: trials.gpus is 0",
                "set budget.worker_hours instead, or give trials GPUs",
            )

    def _check_beginning(self) -> None:
        for index, given in enumerate(self.enqueue):
            if not given:
                raise refusal(f"enqueue[{index}] has no parameters", "name some, or leave it out")
            for name, value in given.items():
                if not isinstance(value, str | int | float | bool):
                    raise refusal(f"enqueue[{index}].{name}: not one value", "give it one")
            if given in self.enqueue[:index]:
                raise refusal(f"enqueue[{index}] is there twice", "leave one of the two out")
        wanted = self.budget.candidates
        if wanted is not None and len(self.enqueue) > wanted:
            raise refusal(
                f"{len(self.enqueue)} candidates are enqueued, budget.candidates is {wanted}",
                "raise budget.candidates",
            )
        for index, earlier in enumerate(self.warm_start):
            if earlier.study in [each.study for each in self.warm_start[:index]]:
                raise refusal(f"warm_start: '{earlier.study}' is there twice", "leave one out")
            if earlier.study == self.study:
                raise refusal(
                    f"warm_start: '{earlier.study}' is this study itself",
                    "name an earlier one, or give this one another folder under `study`",
                )
            if earlier.ranges and self.problem is None:
                raise refusal(
                    f"warm_start[{index}].ranges has no effect: there is no [problem]",
                    "leave it out: [space.ranges] may differ",
                )

    @classmethod
    def from_toml(cls, path: Path) -> Self:
        """Read a study file.

        Raises:
            StudyFileError: the file is not there, not TOML, or not a study; it names the file, the
                key or line, what was expected and the nearest valid key or value.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise StudyFileError(
                f"study file '{path}' cannot be read: {error.strerror}",
                hint="give the path of a TOML file",
            ) from error
        except UnicodeDecodeError as error:
            raise StudyFileError(
                f"{path}: byte {error.start} is not UTF-8", hint="save the file as UTF-8"
            ) from error
        except tomllib.TOMLDecodeError as error:
            raise StudyFileError(
                f"{path}: not valid TOML: {error}",
                hint="correct that line; text stands in quotes, tables in [brackets]",
            ) from error
        return cls.from_dict(values, file=str(path))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], *, file: str = "study file") -> Self:
        """Build a study from a file's values or from `to_dict`'s result.

        Raises:
            StudyFileError: as `from_toml`; `file` says where the values came from.
        """
        try:
            return cls.model_validate(dict(values))
        except ValidationError as error:
            raise explained(error, cls, file) from error

    def to_dict(self) -> dict[str, Any]:
        """Return every setting, defaults too, as JSON-ready values in the order of the fields."""
        return self.model_dump(mode="json")

    def to_objectives(self) -> tuple[Objective, ...]:
        """Return the objectives in the file's order, exact ones marked."""
        costs = self._costs if self.problem is None else ()
        return tuple(
            objective(table, exact=is_exact(table.metric, costs)) for table in self.objectives
        )

    def to_bounds(self) -> tuple[Bound, ...]:
        """Return the bounds in the file's order."""
        return tuple(bound(name, table) for name, table in self.bounds.items())

    def compatible_with(self, recorded: StudyFile) -> list[str]:
        """Return the settings that keep this file from going on with a recorded study; none: [].

        Each is one line: the key, what the study was begun with, and what this file says.
        """
        now, then = _flat(self.to_dict()), _flat(recorded.to_dict())
        return [
            f"{key}: the study has {_shown(then, key)}, the file {_shown(now, key)}"
            for key in dict.fromkeys([*now, *then])
            if now.get(key) != then.get(key) and not _changeable(key)
        ]


def _check_learned(key: str, metric: str, others: Iterable[str] = ()) -> None:
    """Refuse what no epoch measures; `others` are what could have been meant, too."""
    if metric not in ECG_METRICS and not metric.startswith(CLASS_METRICS):
        raise refusal(
            f"{key}: there is no metric '{metric}'", nearest_hint(metric, [*ECG_METRICS, *others])
        )


def _with_logarithms(costs: tuple[str, ...]) -> list[str]:
    return [*costs, *(LOG10_PREFIX + name for name in costs)]


def _changeable(key: str) -> bool:
    parts = key.split(".")
    return any(".".join(parts[:count]) in CHANGEABLE for count in range(1, len(parts) + 1))


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return {"budget.epochs": 9, ...}; lists stay whole."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat


def _shown(values: Mapping[str, Any], key: str) -> str:
    return "nothing" if values.get(key) is None else json.dumps(values[key])
