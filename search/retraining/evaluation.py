"""What a trained model does, class by class, on one part of a dataset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from ecgmodels import ECGNetwork, confusion_matrix, predict
from ecgmodels.data import Dataset, Normalisation, Segments
from ecgmodels.export.onnx import example_inputs
from ecgmodels.inference.folding import folded
from ecgmodels.metrics.challenges import Challenge
from ecgmodels.metrics.classification import metrics_of
from ecgmodels.metrics.scoring import Score, scored
from ecgmodels.training.threads import fastest, step_seconds

_BATCH = 128
"""Segments that are answered to find out how many threads are fastest."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics of one part, and the confusion matrix where a segment has one class."""

    part: str
    classes: tuple[str, ...]
    score: Score
    """What is counted: segments, or records by the mean or maximum of their segments."""
    segments: int
    counted: int
    """Segments or records."""
    counts: tuple[int, ...]
    """[class]: so many of them have it."""
    metrics: Mapping[str, float]
    confusion: tuple[tuple[int, ...], ...] | None
    """[true class][predicted class], counted; None for multi-label."""
    challenge: Challenge | None = None
    """The challenge whose score is among the metrics."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "classes": list(self.classes),
            "score": self.score,
            "segments": self.segments,
            "counted": self.counted,
            "counts": dict(zip(self.classes, self.counts, strict=True)),
            "metrics": dict(self.metrics),
            **({"challenge": self.challenge} if self.challenge else {}),
            **({"confusion": [list(row) for row in self.confusion]} if self.confusion else {}),
        }

    def to_text(self) -> str:
        """Return a table: a row a class, then the means, then the confusion matrix if any."""
        lines = [f"{self.part} ({self._what_was_counted()})", *self._class_rows(), *self._means()]
        return "\n".join([*lines, *self._confusion_rows()])

    def _means(self) -> list[str]:
        """Return the means, and what they are over where that is not all classes."""
        means = ("mean_f1", "macro_f1", "micro_f1", "exact_match", "macro_auc")
        if self.confusion is not None:
            means = ("mean_f1", "macro_f1", "balanced_accuracy", "accuracy", "macro_auc")
        line = "  " + "  ".join(f"{name} {self.metrics[name]:.4f}" for name in means)
        line += f" over {self.metrics['auc_classes']:.0f} of {len(self.classes)} classes"
        lines = [line]
        occurring = round(self.metrics["occurring_classes"])
        if absent := len(self.classes) - occurring:
            lines.append(
                f"  {absent} of {len(self.classes)} classes not there, with an F1 of 0; over the "
                f"{occurring} that are, macro_f1_occurring "
                f"{self.metrics['macro_f1_occurring']:.4f}"
            )
        if self.challenge is not None:
            score = self.metrics["challenge_score"]
            lines.append(f"  challenge_score {score:.4f} (formula of {self.challenge})")
        return lines

    def _what_was_counted(self) -> str:
        if self.score == "segment":
            return f"{self.segments:,} segments"
        how = {"mean": "mean", "max": "maximum"}[self.score]
        return (
            f"{self.counted:,} records, each the {how} over its segments, {self.segments:,} in all"
        )

    def _class_rows(self) -> list[str]:
        width = max(8, *(len(name) + 1 for name in self.classes))
        unit = "segments" if self.score == "segment" else "records"
        columns = {"sensitivity": 13, "positive_predictivity": 12, "f1": 8}
        header = f"  {'class':<{width}}{unit:>10}{'sensitivity':>13}{'pos. pred.':>12}{'F1':>8}"
        if self.confusion is None:
            columns["auc"] = 8
            header += f"{'AUC':>8}"
        rows = [header]
        for name, count in zip(self.classes, self.counts, strict=True):
            cells = "".join(
                f"{self.metrics[f'{metric}_{name}']:>{cell}.4f}" for metric, cell in columns.items()
            )
            if self.confusion is None and not 0 < count < self.counted:
                cells = cells[:-8] + f"{'-':>8}"  # without both kinds there is no curve
            rows.append(f"  {name:<{width}}{count:>10,}{cells}")
        return rows

    def _confusion_rows(self) -> list[str]:
        if self.confusion is None:
            return []
        width = max(8, *(len(name) + 1 for name in self.classes))
        cell = max(9, width)
        rows = ["  confusion (rows: true, columns: predicted)"]
        rows.append("  " + " " * width + "".join(f"{name:>{cell}}" for name in self.classes))
        for name, row in zip(self.classes, self.confusion, strict=True):
            rows.append(f"  {name:<{width}}" + "".join(f"{count:>{cell},}" for count in row))
        return rows


def evaluate(
    model: ECGNetwork,
    dataset: Dataset,
    segments: Segments,
    normalisation: Normalisation,
    *,
    part: str,
) -> Evaluation:
    """Predict every segment and compare with its label, or that of the record it is part of.

    Raises:
        ConfigError: the dataset scores records, and the segments of one differ in their labels.
        TrainingError: a probability is not a finite number.
    """
    probabilities = predict(
        model,
        segments,
        normalisation,
        feature_names=dataset.features,
        multi_label=dataset.multi_label,
    )
    return evaluation_of(
        probabilities,
        segments.label,
        segments.record,
        part=part,
        classes=dataset.classes,
        scored_classes=dataset.scored_classes,
        score=dataset.score,
        challenge=dataset.challenge,
    )


def evaluation_threads(model: ECGNetwork, limit: int) -> int:
    """Measure how many CPU threads, up to `limit`, answer a batch of segments fastest.

    More threads than there are free cores wait for each other: where others compute too, an
    evaluation on all cores takes not a part of the time but many times as long.
    """
    if limit == 1:
        return 1
    network = folded(model)
    inputs = example_inputs(model.config, _BATCH, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        return fastest(step_seconds(lambda: network(*inputs), limit))


def evaluation_of(
    probabilities: npt.NDArray[np.float32],
    label: npt.NDArray[Any],
    record: npt.NDArray[np.int32],
    *,
    part: str,
    classes: tuple[str, ...],
    scored_classes: tuple[str, ...],
    score: Score,
    challenge: Challenge | None = None,
) -> Evaluation:
    """Compare probabilities with labels.

    Args:
        probabilities: float32 [segment, class].
        label: int64 [segment], or uint8 [segment, class].
        record: int32 [segment].
        challenge: add the score of this one.

    Raises:
        ConfigError: records are scored, and the segments of one differ in their labels; or a label
            is not a class's.
        TrainingError: a probability is not a finite number.
    """
    labels, scores = scored(label, probabilities, record, score)
    metrics = metrics_of(labels, scores, classes, scored_classes, challenge)
    confusion = None
    if labels.ndim == 1:
        counts = np.bincount(labels, minlength=len(classes))
        matrix: list[list[int]] = confusion_matrix(labels, scores).tolist()
        confusion = tuple(tuple(row) for row in matrix)
    else:
        counts = labels.sum(axis=0, dtype=np.int64)
    return Evaluation(
        part=part,
        classes=classes,
        score=score,
        segments=len(probabilities),
        counted=len(labels),
        counts=tuple(counts.tolist()),
        metrics=metrics,
        confusion=confusion,
        challenge=challenge,
    )
