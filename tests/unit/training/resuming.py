"""A training with every option on, and a process that goes on with it from a checkpoint.

    python -m tests.unit.training.resuming FOLDER

goes on from FOLDER/KIND/2.ckpt for each kind of data, and prints the epochs that follow, and the
SHA-256 of weights and best weights at the end, as JSON.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ecgmodels import ECGNetwork, EfficientECGConfig, TrainingConfig, fit
from ecgmodels.training.data import TrainingData
from tests.made_waves import make_data, make_several

MODEL = EfficientECGConfig(
    leads=2,
    samples=64,
    classes=3,
    features=("age", "sex"),
    base="tiny",
    width=0.5,
    fusion="attention",
    placements=("stem", "stage2"),
    direction="both",
    dropout=0.3,
    drop_path=0.3,
)
TRAINING = TrainingConfig(
    epochs=5,
    batch_size=16,
    learning_rate=0.01,
    warmup_epochs=1.5,
    loss="focal",
    focal_gamma=1.5,
    label_smoothing=0.1,
    gradient_clip=1.0,
    ema_decay=0.9,
    class_weighting="effective",
    segments_per_epoch=40,
    early_stop_epochs=4,
    early_stop_metric="validation_loss",
    amplitude_scale=0.2,
    baseline_wander_uv=100.0,
    mains_hum_uv=50.0,
    mains_hz=60.0,
    noise_uv=30.0,
    time_shift=0.1,
    lead_dropout=0.2,
)


def uneven(data: TrainingData) -> TrainingData:
    """Return the data as recordings of unequal length: 33 to 64 samples."""

    def part(segments: Any) -> Any:
        valid = 33 + np.arange(len(segments.label), dtype=np.int32) % 32
        signal_uv = segments.signal_uv * (np.arange(64) < valid[:, None, None])
        return dataclasses.replace(segments, signal_uv=signal_uv, valid_samples=valid)

    return dataclasses.replace(data, train=part(data.train), validation=part(data.validation))


DATA: dict[str, Callable[[], TrainingData]] = {
    "one class": lambda: make_data(48, 20),
    "several classes": lambda: make_several(48, 20),
    "unequal lengths": lambda: uneven(make_data(48, 20)),
    "templates": lambda: dataclasses.replace(make_data(48, 20), aligned=True),
}


Ending = tuple[list[dict[str, Any]], list[str]]


def train(kind: str, checkpoint: Path | None = None, save_to: Path | None = None) -> Ending:
    """Return the epochs, and the digests of the last one's model and best model."""
    epochs = []
    model = dataclasses.replace(MODEL, template=kind == "templates")
    for epoch in fit(model, TRAINING, DATA[kind](), seed=5, checkpoint=checkpoint, threads=1):
        if save_to is not None:
            epoch.save(save_to / f"{epoch.number}.ckpt")
        epochs.append({"number": epoch.number, "metrics": epoch.metrics, "final": epoch.final})
        digests = [digest(epoch.model), digest(epoch.best_model)]
    return epochs, digests


def digest(model: ECGNetwork) -> str:
    values = model.state_dict().values()
    return hashlib.sha256(b"".join(value.numpy().tobytes() for value in values)).hexdigest()


if __name__ == "__main__":
    print(json.dumps({kind: train(kind, Path(sys.argv[1]) / kind / "2.ckpt") for kind in DATA}))
