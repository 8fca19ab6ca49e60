"""A trained model to take home: a folder with `model.safetensors` and `card.json`."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.torch
import torch

from ecgmodels.data.storage.record_table import SIDES
from ecgmodels.errors import ECGModelsError
from ecgmodels.files import write_atomically
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.network import ECGNetwork
from ecgmodels.models.registry import build_model, model_config

if TYPE_CHECKING:
    from ecgmodels.data import Dataset

_REQUIRED = {
    "leads": "lead names in the model's order",
    "rate_hz": "sampling rate of the segments",
    "classes": "class names in the order of the outputs",
    "normalisation": "the training patients' statistics",
}


def save_model(folder: Path, model: ECGNetwork, card: Mapping[str, Any]) -> None:
    """Write `model` and what is known of it to `folder` (made if need be), the card last.

    Args:
        card: JSON values. Names of `leads` and `classes`, `rate_hz` and `normalisation` must be
            there, for the model is of no use without them; preprocessing, features, hashes of the
            dataset and its split, metrics and seed should be. The family (`model`), `config`,
            `samples`, `versions` and the weights' checksum are added.

    Raises:
        ECGModelsError: the card lacks an entry, contradicts the model, or is not JSON.
    """
    path = folder / "card.json"
    _require_complete(card, model.config, path)
    folder.mkdir(parents=True, exist_ok=True)
    state = {name: tensor.contiguous() for name, tensor in model.state_dict().items()}
    weights = safetensors.torch.save(state)
    full = {
        **card,
        "model": model.config.model,
        "config": model.config.to_dict(),
        "samples": model.config.samples,
        "versions": _versions(),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    try:
        text = json.dumps(full, indent=2, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ECGModelsError(
            f"the card for {path} is not JSON: {error}",
            hint="use finite numbers, strings, lists and dictionaries",
        ) from error
    write_atomically(folder / "model.safetensors", weights)
    write_atomically(path, (text + "\n").encode())


def load_model(folder: Path) -> tuple[ECGNetwork, dict[str, Any]]:
    """Return the model on the CPU, ready for prediction, and its card.

    Raises:
        ECGModelsError: a file is missing, damaged, or of another model.
    """
    card_path, weights_path = folder / "card.json", folder / "model.safetensors"
    try:
        card = json.loads(_read(card_path))
        config = model_config(card["config"])
        expected = card["weights_sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ECGModelsError(
            f"{card_path} is not a model card: {error}", hint="copy the whole folder again"
        ) from error
    weights = _read(weights_path)
    if hashlib.sha256(weights).hexdigest() != expected:
        raise ECGModelsError(
            f"{weights_path} does not have the SHA-256 that {card_path.name} gives",
            hint="copy the whole folder again",
        )
    model = build_model(config)
    try:
        model.load_state_dict(safetensors.torch.load(weights))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise ECGModelsError(
            f"{weights_path} does not fit the configuration in {card_path.name}",
            hint="load it with the version of ecgmodels that the card names",
        ) from error
    return model.eval(), card


def split_hash(dataset: Dataset, split: str) -> str:
    """Return the SHA-256 (hex) of which record is on which side of a split.

    It is of the canonical JSON of {"train": [...], "validation": [...], "test": [...]}, the
    records' ids in order: datasets prepared differently from the same division share it.
    """
    records = dataset.records
    side = records.side(split)
    sides = {
        name: sorted(records.ids[side == number].tolist()) for number, name in enumerate(SIDES)
    }
    canonical = json.dumps(sides, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


def non_causal_parts(*, filtered: bool, features: Sequence[str], template: bool) -> list[str]:
    """Return, in words, what a model's inputs need of the future: none of it is there live.

    Args:
        filtered: whether recordings were band-passed.
        features: those of the model's that need what comes later.
        template: whether the model sees the recording's median beat.
    """
    parts = ["filter: it runs forwards and backwards over the whole recording"] if filtered else []
    parts += [f"feature {name}: it needs later beats" for name in features]
    return parts + (["template: a median over the whole recording"] if template else [])


def _require_complete(card: Mapping[str, Any], config: ModelConfig, path: Path) -> None:
    for key, meaning in _REQUIRED.items():
        if key not in card:
            raise ECGModelsError(f"the card for {path} has no '{key}'", hint=f"add {meaning}")
    for key, expected in (("leads", config.leads), ("classes", config.classes)):
        if len(card[key]) != expected:
            raise ECGModelsError(
                f"the card for {path} names {len(card[key])} {key}, the model has {expected}",
                hint=f"give {_REQUIRED[key]}",
            )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ECGModelsError(
            f"{path} cannot be read: {error.strerror}",
            hint="name a folder that `ecgsearch retrain` or save_model wrote",
        ) from error


def _versions() -> dict[str, str]:
    return {
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
