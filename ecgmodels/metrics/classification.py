"""How well a classifier does, as a flat dictionary of finite numbers.

A ratio that is 0 / 0 (the sensitivity to a class that does not occur, the positive predictivity of
one never predicted, the F1 of one that is neither) is 0, and enters the means as 0: models that are
compared on the same labels have the same classes against them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError

Array = npt.NDArray[Any]

THRESHOLD = 0.5
"""A class of several is predicted from this probability on."""


def confusion_matrix(labels: Array, probabilities: Array) -> npt.NDArray[np.int64]:
    """Return counts int64 [true class, predicted class]; predicted is the most probable one.

    Args:
        labels: int [segment].
        probabilities: float [segment, class].
    """
    classes = range(probabilities.shape[1])
    return sk.confusion_matrix(labels, probabilities.argmax(axis=1), labels=list(classes))


def classification_metrics(
    labels: Array, probabilities: Array, classes: Sequence[str], scored_classes: Sequence[str]
) -> dict[str, float]:
    """Return the metrics that searches and reports use, where a segment has one class.

    The predicted class is the most probable one over all classes.

    Args:
        labels: int [segment], indices into `classes`. (Or of records, like the probabilities.)
        probabilities: float [segment, class].
        classes: names, in the order of the probabilities.
        scored_classes: the ones that `mean_f1` averages over.

    Returns:
        mean_f1: mean F1 over the scored classes; macro_f1: over all classes.
        micro_f1: F1 of the decisions about all classes together, which here is the accuracy.
        accuracy; balanced_accuracy: mean sensitivity over the classes that occur.
        macro_auc: mean one-against-rest area under the ROC curve over the classes that occur and
            are not alone; 0.5 if there is none.
        sensitivity_X, positive_predictivity_X, f1_X of every class X.

    Raises:
        ConfigError: a scored class is not a class, or there is none.
    """
    _require_scored(classes, scored_classes)
    confusion = confusion_matrix(labels, probabilities)
    correct = confusion.diagonal()
    occurring, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    sensitivity = _ratio(correct, occurring)
    accuracy = float(correct.sum() / max(confusion.sum(), 1))
    areas = _areas(np.asarray(labels)[:, None] == np.arange(len(classes)), probabilities)
    return {
        **_f1_means(correct, occurring, predicted, classes, scored_classes),
        "micro_f1": accuracy,
        "accuracy": accuracy,
        "balanced_accuracy": float(sensitivity[occurring > 0].mean()) if len(labels) else 0.0,
        "macro_auc": float(np.mean(list(areas.values()))) if areas else 0.5,
        **_of_each_class(correct, occurring, predicted, classes),
    }


def multi_label_metrics(
    labels: Array, probabilities: Array, classes: Sequence[str], scored_classes: Sequence[str]
) -> dict[str, float]:
    """Return the metrics that searches and reports use, where a segment may have several classes.

    A class is predicted where its probability is at least `THRESHOLD`.

    Args:
        labels: 0 or 1 [segment, class]. (Or of records, like the probabilities.)
        probabilities: float [segment, class].
        classes: names, in the order of the probabilities.
        scored_classes: the ones that `mean_f1` averages over.

    Returns:
        mean_f1: mean F1 over the scored classes; macro_f1: over all classes. A class that no
            segment has enters with 0, whatever is predicted.
        micro_f1: F1 of the decisions about all classes together.
        exact_match: share of segments for which every class is right.
        macro_auc: mean area under the ROC curve over the classes that some segments have and others
            have not; 0.5 if there is none. auc_classes: how many they are.
        sensitivity_X, positive_predictivity_X, f1_X, auc_X of every class X (auc_X is 0.5 of a
            class that all segments have, or none).

    Raises:
        ConfigError: a scored class is not a class, or there is none.
    """
    _require_scored(classes, scored_classes)
    has = np.asarray(labels).astype(bool)
    predicted = np.asarray(probabilities) >= THRESHOLD
    correct = (has & predicted).sum(axis=0)
    having, claimed = has.sum(axis=0), predicted.sum(axis=0)
    areas = _areas(has, probabilities)
    return {
        **_f1_means(correct, having, claimed, classes, scored_classes),
        "micro_f1": float(_ratio(2 * correct.sum(), having.sum() + claimed.sum())),
        "exact_match": float((has == predicted).all(axis=1).mean()) if len(has) else 0.0,
        "macro_auc": float(np.mean(list(areas.values()))) if areas else 0.5,
        "auc_classes": float(len(areas)),
        **_of_each_class(correct, having, claimed, classes),
        **{f"auc_{name}": areas.get(index, 0.5) for index, name in enumerate(classes)},
    }


def metrics_of(
    labels: Array, probabilities: Array, classes: Sequence[str], scored_classes: Sequence[str]
) -> dict[str, float]:
    """Return `classification_metrics`, or `multi_label_metrics` of labels [segment, class]."""
    metrics = multi_label_metrics if np.ndim(labels) == 2 else classification_metrics
    return metrics(labels, probabilities, classes, scored_classes)


def _require_scored(classes: Sequence[str], scored_classes: Sequence[str]) -> None:
    if not scored_classes:
        raise ConfigError("no class is scored", hint=f"name some of {', '.join(classes)}")
    for name in scored_classes:
        if name not in classes:
            raise ConfigError(
                f"scored class '{name}' is not a class", hint=nearest_hint(name, classes)
            )


def _f1_means(
    correct: Array,
    occurring: Array,
    predicted: Array,
    classes: Sequence[str],
    scored_classes: Sequence[str],
) -> dict[str, float]:
    f1 = _ratio(2 * correct, occurring + predicted)
    scored = [list(classes).index(name) for name in scored_classes]
    return {"mean_f1": float(f1[scored].mean()), "macro_f1": float(f1.mean())}


def _of_each_class(
    correct: Array, occurring: Array, predicted: Array, classes: Sequence[str]
) -> dict[str, float]:
    columns = {
        "sensitivity": _ratio(correct, occurring),
        "positive_predictivity": _ratio(correct, predicted),
        "f1": _ratio(2 * correct, occurring + predicted),
    }
    return {
        f"{metric}_{name}": float(values[index])
        for index, name in enumerate(classes)
        for metric, values in columns.items()
    }


def _areas(has: Array, probabilities: Array) -> dict[int, float]:
    """Return the area under the ROC curve of each class that some have and others have not."""
    counts = has.sum(axis=0)
    return {
        int(index): float(sk.roc_auc_score(has[:, index], probabilities[:, index]))
        for index in np.flatnonzero((counts > 0) & (counts < len(has)))
    }


def _ratio(part: Array, whole: Array) -> npt.NDArray[np.float64]:
    return part / np.maximum(whole, 1)
