"""How well a classifier does, as a flat dictionary of finite numbers.

The predicted class is the most probable one over all classes. A ratio that is 0 / 0 (the
sensitivity to a class that does not occur, the positive predictivity of one never predicted) is 0.
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


def confusion_matrix(labels: Array, probabilities: Array) -> npt.NDArray[np.int64]:
    """Return counts int64 [true class, predicted class].

    Args:
        labels: int [segment].
        probabilities: float [segment, class].
    """
    classes = range(probabilities.shape[1])
    return sk.confusion_matrix(labels, probabilities.argmax(axis=1), labels=list(classes))


def classification_metrics(
    labels: Array, probabilities: Array, classes: Sequence[str], scored_classes: Sequence[str]
) -> dict[str, float]:
    """Return the metrics that searches and reports use.

    Args:
        labels: int [segment], indices into `classes`.
        probabilities: float [segment, class].
        classes: names, in the order of the probabilities.
        scored_classes: the ones that `mean_f1` averages over.

    Returns:
        mean_f1: mean F1 over the scored classes; macro_f1: over all classes.
        accuracy; balanced_accuracy: mean sensitivity over the classes that occur.
        macro_auc: mean one-against-rest area under the ROC curve over the classes that occur and
            are not alone; 0.5 if there is none.
        sensitivity_X, positive_predictivity_X, f1_X of every class X.

    Raises:
        ConfigError: a scored class is not a class, or there is none.
    """
    if not scored_classes:
        raise ConfigError("no class is scored", hint=f"name some of {', '.join(classes)}")
    for name in scored_classes:
        if name not in classes:
            raise ConfigError(
                f"scored class '{name}' is not a class", hint=nearest_hint(name, classes)
            )
    confusion = confusion_matrix(labels, probabilities)
    correct = confusion.diagonal()
    occurring, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    sensitivity = _ratio(correct, occurring)
    predictivity = _ratio(correct, predicted)
    f1 = _ratio(2 * correct, occurring + predicted)
    result = {
        "mean_f1": float(f1[[list(classes).index(name) for name in scored_classes]].mean()),
        "macro_f1": float(f1.mean()),
        "accuracy": float(correct.sum() / max(confusion.sum(), 1)),
        "balanced_accuracy": float(sensitivity[occurring > 0].mean()) if len(labels) else 0.0,
        "macro_auc": _macro_auc(labels, probabilities),
    }
    for index, name in enumerate(classes):
        result[f"sensitivity_{name}"] = float(sensitivity[index])
        result[f"positive_predictivity_{name}"] = float(predictivity[index])
        result[f"f1_{name}"] = float(f1[index])
    return result


def _macro_auc(labels: Array, probabilities: Array) -> float:
    areas = [
        sk.roc_auc_score(labels == index, probabilities[:, index])
        for index in np.unique(labels)
        if (labels != index).any()
    ]
    return float(np.mean(areas)) if areas else 0.5


def _ratio(part: Array, whole: Array) -> npt.NDArray[np.float64]:
    return part / np.maximum(whole, 1)
