from __future__ import annotations

import math

import numpy as np
import pytest

from ecgmodels import ConfigError, classification_metrics, confusion_matrix

CLASSES = ("N", "S", "V", "Q")
# True N N N N S S V, predicted N N N S S V V; Q neither occurs nor is predicted.
LABELS = np.array([0, 0, 0, 0, 1, 1, 2])
PROBABILITIES = np.array(
    [
        [0.7, 0.1, 0.1, 0.1],
        [0.6, 0.2, 0.1, 0.1],
        [0.5, 0.3, 0.1, 0.1],
        [0.3, 0.4, 0.2, 0.1],
        [0.2, 0.6, 0.1, 0.1],
        [0.35, 0.05, 0.5, 0.1],
        [0.1, 0.1, 0.7, 0.1],
    ]
)


@pytest.fixture(scope="module")
def metrics() -> dict[str, float]:
    return classification_metrics(LABELS, PROBABILITIES, CLASSES, ("N", "S", "V"))


def test_the_confusion_matrix_has_true_classes_in_rows() -> None:
    assert confusion_matrix(LABELS, PROBABILITIES).tolist() == [
        [3, 1, 0, 0],
        [0, 1, 1, 0],
        [0, 0, 1, 0],
        [0, 0, 0, 0],
    ]


def test_each_class_has_sensitivity_and_positive_predictivity(metrics: dict[str, float]) -> None:
    assert metrics["sensitivity_N"] == 3 / 4
    assert metrics["positive_predictivity_N"] == 1
    assert metrics["sensitivity_S"] == metrics["positive_predictivity_S"] == 1 / 2
    assert metrics["sensitivity_V"] == 1
    assert metrics["positive_predictivity_V"] == 1 / 2


def test_f1_is_averaged_over_the_scored_classes(metrics: dict[str, float]) -> None:
    assert metrics["f1_N"] == pytest.approx(6 / 7)
    assert metrics["f1_S"] == pytest.approx(1 / 2)
    assert metrics["f1_V"] == pytest.approx(2 / 3)
    assert metrics["mean_f1"] == pytest.approx((6 / 7 + 1 / 2 + 2 / 3) / 3)
    assert metrics["macro_f1"] == pytest.approx((6 / 7 + 1 / 2 + 2 / 3) / 4)


def test_accuracies_are_over_segments_and_over_classes_that_occur(
    metrics: dict[str, float],
) -> None:
    assert metrics["accuracy"] == metrics["micro_f1"] == pytest.approx(5 / 7)
    assert metrics["balanced_accuracy"] == pytest.approx((3 / 4 + 1 / 2 + 1) / 3)


def test_auc_counts_pairs_in_order_and_skips_absent_classes(metrics: dict[str, float]) -> None:
    # N: the S with 0.35 outranks the N with 0.3, 11 of 12 pairs. S: 0.6 beats all five, 0.05 none.
    assert metrics["macro_auc"] == pytest.approx((11 / 12 + 5 / 10 + 6 / 6) / 3)


def test_a_class_that_neither_occurs_nor_is_predicted_scores_0(metrics: dict[str, float]) -> None:
    assert [metrics[f"{name}_Q"] for name in ("sensitivity", "positive_predictivity", "f1")] == [
        0
    ] * 3


def test_everything_is_finite_even_with_one_class() -> None:
    one = classification_metrics(np.zeros(3, int), PROBABILITIES[:3], CLASSES, ("S",))
    assert all(math.isfinite(value) and isinstance(value, float) for value in one.values())
    assert one["mean_f1"] == 0
    assert one["macro_auc"] == 0.5


def test_a_scored_class_must_be_a_class() -> None:
    with pytest.raises(ConfigError, match="'VEB' is not a class"):
        classification_metrics(LABELS, PROBABILITIES, CLASSES, ("VEB",))
    with pytest.raises(ConfigError, match="no class is scored"):
        classification_metrics(LABELS, PROBABILITIES, CLASSES, ())
