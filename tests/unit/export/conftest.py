"""One small network with every kind of input, exported once for all tests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from ecgmodels import ECGNetwork, EfficientECGConfig, build_model
from ecgmodels.export.onnx import example_inputs, export_onnx

CARD = {
    "leads": ["MLII", "V1"],
    "rate_hz": 128.0,
    "uv_per_unit": 1.0,
    "multi_label": False,
    "classes": ["N", "S", "V"],
    "preprocessing": {"filter_hz": [0.5, 40.0]},
    # The dataset has a feature that the model does not take.
    "features": ["sex", "rr_previous_s", "age"],
    "normalisation": {
        "signal_mean_uv": [0.5, 1.5],
        "signal_std_uv": [350.0, 200.0],
        "feature_mean": [0.5, 0.8, 60.0],
        "feature_std": [0.4, 0.2, 15.0],
    },
    "non_causal": ["template: a median over the whole recording"],
    "weights_sha256": "00",
    "trial": 7,
}


@dataclass(frozen=True, kw_only=True)
class Exported:
    model: ECGNetwork
    card: dict[str, Any]
    path: Path


def with_statistics(config: EfficientECGConfig) -> ECGNetwork:
    """A network whose batch norms have seen data, and whose logits differ from each other."""
    torch.manual_seed(0)
    model = build_model(config)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(20):
            model(*example_inputs(config, 16, generator))
        model.classifier.weight.mul_(20)  # type: ignore[operator, union-attr]
    return model.eval()


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Two leads with templates, age and sex by attention, a resampled window."""
    config = EfficientECGConfig(
        leads=2,
        samples=64,
        classes=3,
        base="tiny",
        resolution=1.25,
        features=("age", "sex"),
        fusion="attention",
        placements=("stage2", "head"),
        direction="both",
        template=True,
    )
    model = with_statistics(config)
    path = tmp_path_factory.mktemp("exported") / "model.onnx"
    export_onnx(model, path, card=CARD)
    return Exported(model=model, card=CARD, path=path)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks are faster so."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
