"""Synthetic segments: a class is a frequency, so that a small network can tell them apart."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from ecgmodels.metrics.scoring import Score
from ecgmodels.training.data import TrainingData

CLASSES = ("N", "S", "V")
RATE_HZ = 128.0


@dataclass(frozen=True)
class Waves:
    signal_uv: Any
    valid_samples: np.ndarray[Any, np.dtype[np.int32]]
    label: np.ndarray[Any, Any]
    features: np.ndarray[Any, np.dtype[np.float32]]
    record: np.ndarray[Any, np.dtype[np.int32]]


@dataclass(frozen=True)
class Statistics:
    signal_mean_uv: tuple[float, ...] = (0.0, 0.0)
    signal_std_uv: tuple[float, ...] = (350.0, 350.0)
    feature_mean: tuple[float, ...] = (60.0, 0.5)
    feature_std: tuple[float, ...] = (15.0, 0.5)


def make_waves(segments: int, samples: int, seed: int) -> Waves:
    random = np.random.default_rng(seed)
    label = random.integers(len(CLASSES), size=segments)
    phase = random.uniform(0, 2 * np.pi, (segments, 2, 1))
    turns = 2 * np.pi * 3 * (label[:, None, None] + 1) * np.arange(samples) / samples
    signal_uv = 500 * np.sin(turns + phase) + random.normal(0, 100, (segments, 2, samples))
    age = random.normal(60, 15, segments)
    age[random.random(segments) < 0.2] = np.nan
    features = np.stack([age, random.integers(2, size=segments)], axis=1)
    return Waves(
        signal_uv=signal_uv.astype(np.int16),
        valid_samples=np.full(segments, samples, np.int32),
        label=label,
        features=features.astype(np.float32),
        record=np.arange(segments, dtype=np.int32) // 4,
    )


def make_data(train: int, validation: int, samples: int = 64) -> TrainingData:
    return TrainingData(
        train=make_waves(train, samples, seed=1),
        validation=make_waves(validation, samples, seed=2),
        normalisation=Statistics(),
        rate_hz=RATE_HZ,
        classes=CLASSES,
        scored_classes=CLASSES,
        features=("age", "sex"),
    )


def make_several(train: int, validation: int, samples: int = 64) -> TrainingData:
    """Multi-label: a segment is the sum of the waves of its classes; some have none."""

    def part(segments: int, seed: int) -> Waves:
        random = np.random.default_rng(seed)
        label = random.integers(2, size=(segments, len(CLASSES)), dtype=np.uint8)
        turns = 2 * np.pi * np.arange(3, 3 * len(CLASSES) + 1, 3) / samples
        phase = random.uniform(0, 2 * np.pi, (segments, 2, 1, len(CLASSES)))
        waves = 500 * np.sin(np.arange(samples)[:, None] * turns + phase)
        signal_uv = (waves * label[:, None, None]).sum(axis=3)
        plain = make_waves(segments, samples, seed)
        noise = random.normal(0, 50, signal_uv.shape)
        return dataclasses.replace(
            plain, signal_uv=(signal_uv + noise).astype(np.int16), label=label
        )

    return dataclasses.replace(
        make_data(train, validation, samples),
        train=part(train, seed=1),
        validation=part(validation, seed=2),
        multi_label=True,
    )


def in_records(data: TrainingData, score: Score) -> TrainingData:
    """Count records: every third segment of a validation class begins a new one."""
    label = data.validation.label
    record = np.zeros(len(label), np.int32)
    for number in range(len(CLASSES)):
        of_class = label == number
        record[of_class] = 1000 * number + np.arange(of_class.sum()) // 3
    return dataclasses.replace(
        data, validation=dataclasses.replace(data.validation, record=record), score=score
    )
