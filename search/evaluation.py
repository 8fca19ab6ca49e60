"""What a trained model does, class by class, on one part of a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ecgmodels import EfficientECG, classification_metrics, confusion_matrix, predict
from ecgmodels.data import Dataset, Normalisation, Segments


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Metrics and confusion matrix of one part."""

    part: str
    classes: tuple[str, ...]
    metrics: Mapping[str, float]
    confusion: tuple[tuple[int, ...], ...]
    """[true class][predicted class], segments."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "part": self.part,
            "classes": list(self.classes),
            "metrics": dict(self.metrics),
            "confusion": [list(row) for row in self.confusion],
        }

    def to_text(self) -> str:
        """Return a table: a row a class, then the means, then the confusion matrix."""
        lines = [
            f"{self.part} ({sum(map(sum, self.confusion)):,} segments)",
            f"  {'class':<8}{'segments':>10}{'sensitivity':>13}{'pos. pred.':>12}{'F1':>8}",
        ]
        for name, row in zip(self.classes, self.confusion, strict=True):
            values = [
                self.metrics[f"{metric}_{name}"]
                for metric in ("sensitivity", "positive_predictivity", "f1")
            ]
            lines.append(
                f"  {name:<8}{sum(row):>10,}{values[0]:>13.4f}{values[1]:>12.4f}{values[2]:>8.4f}"
            )
        means = ("mean_f1", "macro_f1", "balanced_accuracy", "accuracy", "macro_auc")
        lines.append("  " + "  ".join(f"{name} {self.metrics[name]:.4f}" for name in means))
        lines.append("  confusion (rows: true, columns: predicted)")
        lines.append("  " + " " * 8 + "".join(f"{name:>9}" for name in self.classes))
        for name, row in zip(self.classes, self.confusion, strict=True):
            lines.append(f"  {name:<8}" + "".join(f"{count:>9,}" for count in row))
        return "\n".join(lines)


def evaluate(
    model: EfficientECG,
    dataset: Dataset,
    segments: Segments,
    normalisation: Normalisation,
    *,
    part: str,
) -> Evaluation:
    """Predict every segment and compare with its label."""
    probabilities = predict(model, segments, normalisation, feature_names=dataset.features)
    metrics = classification_metrics(
        segments.label, probabilities, dataset.classes, dataset.scored_classes
    )
    confusion: Sequence[Sequence[int]] = confusion_matrix(segments.label, probabilities).tolist()
    return Evaluation(
        part=part,
        classes=dataset.classes,
        metrics=metrics,
        confusion=tuple(tuple(row) for row in confusion),
    )
