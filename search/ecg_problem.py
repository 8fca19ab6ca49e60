"""The problem that ecgsearch exists for: EfficientECG networks on a prepared dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cluster.resources import Resources
from ecgmodels import TrainingConfig, cost
from ecgmodels.configs import nearest_hint
from ecgmodels.data import Dataset, open_dataset
from ecgmodels.errors import ECGModelsError
from search.errors import StudyError
from search.latency import LATENCY_COST, LatencyMeter, LatencySettings
from search.problem import Context, ProblemSpec
from search.study_file.measures import CLASS_METRICS, ONE_CLASS_ONLY, SEVERAL_CLASSES_ONLY
from search.study_file.reading import StudyFile
from spaces import Candidate, CandidateRefused, DataShape, Trial, build_space

if TYPE_CHECKING:
    from ecgmodels.training.fitting import Epoch, TrainingData

PATH = "search.ecg_problem:ECGProblem"


class ECGProblem:
    """Candidates from a space, trained on the development part of a dataset.

    Opening it reads the manifest; segments are read and their checksums verified when the first
    candidate learns in a process, and kept for those that follow.
    """

    def __init__(
        self,
        *,
        dataset: str,
        dataset_hash: str,
        split: str,
        space: str,
        ranges: Mapping[str, Any],
        training: Mapping[str, Any],
        workers: int = 1,
        cpus: float = 1.0,
        gpus: float = 0.0,
        wide_above_parameters: int | None = None,
        wide_workers: int = 1,
        latency: Mapping[str, Any] | None = None,
    ) -> None:
        """Open the problem on this node.

        Args:
            dataset: absolute path, the same on every node, or an address (s3://bucket/folder).
            dataset_hash: `Dataset.hash` when the study began.
            training: fields of `TrainingConfig` that candidates share, `epochs` among them.
            workers, cpus, gpus: what a trial occupies; the last two are of each worker. Where wide
                trials have several workers, each has whole GPUs.
            wide_above_parameters: models above this size get `wide_workers` workers.
            latency: fields of `LatencySettings`, where latency is one of the costs.

        Raises:
            StudyError: the dataset is not the one that the study began with.
            ECGModelsError: dataset, split, space or training settings cannot be used.
        """
        self.dataset = open_dataset(dataset)
        if self.dataset.hash != dataset_hash:
            raise StudyError(
                f"{dataset} is not the dataset that the study began with "
                f"(hash {self.dataset.hash[:12]}, expected {dataset_hash[:12]})",
                hint="prepare the data again with the first options, or start a new study",
            )
        self.split = split
        self.dataset.normalisation(split)  # names a split that is not there before anything starts
        self.space = build_space(space, data_shape(self.dataset), training, ranges)
        self._shape = Resources(workers=workers, cpus=cpus, gpus=gpus)
        self._wide_above = wide_above_parameters
        # nccl connects no two workers on one card.
        self._wide_shape = Resources(workers=wide_workers, cpus=cpus, gpus=math.ceil(gpus))
        self.latency = LatencyMeter(LatencySettings.from_dict(latency)) if latency else None

    def shapes(self) -> tuple[Resources, ...]:
        """Return every shape that a trial of this problem can have."""
        return (self._shape,) if self._wide_above is None else (self._shape, self._wide_shape)

    def suggest(self, trial: Trial) -> Candidate:
        return self.space.suggest(trial)

    def cost(self, candidate: Candidate) -> Mapping[str, float]:
        return cost(candidate.model)

    def measured_costs(self) -> tuple[str, ...]:
        """Return the names of the costs that are measured."""
        return (LATENCY_COST,) if self.latency is not None else ()

    def measure(self, candidate: Candidate) -> Mapping[str, float]:
        """Return the candidate's latency on this machine, if that is one of the costs.

        Raises:
            CandidateRefused: the network cannot be exported.
        """
        if self.latency is None:
            return {}
        try:
            return {LATENCY_COST: self.latency.latency_ms(candidate.model)}
        except ECGModelsError as error:
            raise CandidateRefused(str(error), hint=error.hint) from error

    def key(self, candidate: Candidate) -> str:
        return candidate.key(self.dataset.hash)

    def resources(self, candidate: Candidate) -> Resources:
        if self._wide_above is None or cost(candidate.model)["parameters"] <= self._wide_above:
            return self._shape
        return self._wide_shape

    def learn(self, candidate: Candidate, context: Context) -> Iterator[Epoch]:
        from ecgmodels.training.fitting import fit

        return fit(
            candidate.model,
            candidate.training,
            self.data,
            seed=context.seed,
            max_epochs=context.max_epochs,
            checkpoint=context.checkpoint,
            rank=context.rank,
            world_size=context.world_size,
            device=context.device,
            threads="measure",
            threads_limit=context.threads,
            batch_parts=context.batch_parts,
        )

    @cached_property
    def data(self) -> TrainingData:
        """The train and validation parts under the study's split."""
        from ecgmodels.training.fitting import TrainingData

        return TrainingData.of(self.dataset, self.split)


def require_measured(study_file: StudyFile, dataset: Dataset) -> None:
    """Check that training on the dataset measures each objective, and what early stop looks at.

    Raises:
        StudyError: a metric is of the other kind of labels, of a class that is not there, or the
            score of a challenge that the dataset is not of.
    """
    for table in study_file.objectives:
        _require_measured("objectives", table.metric, dataset)
    training = TrainingConfig.from_dict({**study_file.training, "epochs": study_file.budget.epochs})
    if training.early_stop_epochs is not None:
        _require_measured("training.early_stop_metric", training.early_stop_metric, dataset)


def _require_measured(key: str, metric: str, dataset: Dataset) -> None:
    others = ONE_CLASS_ONLY if dataset.multi_label else SEVERAL_CLASSES_ONLY
    kind = "several classes" if dataset.multi_label else "one class"
    if metric.startswith(others):
        raise StudyError(
            f"{key}: '{metric}' is not measured on {dataset.location}, whose segments have {kind}",
            hint="mean_f1, macro_f1, micro_f1 and macro_auc are measured on every dataset",
        )
    if metric == "challenge_score" and dataset.challenge is None:
        raise StudyError(
            f"{key}: 'challenge_score' is not measured on {dataset.location}, which is "
            "not scored as a PhysioNet/CinC Challenge was",
            hint="prepare cinc2017, or cinc2020 with any of its tasks, with all classes and "
            "score mean or max; or take mean_f1",
        )
    prefix = next((prefix for prefix in CLASS_METRICS if metric.startswith(prefix)), None)
    if prefix is not None and metric.removeprefix(prefix) not in dataset.classes:
        raise StudyError(
            f"{key}: '{metric}' names no class of {dataset.location}",
            hint=nearest_hint(metric, [prefix + name for name in dataset.classes]),
        )


def data_shape(dataset: Dataset) -> DataShape:
    """Return what a space has to know of the dataset."""
    return DataShape(
        leads=len(dataset.leads),
        samples=dataset.samples,
        classes=len(dataset.classes),
        features=dataset.features,
        rate_hz=dataset.rate_hz,
        aligned=dataset.aligned,
    )


def ecg_problem_spec(dataset: Dataset, **settings: Any) -> ProblemSpec:
    """Describe an `ECGProblem` on an opened dataset, for sending to workers."""
    return ProblemSpec(
        path=PATH,
        arguments={"dataset": dataset.location, "dataset_hash": dataset.hash, **settings},
    )
