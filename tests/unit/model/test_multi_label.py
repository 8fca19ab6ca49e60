"""Segments that may have several classes, or none: metrics, loss, training, prediction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ecgmodels import (
    ConfigError,
    EfficientECGConfig,
    Epoch,
    TrainingConfig,
    TrainingData,
    fit,
    predict,
)
from ecgmodels.inference.prediction import predict_records
from ecgmodels.metrics.classification import metrics_of, multi_label_metrics
from ecgmodels.training.losses import EachClass, cross_entropy, loss_for
from ecgmodels.training.optimisation import positive_weights

Several = Callable[..., TrainingData]

CLASSES = ("NORM", "MI", "CD", "HYP")
# MI is in every segment, HYP in none.
LABELS = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0]], np.uint8)
PROBABILITIES = np.array(
    [[0.9, 0.8, 0.1, 0.1], [0.4, 0.5, 0.6, 0.2], [0.3, 0.9, 0.2, 0.7], [0.6, 0.1, 0.3, 0.0]]
)

MODEL = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny")


@pytest.fixture(scope="module")
def metrics() -> dict[str, float]:
    return multi_label_metrics(LABELS, PROBABILITIES, CLASSES, ("NORM", "MI", "CD"))


def test_a_class_is_predicted_from_a_probability_of_one_half_on(metrics: dict[str, float]) -> None:
    # NORM: predicted in segments 0 and 3, of 0 and 1. MI: in 0, 1 (at 0.5) and 2, of all.
    assert metrics["sensitivity_NORM"] == metrics["positive_predictivity_NORM"] == 1 / 2
    assert metrics["sensitivity_MI"] == 3 / 4
    assert metrics["positive_predictivity_MI"] == 1
    assert metrics["f1_CD"] == pytest.approx(2 / 3)  # predicted in 1, of 1 and 2
    assert metrics["exact_match"] == 1 / 4  # segment 0


def test_f1_is_averaged_over_scored_classes_all_classes_and_all_decisions(
    metrics: dict[str, float],
) -> None:
    each = [1 / 2, 6 / 7, 2 / 3, 0]
    assert metrics["mean_f1"] == pytest.approx(sum(each[:3]) / 3)
    assert metrics["macro_f1"] == pytest.approx(sum(each) / 4)
    # Correct: 1 + 3 + 1; occurring 2 + 4 + 2 + 0, predicted 2 + 3 + 1 + 1.
    assert metrics["micro_f1"] == pytest.approx(2 * 5 / (8 + 7))


def test_auc_is_over_the_classes_that_some_have_and_others_have_not(
    metrics: dict[str, float],
) -> None:
    # NORM: of 2 x 2 pairs, 0.9 beats both and 0.4 beats 0.3. CD: 0.6 beats both, 0.2 beats 0.1.
    assert metrics["auc_NORM"] == metrics["auc_CD"] == 3 / 4
    assert metrics["macro_auc"] == 3 / 4
    assert metrics["auc_classes"] == 2
    assert metrics["auc_MI"] == metrics["auc_HYP"] == 0.5


def test_a_class_that_nobody_has_counts_as_0_whatever_is_predicted() -> None:
    labels = np.zeros((3, 2), np.uint8)
    for probability in (0.0, 1.0):
        found = metrics_of(labels, np.full((3, 2), probability), ("A", "B"), ("A",))
        assert found["mean_f1"] == found["macro_f1"] == found["micro_f1"] == 0
        assert found["auc_classes"] == 0
        assert all(math.isfinite(value) and type(value) is float for value in found.values())


def test_no_segments_have_metrics_too() -> None:
    found = metrics_of(np.zeros((0, 2), np.uint8), np.zeros((0, 2)), ("A", "B"), ("A",))
    assert all(math.isfinite(value) for value in found.values())


def test_positive_weights_even_out_what_segments_do_not() -> None:
    label = torch.tensor([[1, 0, 1, 1]] * 10 + [[0, 0, 1, 0]] * 90, dtype=torch.uint8)
    assert positive_weights(label, "none") is None
    balanced, root = positive_weights(label, "balanced"), positive_weights(label, "sqrt")
    assert balanced is not None
    assert root is not None
    assert balanced.tolist() == [9, 1, 1, 9]
    assert root.tolist() == [3, 1, 1, 3]


def test_the_loss_is_the_mean_over_segments_and_classes() -> None:
    logits, label = torch.randn(5, 3), torch.randint(2, (5, 3), dtype=torch.uint8)
    loss = loss_for(TrainingConfig(), label, 3)
    expected = F.binary_cross_entropy(logits.sigmoid(), label.float())
    torch.testing.assert_close(loss(logits, label), expected)
    assert cross_entropy(label.numpy(), logits.sigmoid().numpy()) == pytest.approx(float(expected))


def test_smoothing_moves_each_classs_target_towards_one_half() -> None:
    logits, label = torch.randn(5, 3), torch.randint(2, (5, 3), dtype=torch.uint8)
    smoothed = EachClass(positive_weights=None, label_smoothing=0.2)(logits, label)
    target = torch.where(label == 1, 0.9, 0.1)
    torch.testing.assert_close(smoothed, F.binary_cross_entropy(logits.sigmoid(), target))


def test_training_learns_several_classes_by_heart(several: Several) -> None:
    data = several(96, 48)
    config = TrainingConfig(
        epochs=30, batch_size=32, learning_rate=0.01, weight_decay=0.0, class_weighting="sqrt"
    )
    *_, last = fit(MODEL, config, data, seed=0, threads=1)
    by_heart = predict(last.model, data.train, data.normalisation, feature_names=data.features)
    assert ((by_heart >= 0.5) == data.train.label).mean() > 0.98
    assert last.metrics["mean_f1"] > 0.85
    assert last.metrics["macro_auc"] > 0.85
    assert {"exact_match", "micro_f1", "auc_classes", "f1_S", "validation_loss"} < set(last.metrics)


def test_probabilities_of_several_classes_do_not_add_up(several: Several) -> None:
    data = several(32, 16)
    epoch = next(fit(MODEL, TrainingConfig(batch_size=16), data, seed=0))
    each = predict(epoch.model, data.validation, data.normalisation)
    of_one = predict(epoch.model, data.validation, data.normalisation, multi_label=False)
    np.testing.assert_allclose(of_one.sum(axis=1), 1, rtol=1e-5)
    assert (np.abs(each.sum(axis=1) - 1) > 0.01).any()
    # Unlabelled segments do not say what kind of model is asked.
    unlabelled = dataclasses.replace(data.validation, label=np.full(16, -1))
    asked = predict(epoch.model, unlabelled, data.normalisation, multi_label=True)
    np.testing.assert_array_equal(asked, each)


def test_interrupted_multi_label_training_goes_on_bit_for_bit(
    several: Several, tmp_path: Path
) -> None:
    data, checkpoint = several(48, 20), tmp_path / "trial.ckpt"
    config = TrainingConfig(epochs=2, batch_size=16, label_smoothing=0.1)
    whole = list(fit(MODEL, config, data, seed=5, threads=1))
    resumed: list[Epoch] = []
    for last in (1, 2):
        for epoch in fit(
            MODEL, config, data, seed=5, max_epochs=last, checkpoint=checkpoint, threads=1
        ):
            epoch.save(checkpoint)
            resumed.append(epoch)
    assert [epoch.metrics for epoch in resumed] == [epoch.metrics for epoch in whole]


@pytest.mark.parametrize("score", ["mean", "max"])
def test_validation_counts_records_where_the_data_say_so(
    waves: Several, records: Several, score: str
) -> None:
    data = records(waves(48, 40), score)
    epoch = next(fit(MODEL, TrainingConfig(batch_size=16), data, seed=0))
    scores = predict_records(
        epoch.model,
        data.validation,
        data.normalisation,
        how=data.score,  # type: ignore[arg-type]
    )
    label = scores.record // 1000
    right = (scores.probabilities.argmax(axis=1) == label).mean()
    assert len(label) < 20
    assert epoch.metrics["accuracy"] == pytest.approx(right)


def test_labels_that_are_not_what_the_data_say_are_refused(
    waves: Several, several: Several
) -> None:
    one, many = waves(32, 16), several(32, 16)
    for data, shape in (
        (one, r"\[32\], expected \[32, 3\]"),
        (many, r"\[32, 3\], expected \[32\]"),
    ):
        wrong = dataclasses.replace(data, multi_label=not data.multi_label)
        with pytest.raises(ConfigError, match=f"the train labels have shape {shape}"):
            fit(MODEL, TrainingConfig(), wrong, seed=0)


def test_unlabelled_segments_are_refused(waves: Several) -> None:
    data = waves(32, 16)
    label = data.validation.label.copy()
    label[3:5] = -1
    data = dataclasses.replace(data, validation=dataclasses.replace(data.validation, label=label))
    with pytest.raises(ConfigError, match="2 of 16 validation segments are unlabelled") as caught:
        fit(MODEL, TrainingConfig(), data, seed=0)
    assert caught.value.hint


def test_records_whose_segments_differ_are_refused_before_training(waves: Several) -> None:
    data = dataclasses.replace(waves(32, 16), score="mean")
    with pytest.raises(ConfigError, match="has segments of different labels"):
        fit(MODEL, TrainingConfig(), data, seed=0)
