"""What a network learns of real beats, and that it cannot learn what is not there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from ecgmodels import EfficientECGConfig, TrainingConfig, TrainingData, fit, predict

Numbers = np.ndarray[Any, np.dtype[np.int64]]

CLASSES = ("N", "S", "V")
EACH = 200
PERMUTATIONS = 8

MODEL = EfficientECGConfig(leads=2, samples=128, classes=3, base="tiny", width=0.5, dropout=0.0)
TRAINING = TrainingConfig(epochs=3, batch_size=32, learning_rate=0.01)


@dataclass(frozen=True)
class Beats:
    """Some of a part's segments, in memory."""

    signal_uv: Any
    valid_samples: Any
    label: Any
    features: Any
    record: Any

    @classmethod
    def of(cls, segments: Any, index: Numbers) -> Beats:
        columns = (field.name for field in dataclasses.fields(cls))
        return cls(*(np.asarray(getattr(segments, name)[index]) for name in columns))


def together(*parts: Beats) -> Beats:
    columns = (field.name for field in dataclasses.fields(Beats))
    return Beats(*(np.concatenate([getattr(part, name) for part in parts]) for name in columns))


def evenly(segments: Any, classes: int, each: int, seed: int) -> Beats:
    """Return as many beats of every class, drawn at random."""
    random = np.random.default_rng(seed)
    label = np.asarray(segments.label)
    chosen = [random.permutation(np.flatnonzero(label == c))[:each] for c in range(classes)]
    return Beats.of(segments, np.sort(np.concatenate(chosen)))


@pytest.fixture(scope="module")
def beats(mitdb: TrainingData) -> TrainingData:
    """600 beats of de Chazal's DS1 to learn from, and 600 of other patients to validate on."""
    return dataclasses.replace(
        mitdb,
        train=evenly(mitdb.train, 3, EACH, seed=0),
        validation=evenly(mitdb.validation, 3, EACH, seed=1),
        classes=CLASSES,
        scored_classes=CLASSES,
    )


def macro_auc(data: TrainingData, seed: int, label: Numbers | None = None) -> float:
    """Return the last epoch's, after training with these labels instead of the true ones."""
    if label is not None:
        data = dataclasses.replace(data, train=dataclasses.replace(data.train, label=label))
    *_, last = fit(MODEL, TRAINING, data, seed=seed)
    return last.metrics["macro_auc"]


def permuted(label: Numbers, seed: int) -> list[Numbers]:
    """Return a permutation of labels, and the two that it becomes as classes take turns."""
    once = np.random.default_rng(seed).permutation(label)
    return [(once + turn) % len(CLASSES) for turn in range(len(CLASSES))]


def test_64_real_beats_are_learnt_by_heart(mitdb: TrainingData) -> None:
    sixteen = evenly(mitdb.train, 4, 16, seed=0)
    data = dataclasses.replace(mitdb, train=sixteen)
    model = EfficientECGConfig(leads=2, samples=128, classes=4, base="tiny", dropout=0.0)
    config = TrainingConfig(epochs=40, batch_size=32, learning_rate=0.01, weight_decay=0.0)
    small = evenly(mitdb.validation, 4, 16, seed=0)
    *_, last = fit(model, config, dataclasses.replace(data, validation=small), seed=0)
    by_heart = predict(last.model, sixteen, data.normalisation)
    assert len(by_heart) == 64
    assert (by_heart.argmax(axis=1) == sixteen.label).all()


def test_validation_patients_are_not_trained_on(beats: TrainingData) -> None:
    assert not set(beats.train.record) & set(beats.validation.record)


def test_permuted_labels_teach_nothing_about_other_patients(beats: TrainingData) -> None:
    """Labels of training permuted, the true ones in validation: macro AUC is that of a guess.

    One such network proves nothing. It is a fixed function of the ECG, drawn at random, and as
    beats of a class are alike, it orders classes one way or the other: macro AUC has a standard
    deviation of 0.11 around 0.5 from one permutation to the next. What is 0.5 is its expectation,
    if nothing of the truth reaches the network. So it is averaged over 8 permutations, each in the
    three forms that classes taking turns give it. With as many beats of each class, each form is as
    likely as any other permutation, and what the one has too much of, the others have too little:
    their mean has a standard deviation of 0.03, that of all 24 networks 0.011, and the limit of
    0.05 is more than four of these away.

    What should make it fail does (see below): true labels bring 0.68, and validation beats among
    those trained on, however permuted the others are, 0.96.
    """
    areas = [
        macro_auc(beats, seed, label)
        for seed in range(PERMUTATIONS)
        for label in permuted(beats.train.label, 100 + seed)
    ]
    assert np.std(areas) > 0.03  # the single networks do differ: none is a constant
    assert abs(np.mean(areas) - 0.5) < 0.05


def test_true_labels_do_teach_something_about_other_patients(beats: TrainingData) -> None:
    # With a standard deviation of 0.07 from seed to seed around 0.68.
    assert np.mean([macro_auc(beats, seed) for seed in range(8)]) > 0.58


def test_a_leak_would_be_seen_in_spite_of_permuted_labels(beats: TrainingData) -> None:
    for label in permuted(beats.train.label, 100):
        learnt = dataclasses.replace(beats.train, label=label)
        leaking = dataclasses.replace(beats, train=together(learnt, beats.validation))
        assert macro_auc(leaking, 0) > 0.8
