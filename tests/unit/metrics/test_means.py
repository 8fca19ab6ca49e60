"""Means over classes: what scikit-learn says they are, over how many classes, never NaN."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk
from sklearn.exceptions import UndefinedMetricWarning

from ecgmodels import ConfigError, TrainingError, classification_metrics, multi_label_metrics
from ecgmodels.metrics.classification import metrics_of

CLASSES = ("N", "S", "V", "F", "Q")
SCORED = ("N", "S", "V")
COUNTS = ("occurring_classes", "occurring_scored_classes", "predicted_classes", "auc_classes")


def one_class(segments: int, occurring: int, seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    return random.integers(occurring, size=segments), random.dirichlet(np.ones(5), segments)


def several(segments: int, share: float, seed: int) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    labels = (random.random((segments, 5)) < share).astype(np.uint8)
    return labels, random.random((segments, 5))


def mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else 0.0


def assert_as_scikit_learn(found: dict[str, float], has: Any, given: Any) -> None:
    """Compare with 0 or 1 [segment, class], once a class and once over them."""
    # A class that no segment has comes with a warning, and without it in the means over those.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        precision, recall, f1, support = sk.precision_recall_fscore_support(
            has, given, average=None, zero_division=0
        )
        micro = sk.f1_score(has, given, average="micro", zero_division=0)
        macro = sk.f1_score(has, given, average="macro", zero_division=0)
    for index, name in enumerate(CLASSES):
        assert found[f"positive_predictivity_{name}"] == pytest.approx(precision[index])
        assert found[f"sensitivity_{name}"] == pytest.approx(recall[index])
        assert found[f"f1_{name}"] == pytest.approx(f1[index])
    assert found["micro_f1"] == pytest.approx(micro)
    assert found["macro_f1"] == pytest.approx(macro)
    assert found["mean_f1"] == pytest.approx(f1[:3].mean())
    occurs, claimed = support > 0, given.sum(axis=0) > 0
    assert found["macro_f1_occurring"] == pytest.approx(mean(f1[occurs]))
    assert found["macro_sensitivity"] == pytest.approx(mean(recall[occurs]))
    assert found["macro_positive_predictivity"] == pytest.approx(mean(precision[claimed]))
    assert found["occurring_classes"] == occurs.sum()
    assert found["occurring_scored_classes"] == occurs[:3].sum()
    assert found["predicted_classes"] == claimed.sum()


@settings(deadline=None)
@given(segments=st.integers(1, 40), occurring=st.integers(1, 5), seed=st.integers(0, 999))
def test_one_class_a_segment_is_measured_as_scikit_learn_measures_it(
    segments: int, occurring: int, seed: int
) -> None:
    labels, probabilities = one_class(segments, occurring, seed)
    found = classification_metrics(labels, probabilities, CLASSES, SCORED)
    predicted = probabilities.argmax(axis=1)
    assert_as_scikit_learn(found, np.eye(5, dtype=int)[labels], np.eye(5, dtype=int)[predicted])
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, predicted))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are predicted and do not occur
        balanced = sk.balanced_accuracy_score(labels, predicted)
    assert found["balanced_accuracy"] == found["macro_sensitivity"] == pytest.approx(balanced)


@settings(deadline=None)
@given(segments=st.integers(1, 40), share=st.floats(0, 1), seed=st.integers(0, 999))
def test_several_classes_a_segment_are_measured_as_scikit_learn_measures_them(
    segments: int, share: float, seed: int
) -> None:
    labels, probabilities = several(segments, share, seed)
    found = multi_label_metrics(labels, probabilities, CLASSES, SCORED)
    assert_as_scikit_learn(found, labels, (probabilities >= 0.5).astype(int))
    assert found["exact_match"] == pytest.approx(sk.accuracy_score(labels, probabilities >= 0.5))


def test_areas_are_scikit_learns_where_every_class_has_both_kinds() -> None:
    labels, probabilities = one_class(200, 5, seed=3)
    found = classification_metrics(labels, probabilities, CLASSES, SCORED)
    expected = sk.roc_auc_score(labels, probabilities, multi_class="ovr", average="macro")
    assert found["macro_auc"] == pytest.approx(expected)
    labels, probabilities = several(200, 0.3, seed=3)
    found = multi_label_metrics(labels, probabilities, CLASSES, SCORED)
    assert found["macro_auc"] == pytest.approx(sk.roc_auc_score(labels, probabilities))


def test_every_mean_says_over_how_many_classes_it_is() -> None:
    """N and S occur; N, S and V are given; two of the scored classes are among those that occur."""
    probabilities = np.eye(5)[[0, 0, 1, 2]]
    found = classification_metrics(np.array([0, 0, 1, 1]), probabilities, CLASSES, SCORED)
    assert [found[name] for name in COUNTS] == [2, 2, 3, 2]
    assert found["macro_f1"] == pytest.approx((1 + 2 / 3) / 5)
    assert found["macro_f1_occurring"] == pytest.approx((1 + 2 / 3) / 2)
    assert found["mean_f1"] == pytest.approx((1 + 2 / 3) / 3)
    assert found["macro_sensitivity"] == pytest.approx((1 + 1 / 2) / 2)
    assert found["macro_positive_predictivity"] == pytest.approx((1 + 1 + 0) / 3)


@settings(deadline=None)
@given(
    segments=st.integers(0, 6),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    constant=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.integers(0, 99),
)
def test_metrics_are_finite_numbers_whatever_classes_occur(
    segments: int, share: float, constant: float | None, seed: int
) -> None:
    labels, probabilities = several(segments, share, seed)
    if constant is not None:
        probabilities = np.full_like(probabilities, constant)
    one = labels.argmax(axis=1) if segments else np.empty(0, int)
    for given_labels in (labels, one):
        found = metrics_of(given_labels, probabilities, CLASSES, SCORED)
        assert all(math.isfinite(value) and type(value) is float for value in found.values())


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("multi_label", [False, True])
def test_probabilities_that_are_not_finite_are_an_error_that_names_the_class(
    wrong: float, multi_label: bool
) -> None:
    labels, probabilities = several(6, 0.5, 0) if multi_label else one_class(6, 5, 0)
    probabilities[2, 1] = probabilities[4, 1] = probabilities[4, 3] = wrong
    with pytest.raises(TrainingError) as raised:
        metrics_of(labels, probabilities, CLASSES, SCORED)
    assert "2 of 6" in str(raised.value)
    assert "number 2 first: of class S, F" in str(raised.value)


@pytest.mark.parametrize("label", [-1, 5])
def test_a_label_that_is_no_class_is_refused(label: int) -> None:
    _, probabilities = one_class(3, 5, 0)
    with pytest.raises(ConfigError, match=f"label {label} of number 1 is not .* the 5 classes"):
        metrics_of(np.array([0, label, 2]), probabilities, CLASSES, SCORED)
