"""The tables of a study file: what each key means, its default and its limits.

Every table is frozen and refuses keys that it does not have. A setting that has no effect beside
the others is refused too, rather than silently ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from search.objectives import Bound, Objective
from search.study_file.errors import refusal


class Table(BaseModel):
    """A frozen table of a study file; strict: "9" is not 9, and true is not 1."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class SpaceTable(Table):
    """`[space]`: what is searched."""

    name: str = Field(default="efficientecg", min_length=1)
    """A space that comes along, or "module:Class" for one of your own."""

    ranges: dict[str, JsonValue] = Field(default_factory=dict)
    """`[space.ranges]`: parameter -> bounds, options or a fixed value; the space checks them."""


class ObjectiveTable(Table):
    """`[[objectives]]`: one axis of the front."""

    metric: str = Field(min_length=1, examples=["mean_f1"])
    direction: Literal["max", "min"] = Field(examples=["max"])
    exact: bool = False
    """The value is a cost, known without training. Implied for the costs of EfficientECG."""


class BoundTable(Table):
    """`[bounds.COST]`: limits, both included, that a candidate has to keep to be trained."""

    min: float | None = None
    max: float | None = None

    @model_validator(mode="after")
    def _some_limit(self) -> Self:
        if self.min is None and self.max is None:
            raise refusal("has neither min nor max", "give it min, max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise refusal(f"min {self.min:g} is above max {self.max:g}", "swap them")
        return self


class BudgetTable(Table):
    """`[budget]`: how much is tried. Whatever limit is reached first ends the search; all of them,
    and so all but `epochs`, may change when a study goes on."""

    candidates: int | None = Field(default=None, ge=1, examples=[24])
    """Candidates to try; proposals turned down before training do not count. Without any other
    limit, 24."""

    epochs: int = Field(default=9, ge=1)
    """Length of a full training."""

    total_epochs: int | None = Field(default=None, ge=1, examples=[500])
    """Epochs of all candidates together."""

    gpu_hours: float | None = Field(default=None, gt=0.0, examples=[2.0])
    """Hours of GPUs that candidates occupy, all together; half a GPU for two hours is one."""

    worker_hours: float | None = Field(default=None, gt=0.0, examples=[2.0])
    """Hours of workers that candidates occupy, all together."""

    hours: float | None = Field(default=None, gt=0.0, examples=[2.0])
    """Hours of searching by the clock on the wall, all runs together."""

    min_gain_per_hour: float | None = Field(default=None, gt=0.0, examples=[0.01])
    """The least by which the front's hypervolume has to grow lately, as a part of itself, per
    GPU-hour (per worker-hour where no GPU is used)."""

    @model_validator(mode="before")
    @classmethod
    def _some_limit(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and all(
            values.get(name) is None for name in cls.model_fields if name != "epochs"
        ):
            return {**values, "candidates": 24}
        return values


class SamplerTable(Table):
    """`[sampler]`: who proposes."""

    name: Literal["front", "tpe", "nsga2", "nsga3", "gp", "random"] = "front"

    startup: int = Field(default=10, ge=1)
    """Proposals before the sampler learns from results; population of NSGA-II and NSGA-III."""

    @model_validator(mode="after")
    def _startup_has_effect(self) -> Self:
        if self.name == "random":
            refuse_without_effect(self, ("startup",), "sampler 'random' never learns")
        return self


class HalvingTable(Table):
    """`[halving]`: which candidates train on."""

    name: Literal["pareto", "none"] = "pareto"

    eta: int = Field(default=3, ge=2)
    """About one in `eta` goes on from each rung; each rung is `eta` times as long as the last."""

    first_rung: int = Field(default=1, ge=1)
    """Epoch of the first comparison."""

    min_results: int = Field(default=3, ge=1)
    """A rung with fewer results stops nothing that is not dominated in it."""

    finish_front: bool = True
    """In the end, train what stands on the front to full length."""

    @model_validator(mode="after")
    def _options_have_effect(self) -> Self:
        if self.name == "none":
            refuse_without_effect(
                self,
                ("eta", "first_rung", "min_results", "finish_front"),
                "halving 'none' trains all in full",
            )
        return self


class OptimismTable(Table):
    """`[optimism]`: who is stopped on the way because the front is out of reach."""

    enabled: bool = True

    min_curves: int = Field(default=5, ge=1)
    """So many learning curves have to be known from an epoch on before anybody is stopped there."""

    audit_share: float = Field(default=0.1, ge=0.0, le=1.0)
    """The share that is let through, so that the report can say how often the rule is wrong."""

    @model_validator(mode="after")
    def _options_have_effect(self) -> Self:
        if not self.enabled:
            refuse_without_effect(self, ("min_curves", "audit_share"), "optimism is not enabled")
        return self


class WideTable(Table):
    """`[trials.wide]`: larger models get more workers."""

    above_parameters: int = Field(ge=0, examples=[300_000])
    workers: int = Field(ge=2, examples=[2])


class TrialsTable(Table):
    """`[trials]`: what one trial occupies."""

    workers: int = Field(default=1, ge=1)
    """Data-parallel workers."""

    cpus: int = Field(default=1, ge=1)
    """CPU cores of each worker."""

    gpus: float = Field(default=0.0, ge=0.0)
    """GPUs of each worker: a whole number, or for one worker a fraction to share one. (The workers
    of `wide` have whole ones.)"""

    wide: WideTable | None = None

    @model_validator(mode="after")
    def _can_be_leased(self) -> Self:
        if self.gpus > 1.0 and self.gpus % 1.0:
            raise refusal(
                f"gpus is {self.gpus:g}: Ray shares one GPU, not several",
                "give a fraction below 1, or a whole number",
            )
        if 0.0 < self.gpus < 1.0 and self.workers > 1:
            raise refusal(
                f"gpus is {self.gpus:g} and workers {self.workers}: Ray may put several workers on "
                "one GPU, where nccl refuses to connect them",
                "give each worker a whole GPU, or each trial one worker",
            )
        if self.wide is not None and self.wide.workers <= self.workers:
            raise refusal(
                f"wide.workers is {self.wide.workers}, no more than workers, {self.workers}",
                "raise wide.workers, or leave out [trials.wide]",
            )
        return self


class LatencyTable(Table):
    """`[latency]`: measure each candidate's latency, once, as one more of its costs."""

    name: str = Field(min_length=1, examples=["my-laptop"])
    """What you call the machine that measures, which is the one that drives the search."""

    device: Literal["cpu", "cuda"] = "cpu"

    runtime: Literal["onnx", "torch"] = "onnx"
    """The exported network in onnxruntime, or the torch module."""

    threads: int = Field(default=1, ge=1)
    """Of the CPU."""

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        if self.device == "cuda":
            refuse_without_effect(self, ("threads",), "the network runs on a GPU")
            if self.runtime == "onnx":
                raise refusal(
                    "runtime 'onnx' runs on the CPU", 'set runtime = "torch", or device = "cpu"'
                )
        return self


class ProblemTable(Table):
    """`[problem]`: search something of your own instead of EfficientECG."""

    path: str = Field(min_length=1, examples=["my_module:MyProblem"])
    """Import path of a class that follows `search.problem.Problem`."""

    arguments: dict[str, JsonValue] = Field(default_factory=dict)
    """Keyword arguments of the class."""

    @model_validator(mode="after")
    def _path_names_a_class(self) -> Self:
        module, colon, name = self.path.partition(":")
        if not (module and colon and name):
            raise refusal(
                f"path '{self.path}' does not name a class of a module",
                'write "module:Class", such as "my_module:MyProblem"',
            )
        return self


class WarmStartTable(Table):
    """`[[warm_start]]`: an earlier study to learn from."""

    study: str = Field(min_length=1, examples=["studies/other"])
    """Its folder, which is only read, and only until this study has begun."""

    use: Literal["prior", "import"] = "prior"
    """"prior": its front is tried first, and the sampler `front` goes by what it let expect.
    "import": its results are this study's, too."""

    ranges: tuple[str, ...] = Field(default=(), strict=False)
    """Of a problem of your own: the arguments that set ranges, and so may differ for an import."""

    @model_validator(mode="after")
    def _ranges_have_effect(self) -> Self:
        if self.use == "prior":
            refuse_without_effect(self, ("ranges",), "a prior may be of any space")
        return self


class StorageTable(Table):
    """`[storage]`: where the Optuna study lives."""

    url: str = ""
    """Empty for a journal file in the study's folder, or a database, such as postgresql://..."""


def objective(table: ObjectiveTable, *, exact: bool) -> Objective:
    """Return the table as the search uses it; `exact` when the table or the problem says so."""
    return Objective(table.metric, table.direction, exact=exact or table.exact)


def bound(name: str, table: BoundTable) -> Bound:
    """Return `[bounds.NAME]` as the search uses it."""
    return Bound(name, table.min, table.max)


def refuse_without_effect(table: Table, keys: tuple[str, ...], because: str) -> None:
    """Refuse the first of `keys` that is not at its default: beside the others it does nothing."""
    for key in keys:
        if has_changed(table, key):
            raise refusal(f"{key} has no effect: {because}", f"leave out {key}")


def has_changed(table: Table, key: str) -> bool:
    """Return whether the key differs from its default."""
    default: Any = type(table).model_fields[key].get_default(call_default_factory=True)
    return bool(getattr(table, key) != default)
