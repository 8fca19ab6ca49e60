"""How well a classifier does, as a flat dictionary of finite numbers.

A ratio that is 0 / 0 (the sensitivity to a class that does not occur, the positive predictivity of
one never predicted, the F1 of one that is neither) is 0. `mean_f1` and `macro_f1` are over classes
that are agreed on beforehand, and such a 0 enters them: models that are compared on the same labels
have the same classes against them. The other means are over the classes for which their ratio
exists, and how many those are stands beside every mean:

    mean_f1                               over the scored classes; occurring_scored_classes of them
                                          occur
    macro_f1                              over all classes; occurring_classes of them occur
    macro_f1_occurring, macro_sensitivity over the occurring_classes
    macro_positive_predictivity           over the predicted_classes
    macro_auc                             over the auc_classes: some segments have them, others not
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn import metrics as sk

from ecgmodels.configs import nearest_hint
from ecgmodels.errors import ConfigError, TrainingError
from ecgmodels.metrics.challenges import Challenge, Decisions, challenge_score

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
        mean_f1: mean F1 over the scored classes; macro_f1: over all classes; macro_f1_occurring:
            over the classes that occur.
        micro_f1: F1 of the decisions about all classes together, which here is the accuracy.
        accuracy; balanced_accuracy and macro_sensitivity, which are one here: mean sensitivity over
            the classes that occur.
        macro_positive_predictivity: over the classes that are predicted.
        macro_auc: mean one-against-rest area under the ROC curve over the classes that occur and
            are not alone; 0.5 if there is none.
        occurring_classes, occurring_scored_classes, predicted_classes, auc_classes: how many
            classes a mean is over (see the module).
        sensitivity_X, positive_predictivity_X, f1_X of every class X.

    Raises:
        ConfigError: a scored class is not a class, there is none, or a label is not a class's.
        TrainingError: a probability is not a finite number.
    """
    has, given = decisions(labels, probabilities, classes)
    accuracy = float((has & given).sum() / max(len(has), 1))
    means = _means(has, given, _areas(has, probabilities), classes, scored_classes)
    return {
        **means,
        "micro_f1": accuracy,
        "accuracy": accuracy,
        "balanced_accuracy": means["macro_sensitivity"],
        **_of_each_class(has, given, classes),
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
            segment has enters with 0, whatever is predicted. macro_f1_occurring: over the classes
            that some segment has.
        micro_f1: F1 of the decisions about all classes together.
        exact_match: share of segments for which every class is right.
        macro_sensitivity: over the classes that some segment has; macro_positive_predictivity: over
            the classes that are predicted of some.
        macro_auc: mean area under the ROC curve over the classes that some segments have and others
            have not; 0.5 if there is none.
        occurring_classes, occurring_scored_classes, predicted_classes, auc_classes: how many
            classes a mean is over (see the module).
        sensitivity_X, positive_predictivity_X, f1_X, auc_X of every class X (auc_X is 0.5 of a
            class that all segments have, or none).

    Raises:
        ConfigError: a scored class is not a class, or there is none.
        TrainingError: a probability is not a finite number.
    """
    has, given = decisions(labels, probabilities, classes)
    areas = _areas(has, probabilities)
    return {
        **_means(has, given, areas, classes, scored_classes),
        "micro_f1": float(_ratio(2 * (has & given).sum(), has.sum() + given.sum())),
        "exact_match": float((has == given).all(axis=1).mean()) if len(has) else 0.0,
        **_of_each_class(has, given, classes),
        **{f"auc_{name}": areas.get(index, 0.5) for index, name in enumerate(classes)},
    }


def metrics_of(
    labels: Array,
    probabilities: Array,
    classes: Sequence[str],
    scored_classes: Sequence[str],
    challenge: Challenge | None = None,
) -> dict[str, float]:
    """Return `classification_metrics`, or `multi_label_metrics` of labels [segment, class].

    Args:
        challenge: adds its score as "challenge_score" (see `ecgmodels.metrics.challenges`), of the
            same decisions as the other metrics.

    Raises:
        ConfigError: as those functions do; or the challenge's classes are not all there.
        TrainingError: a probability is not a finite number.
    """
    metrics = multi_label_metrics if np.ndim(labels) == 2 else classification_metrics
    found = metrics(labels, probabilities, classes, scored_classes)
    if challenge is not None:
        given = decisions(labels, probabilities, classes)
        found["challenge_score"] = challenge_score(*given, classes, challenge)
    return found


def decisions(
    labels: Array, probabilities: Array, classes: Sequence[str]
) -> tuple[Decisions, Decisions]:
    """Return which classes each segment has, and which it is given: bool [segment, class] each.

    Args:
        labels: int [segment]: then the most probable class is given; or 0 or 1 [segment, class]:
            then those of `THRESHOLD` and above are.
        probabilities: float [segment, class].
        classes: names, in the order of the probabilities.

    Raises:
        ConfigError: a label is not a class's.
        TrainingError: a probability is not a finite number.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    _require_finite(probabilities, classes)
    if labels.ndim == 2:
        return labels.astype(bool), probabilities >= THRESHOLD
    outside = np.flatnonzero((labels < 0) | (labels >= len(classes)))
    if len(outside):
        raise ConfigError(
            f"label {labels[outside[0]]} of number {outside[0]} is not an index of one of the "
            f"{len(classes)} classes",
            hint="metrics are of labelled segments; -1 is an unlabelled one",
        )
    numbers = np.arange(len(classes))
    return labels[:, None] == numbers, probabilities.argmax(axis=1)[:, None] == numbers


def _require_finite(probabilities: Array, classes: Sequence[str]) -> None:
    broken = ~np.isfinite(probabilities)
    if not broken.any():
        return
    names = [classes[column] for column in np.flatnonzero(broken.any(axis=0)).tolist()]
    where = np.flatnonzero(broken.any(axis=1))
    raise TrainingError(
        f"{len(where):,} of {len(probabilities):,} answers have probabilities that are not finite, "
        f"number {where[0]} first: of class {', '.join(names)}",
        hint="the model has diverged, or a feature is not finite: lower learning_rate, set "
        "gradient_clip, or look at the inputs",
    )


def _require_scored(classes: Sequence[str], scored_classes: Sequence[str]) -> None:
    if not scored_classes:
        raise ConfigError("no class is scored", hint=f"name some of {', '.join(classes)}")
    for name in scored_classes:
        if name not in classes:
            raise ConfigError(
                f"scored class '{name}' is not a class", hint=nearest_hint(name, classes)
            )


def _means(
    has: Decisions,
    given: Decisions,
    areas: dict[int, float],
    classes: Sequence[str],
    scored_classes: Sequence[str],
) -> dict[str, float]:
    """Return the means over classes, and over how many classes each of them is."""
    _require_scored(classes, scored_classes)
    scored = [list(classes).index(name) for name in scored_classes]
    correct, having, predicted = _counts(has, given)
    f1 = _ratio(2 * correct, having + predicted)
    occurs, claimed = having > 0, predicted > 0
    return {
        "mean_f1": float(f1[scored].mean()),
        "macro_f1": float(f1.mean()),
        "macro_f1_occurring": _mean(f1[occurs]),
        "macro_sensitivity": _mean(_ratio(correct, having)[occurs]),
        "macro_positive_predictivity": _mean(_ratio(correct, predicted)[claimed]),
        "macro_auc": float(np.mean(list(areas.values()))) if areas else 0.5,
        "occurring_classes": float(occurs.sum()),
        "occurring_scored_classes": float(occurs[scored].sum()),
        "predicted_classes": float(claimed.sum()),
        "auc_classes": float(len(areas)),
    }


def _of_each_class(has: Decisions, given: Decisions, classes: Sequence[str]) -> dict[str, float]:
    correct, having, predicted = _counts(has, given)
    columns = {
        "sensitivity": _ratio(correct, having),
        "positive_predictivity": _ratio(correct, predicted),
        "f1": _ratio(2 * correct, having + predicted),
    }
    return {
        f"{metric}_{name}": float(values[index])
        for index, name in enumerate(classes)
        for metric, values in columns.items()
    }


def _counts(has: Decisions, given: Decisions) -> tuple[Array, Array, Array]:
    """Return int64 [class]: segments given a class rightly, having it, and being given it."""
    return (has & given).sum(axis=0), has.sum(axis=0), given.sum(axis=0)


def _areas(has: Decisions, probabilities: Array) -> dict[int, float]:
    """Return the area under the ROC curve of each class that some have and others have not."""
    counts = has.sum(axis=0)
    return {
        int(index): float(sk.roc_auc_score(has[:, index], probabilities[:, index]))
        for index in np.flatnonzero((counts > 0) & (counts < len(has)))
    }


def _ratio(part: Array, whole: Array) -> npt.NDArray[np.float64]:
    return part / np.maximum(whole, 1)


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else 0.0
