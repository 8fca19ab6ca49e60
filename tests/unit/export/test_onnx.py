"""Networks as ONNX files."""

from __future__ import annotations

import copy
import logging
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from ecgmodels import ECGModelsError, ECGNetwork, EfficientECGConfig
from ecgmodels.export.onnx import (
    OPSET,
    TOLERANCE,
    example_inputs,
    export_onnx,
    onnx_difference,
)
from ecgmodels.export.session import OnnxModel

from .conftest import CARD, Exported

CONFIG = EfficientECGConfig(leads=1, samples=32, classes=2, base="tiny")


class Mean(ECGNetwork):
    """A linear layer on each lead's mean."""

    def __init__(self) -> None:
        super().__init__(CONFIG)
        self.classifier = nn.Linear(1, 2)

    def forward(
        self,
        signal: Tensor,
        features: Tensor,
        feature_mask: Tensor,
        signal_mask: Tensor | None = None,
        template: Tensor | None = None,
    ) -> Tensor:
        return self.classifier(signal.mean(dim=2))


class DoubledWhenExported(Mean):
    def forward(self, *inputs: Tensor | None) -> Tensor:  # type: ignore[override]
        logits = super().forward(*inputs)  # type: ignore[arg-type]
        return 2 * logits if torch.compiler.is_exporting() else logits


class OfAKnownSign(Mean):
    def forward(self, *inputs: Tensor | None) -> Tensor:  # type: ignore[override]
        logits = super().forward(*inputs)  # type: ignore[arg-type]
        return -logits if bool(logits.sum() > 0) else logits


@pytest.mark.parametrize("batch", [1, 2, 9])
def test_onnxruntime_answers_as_torch_does_whatever_features_are_missing(
    exported: Exported, batch: int
) -> None:
    inputs = example_inputs(exported.model.config, batch, torch.Generator().manual_seed(batch))
    assert onnx_difference(exported.model, exported.path, [inputs]) <= TOLERANCE


def test_the_answers_that_are_compared_are_not_all_alike(exported: Exported) -> None:
    inputs = example_inputs(exported.model.config, 50, torch.Generator().manual_seed(0))
    with torch.inference_mode():
        logits = exported.model(*inputs)
    assert logits.std(dim=0).min() > 0.1


def test_a_difference_is_found_where_there_is_one(exported: Exported) -> None:
    other = copy.deepcopy(exported.model)
    with torch.no_grad():
        other.classifier.bias.add_(0.5)  # type: ignore[operator, union-attr]
    assert onnx_difference(other, exported.path) == pytest.approx(0.5, abs=1e-4)


def test_inputs_are_those_of_the_configuration_with_batches_of_any_size(
    exported: Exported,
) -> None:
    shapes = {
        value.name: [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]
        for value in (*_graph(exported).input, *_graph(exported).output)
    }
    assert shapes == {
        "signal": ["batch", 2, 64],
        "features": ["batch", 2],
        "feature_mask": ["batch", 2],
        "template": ["batch", 2, 64],
        "logits": ["batch", 3],
    }


def test_a_network_of_signals_alone_takes_nothing_else(tmp_path: Path) -> None:
    export_onnx(Mean(), tmp_path / "model.onnx")
    assert OnnxModel(tmp_path / "model.onnx").inputs == ("signal",)


def test_the_file_says_what_its_numbers_mean(exported: Exported) -> None:
    card = OnnxModel(exported.path).card
    assert card["classes"] == ["N", "S", "V"]
    assert card["preprocessing"] == CARD["preprocessing"]
    assert card["config"] == exported.model.config.to_dict()
    assert card["samples"] == 64
    assert "trial" not in card


def test_normalisation_in_the_file_is_of_the_models_features_in_their_order(
    exported: Exported,
) -> None:
    card = OnnxModel(exported.path).card
    assert card["features"] == ["age", "sex"]
    assert card["normalisation"] == {
        "signal_mean_uv": [0.5, 1.5],
        "signal_std_uv": [350.0, 200.0],
        "feature_mean": [60.0, 0.5],
        "feature_std": [15.0, 0.4],
    }


def test_a_card_that_lacks_a_features_statistics_is_refused(
    exported: Exported, tmp_path: Path
) -> None:
    with pytest.raises(ECGModelsError, match=r"no normalisation of the model's features \['age'"):
        export_onnx(exported.model, tmp_path / "m.onnx", card=CARD | {"features": ["age"]})
    assert list(tmp_path.iterdir()) == []


def test_the_file_names_no_path_of_the_machine_that_wrote_it(exported: Exported) -> None:
    content = exported.path.read_bytes()
    assert b".py" not in content
    assert str(Path(torch.__file__).parent).encode() not in content


def test_the_file_has_the_opset_that_is_documented(exported: Exported) -> None:
    (opset,) = onnx.load(exported.path).opset_import
    assert opset.version == OPSET


def test_exporting_says_nothing_and_leaves_the_network_as_it_was(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    model = Mean().train()
    with caplog.at_level(logging.WARNING):
        export_onnx(model, tmp_path / "model.onnx")
    assert model.training
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def test_an_export_that_answers_differently_is_not_written(tmp_path: Path) -> None:
    torch.manual_seed(0)
    with pytest.raises(ECGModelsError, match="logits would differ from the network's by"):
        export_onnx(DoubledWhenExported(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_export_of_weights_that_are_not_finite_is_not_written(tmp_path: Path) -> None:
    model = Mean()
    with torch.no_grad():
        model.classifier.bias.fill_(float("nan"))
    with pytest.raises(ECGModelsError, match="would differ from the network's by nan"):
        export_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_network_that_cannot_be_exported_is_named(tmp_path: Path) -> None:
    with pytest.raises(ECGModelsError, match="OfAKnownSign cannot be exported to ONNX"):
        export_onnx(OfAKnownSign(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("package", ["onnx", "onnxruntime", "onnxscript"])
def test_a_missing_package_is_named_with_the_extra_that_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(ECGModelsError, match=f"needs the package {package}") as caught:
        export_onnx(Mean(), tmp_path / "model.onnx")
    assert caught.value.hint == "pip install 'ecgsearch[export]'"


def test_a_file_that_is_no_model_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(ECGModelsError, match=r"onnxruntime cannot read .*model\.onnx"):
        OnnxModel(path)


def test_made_inputs_have_known_and_missing_features_and_a_segment_without_any() -> None:
    config = EfficientECGConfig(
        leads=1, samples=8, classes=2, base="tiny", features=("age", "sex"), fusion="concat"
    )
    _, features, known, _, _ = example_inputs(config, 20, torch.Generator().manual_seed(0))
    assert known.any()
    assert not known[-1].any()
    np.testing.assert_array_equal(features[~known], 0)


def _graph(exported: Exported) -> onnx.GraphProto:
    return onnx.load(exported.path).graph
