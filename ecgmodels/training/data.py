"""What a trial is handed of a dataset, and what that must be for a model to learn from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ecgmodels.errors import ConfigError
from ecgmodels.loading.batches import Normalisation, Segments
from ecgmodels.metrics.challenges import Challenge
from ecgmodels.metrics.classification import metrics_of
from ecgmodels.metrics.scoring import Score, record_labels
from ecgmodels.models.base import ModelConfig


class _Dataset(Protocol):
    """What `TrainingData.of` reads of `ecgmodels.data.Dataset`."""

    @property
    def classes(self) -> Sequence[str]: ...
    @property
    def scored_classes(self) -> Sequence[str]: ...
    @property
    def features(self) -> Sequence[str]: ...
    @property
    def multi_label(self) -> bool: ...
    @property
    def score(self) -> Score: ...
    @property
    def rate_hz(self) -> float: ...
    @property
    def aligned(self) -> bool: ...
    @property
    def challenge(self) -> Challenge | None: ...
    def development(self, split: str = ...) -> tuple[Segments, Segments]: ...
    def normalisation(self, split: str) -> Normalisation: ...


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What a trial is handed: the development part of a dataset under one split."""

    train: Segments
    validation: Segments
    normalisation: Normalisation
    rate_hz: float
    """Sampling rate of the segments."""
    classes: tuple[str, ...]
    scored_classes: tuple[str, ...]
    features: tuple[str, ...] = ()
    """Names of the segments' features, in their order; the model's configuration picks."""
    multi_label: bool = False
    """Whether a segment may have several classes at once, or none."""
    score: Score = "segment"
    """What metrics count: segments, or records, by the mean or maximum of their segments'
    probabilities (see `ecgmodels.metrics.scoring`)."""
    aligned: bool = False
    """Whether segments are windows around beats, all with the beat at the same sample."""
    challenge: Challenge | None = None
    """The challenge whose score is a metric, too (see `ecgmodels.metrics.challenges`)."""

    @classmethod
    def of(cls, dataset: _Dataset, split: str = "fixed") -> TrainingData:
        """Return an opened dataset's development part."""
        train, validation = dataset.development(split)
        return cls(
            train=train,
            validation=validation,
            normalisation=dataset.normalisation(split),
            rate_hz=dataset.rate_hz,
            classes=tuple(dataset.classes),
            scored_classes=tuple(dataset.scored_classes),
            features=tuple(dataset.features),
            multi_label=dataset.multi_label,
            score=dataset.score,
            aligned=dataset.aligned,
            challenge=dataset.challenge,
        )

    @property
    def metric_names(self) -> frozenset[str]:
        """Return what an epoch measures and can be better or worse in."""
        classes = len(self.classes)
        label = np.zeros((1, classes) if self.multi_label else 1, np.int64)
        probabilities = np.full((1, classes), 1 / classes)
        metrics = self.metrics(label, probabilities)
        return frozenset((*metrics, "validation_loss", "train_loss"))

    def metrics(self, label: npt.NDArray[Any], probabilities: npt.NDArray[Any]) -> dict[str, float]:
        """Return `metrics_of` what is counted, segments or records, under these data's classes."""
        return metrics_of(
            label, probabilities, self.classes, self.scored_classes, challenge=self.challenge
        )

    def require_fit(self, config: ModelConfig) -> None:
        """Check that the model takes these segments.

        Raises:
            ConfigError: leads, samples or classes differ, a part is empty or not labelled as
                `multi_label` and `score` say, or a template is wanted of what has none.
        """
        for part, segments in (("train", self.train), ("validation", self.validation)):
            if len(segments.label) == 0:
                raise ConfigError(f"the {part} part is empty", hint="choose another split")
            leads, samples = segments.signal_uv.shape[1:]
            if (leads, samples) != (config.leads, config.samples):
                raise ConfigError(
                    f"the model takes {config.leads} x {config.samples} (leads x samples), "
                    f"the {part} segments have {leads} x {samples}",
                    hint=f"set leads to {leads} and samples to {samples}",
                )
            self._require_labels(part, np.asarray(segments.label))
        if self.score != "segment":
            record_labels(np.asarray(self.validation.label), np.asarray(self.validation.record))
        if len(self.classes) != config.classes:
            raise ConfigError(
                f"the model tells {config.classes} classes apart, the data have {self.classes}",
                hint=f"set classes to {len(self.classes)}",
            )

        if config.template and not self.aligned:
            raise ConfigError(
                "template needs aligned segments: a median beat is one of windows around beats",
                hint="leave out template, or prepare the data with segments = 'beats'",
            )

    def _require_labels(self, part: str, label: npt.NDArray[Any]) -> None:
        expected = (len(label), len(self.classes)) if self.multi_label else (len(label),)
        if label.shape != expected:
            raise ConfigError(
                f"the {part} labels have shape {list(label.shape)}, expected {list(expected)} "
                f"as multi_label is {self.multi_label}",
                hint="set multi_label to what the dataset's is",
            )
        unlabelled = 0 if self.multi_label else int((label < 0).sum())
        if unlabelled:
            raise ConfigError(
                f"{unlabelled:,} of {len(label):,} {part} segments are unlabelled",
                hint="prepare the data with a task that labels them; predict takes them as they "
                "are",
            )
