"""A candidate: one network and how it is trained, as a space proposes it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ecgmodels.configs import Config
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.registry import model_config, resolve
from ecgmodels.training.config import TrainingConfig

# 80 bits: among a million candidates of one study, the odds of two sharing a key are 4e-13.
KEY_DIGITS = 20


@dataclasses.dataclass(frozen=True, kw_only=True)
class Candidate(Config):
    """What a trial learns; `to_dict` and `from_dict` carry it through JSON."""

    model: ModelConfig
    training: TrainingConfig

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Candidate:
        """Build the candidate from `to_dict`'s result.

        Raises:
            ConfigError: a key is unknown or a value is out of range.
        """
        parts = dict(values)
        if "model" in parts:
            parts["model"] = model_config(parts["model"])
        if "training" in parts:
            parts["training"] = TrainingConfig.from_dict(parts["training"])
        return super().from_dict(parts)

    def key(self, dataset_hash: str) -> str:
        """Return what identifies this candidate: 20 hexadecimal digits of a SHA-256.

        The network enters by its plan, after rounding: multipliers that round to one network give
        one key. The training enters as it is, the data by its hash.
        """
        identity = {
            "family": self.model.model,
            "model": resolve(self.model).to_dict(),
            "training": self.training.to_dict(),
            "dataset": dataset_hash,
        }
        canonical = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:KEY_DIGITS]
