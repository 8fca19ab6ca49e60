"""ECG models and the data they learn from; see `ecgmodels.data` for the latter.

Configurations, plans and costs need no torch. The other names are imported when they are first
used, so that `import ecgmodels`, and `ecgmodels.data` with it, stays light.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ecgmodels.architecture import EfficientECGConfig, compound_scaling
from ecgmodels.cost import cost
from ecgmodels.errors import ConfigError, DataError, ECGModelsError, TrainingError
from ecgmodels.plan import Plan, resolve
from ecgmodels.training_config import TrainingConfig

if TYPE_CHECKING:
    from ecgmodels.card import load_model, save_model
    from ecgmodels.checkpoint import PastEpoch, read_history, read_model
    from ecgmodels.efficientecg import EfficientECG
    from ecgmodels.metrics import classification_metrics, confusion_matrix, multi_label_metrics
    from ecgmodels.prediction import predict, predict_records
    from ecgmodels.training import Epoch, fit
    from ecgmodels.training_data import TrainingData

__all__ = [
    "ConfigError",
    "DataError",
    "ECGModelsError",
    "EfficientECG",
    "EfficientECGConfig",
    "Epoch",
    "PastEpoch",
    "Plan",
    "TrainingConfig",
    "TrainingData",
    "TrainingError",
    "classification_metrics",
    "compound_scaling",
    "confusion_matrix",
    "cost",
    "fit",
    "load_model",
    "multi_label_metrics",
    "predict",
    "predict_records",
    "read_history",
    "read_model",
    "resolve",
    "save_model",
]

_LAZY = {
    "EfficientECG": "efficientecg",
    "Epoch": "training",
    "PastEpoch": "checkpoint",
    "TrainingData": "training_data",
    "classification_metrics": "metrics",
    "confusion_matrix": "metrics",
    "fit": "training",
    "load_model": "card",
    "multi_label_metrics": "metrics",
    "predict": "prediction",
    "predict_records": "prediction",
    "read_history": "checkpoint",
    "read_model": "checkpoint",
    "save_model": "card",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'ecgmodels' has no attribute '{name}'")
    return getattr(importlib.import_module(f"ecgmodels.{_LAZY[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
