"""The study file: everything that one study is, in TOML.

    name = "mitdb"
    dataset = "data/mitdb"

is a whole study file; `search.study_file.tables` lists the other keys with their defaults.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from search.errors import StudyFileError
from search.objectives import Bound, Objective, is_exact
from search.study_file.checks import check
from search.study_file.errors import explained
from search.study_file.measures import ECG_COSTS, MEASURED_COSTS
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
    objective,
)

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
        check(self)
        return self

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

    @property
    def costs(self) -> tuple[str, ...]:
        """What is known of every network before it is trained; a problem brings its own."""
        if self.problem is not None:
            return ()
        return ECG_COSTS if self.latency is None else (*ECG_COSTS, *MEASURED_COSTS)

    def to_objectives(self) -> tuple[Objective, ...]:
        """Return the objectives in the file's order, exact ones marked."""
        return tuple(
            objective(table, exact=is_exact(table.metric, self.costs)) for table in self.objectives
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
