"""ECG models and the data they learn from; see `ecgmodels.data` for the latter.

Configurations, plans and costs need no torch. The other names are imported when they are first
used, so that `import ecgmodels`, and `ecgmodels.data` with it, stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ecgmodels.errors import ConfigError, DataError, ECGModelsError, TrainingError
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.efficientecg.config import EfficientECGConfig, compound_scaling
from ecgmodels.models.registry import FAMILIES, build_model, cost, model_config, resolve
from ecgmodels.training.config import TrainingConfig

if TYPE_CHECKING:
    from ecgmodels.export.card import load_model, save_model
    from ecgmodels.inference.prediction import predict, predict_records
    from ecgmodels.metrics.classification import (
        classification_metrics,
        confusion_matrix,
        multi_label_metrics,
    )
    from ecgmodels.models.efficientecg.network import EfficientECG
    from ecgmodels.models.network import ECGNetwork
    from ecgmodels.training.checkpoint import PastEpoch, read_history, read_model
    from ecgmodels.training.data import TrainingData
    from ecgmodels.training.fitting import Epoch, fit

__all__ = [
    "FAMILIES",
    "ConfigError",
    "DataError",
    "ECGModelsError",
    "ECGNetwork",
    "EfficientECG",
    "EfficientECGConfig",
    "Epoch",
    "ModelConfig",
    "PastEpoch",
    "TrainingConfig",
    "TrainingData",
    "TrainingError",
    "build_model",
    "classification_metrics",
    "compound_scaling",
    "confusion_matrix",
    "cost",
    "fit",
    "load_model",
    "model_config",
    "multi_label_metrics",
    "predict",
    "predict_records",
    "read_history",
    "read_model",
    "resolve",
    "save_model",
]

_LAZY = {
    "ECGNetwork": "models.network",
    "EfficientECG": "models.efficientecg.network",
    "Epoch": "training.fitting",
    "PastEpoch": "training.checkpoint",
    "TrainingData": "training.data",
    "classification_metrics": "metrics.classification",
    "confusion_matrix": "metrics.classification",
    "fit": "training.fitting",
    "load_model": "export.card",
    "multi_label_metrics": "metrics.classification",
    "predict": "inference.prediction",
    "predict_records": "inference.prediction",
    "read_history": "training.checkpoint",
    "read_model": "training.checkpoint",
    "save_model": "export.card",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgmodels' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ecgmodels.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
