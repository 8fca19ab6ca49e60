"""Segments of random numbers in mapped files, for what needs no recordings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ecgmodels.data import Normalisation, ShardedSignal
from ecgmodels.loading.batches import DeviceSegments, to_device

FEATURES = ("age", "sex")


@dataclass(frozen=True, kw_only=True)
class MadeSegments:
    """What `ecgmodels.loading.batches.Segments` asks for."""

    signal_uv: Any
    valid_samples: np.ndarray[Any, Any]
    label: np.ndarray[Any, Any]
    features: np.ndarray[Any, Any]
    record: np.ndarray[Any, Any]


def write_shards(folder: Path, shards: int, rows: int, leads: int, samples: int) -> list[Path]:
    """Write .npy files of int16 [row, lead, time]."""
    random = np.random.default_rng(0)
    paths = []
    for number in range(shards):
        path = folder / f"{number}.npy"
        shape = (rows, leads, samples)
        np.save(path, random.integers(-3000, 3000, shape, dtype=np.int16))
        paths.append(path)
    return paths


def mapped(paths: list[Path]) -> DeviceSegments:
    """Map the files' segments as those of a dataset are."""
    files = tuple(np.load(path, mmap_mode="r") for path in paths)
    lengths = [len(file) for file in files]
    segments = sum(lengths)
    leads, samples = files[0].shape[1:]
    signal = files[0]
    if len(files) > 1:
        signal = ShardedSignal(
            shards=files,
            shard=np.repeat(np.arange(len(files), dtype=np.int32), lengths),
            row=np.concatenate([np.arange(length) for length in lengths]),
        )
    made = MadeSegments(
        signal_uv=signal,
        valid_samples=np.full(segments, samples, np.int32),
        label=np.zeros(segments, np.int64),
        features=np.zeros((segments, len(FEATURES)), np.float32),
        record=np.zeros(segments, np.int32),
    )
    normalisation = Normalisation(
        signal_mean_uv=(0.0,) * leads,
        signal_std_uv=(300.0,) * leads,
        feature_mean=(0.0, 0.0),
        feature_std=(1.0, 1.0),
    )
    return to_device(
        made, normalisation, names=FEATURES, wanted=FEATURES, device=torch.device("cpu")
    )
