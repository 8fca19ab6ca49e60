"""Training checkpoints: everything that going on needs, in one file without pickled objects."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ecgmodels.errors import TrainingError
from ecgmodels.files import write_atomically
from ecgmodels.models.network import ECGNetwork
from ecgmodels.models.registry import build_model, model_config


@dataclass(frozen=True, kw_only=True)
class PastEpoch:
    """What is remembered of an epoch."""

    number: int
    """1-based."""
    metrics: dict[str, float]
    seconds: float
    """Training and validation."""
    final: bool = False
    """Whether training ended with it: the schedule's last, or the one that early stop waited for
    in vain."""


def read_history(checkpoint: Path) -> list[PastEpoch]:
    """Return the epochs that led to `checkpoint`, its own last; weights stay on the disk.

    Raises:
        TrainingError: the file is missing or no checkpoint.
    """
    return [PastEpoch(**epoch) for epoch in read_checkpoint(checkpoint, mmap=True)["history"]]


def read_model(checkpoint: Path) -> ECGNetwork:
    """Return the model that `checkpoint` keeps, on the CPU, ready for prediction.

    It is the one that its epoch validated; with early stop, the one of the best epoch so far.

    Raises:
        TrainingError: the file is missing or no checkpoint.
    """
    state = read_checkpoint(checkpoint)
    model = build_model(model_config(state["model_config"]))
    model.load_state_dict(state.get("best") or state["ema"] or state["model"])
    return model.eval()


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values to `path`, atomically."""
    content = io.BytesIO()
    torch.save(dict(state), content)
    write_atomically(path, content.getvalue())


def read_checkpoint(path: Path, *, mmap: bool = False) -> dict[str, Any]:
    """Read `write_checkpoint`'s file to the CPU.

    Raises:
        TrainingError: the file is missing or no checkpoint.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except FileNotFoundError:
        raise TrainingError(f"no checkpoint {path}", hint="check the path") from None
    except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise TrainingError(
            f"checkpoint {path} cannot be read: {reason}",
            hint="delete it, and the trial starts again from its first epoch",
        ) from error
    if not isinstance(state, dict) or "history" not in state:
        raise TrainingError(
            f"{path} is not a training checkpoint", hint="pass a file that Epoch.save wrote"
        )
    return state


def require_identity(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Check that a checkpoint belongs to the training that wants to go on from it.

    Raises:
        TrainingError: it does not; the message names the first difference.
    """
    for key, was, now in _differences("", found, expected):
        raise TrainingError(
            f"checkpoint {path} is of another training: {key} was {was!r}, now {now!r}",
            hint="restore the configuration, or delete the checkpoint to start again",
        )


def _differences(prefix: str, found: Any, expected: Any) -> list[tuple[str, Any, Any]]:
    if isinstance(found, Mapping) and isinstance(expected, Mapping):
        keys = [*expected, *(key for key in found if key not in expected)]
        children = [(str(key), found.get(key), expected.get(key)) for key in keys]
    elif isinstance(found, list) and isinstance(expected, list) and len(found) == len(expected):
        children = [(str(i), f, e) for i, (f, e) in enumerate(zip(found, expected, strict=True))]
    else:
        return [] if found == expected else [(prefix, found, expected)]
    return [
        difference
        for key, was, now in children
        for difference in _differences(f"{prefix}.{key}" if prefix else key, was, now)
    ]
