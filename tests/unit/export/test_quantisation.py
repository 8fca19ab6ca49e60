"""8-bit weights."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from ecgmodels import EfficientECGConfig
from ecgmodels.export.onnx import export_onnx, onnx_difference
from ecgmodels.export.quantisation import (
    LEAST_CONVOLUTION_WEIGHTS,
    LEAST_WEIGHTS,
    quantise,
)
from ecgmodels.export.session import OnnxModel

from .conftest import CARD, Exported, with_statistics

SHAPE = (2, 64, 1, 40)  # batch, channels, height, time


@pytest.fixture(scope="module")
def quantised(tmp_path_factory: pytest.TempPathFactory) -> tuple[Exported, Path]:
    """A network of some 130,000 parameters, in float and in 8 bits."""
    config = EfficientECGConfig(leads=2, samples=128, classes=3, base="small")
    model = with_statistics(config)
    folder = tmp_path_factory.mktemp("quantised")
    export_onnx(model, folder / "model.onnx", card=CARD)
    quantise(folder / "model.onnx", folder / "model.int8.onnx")
    return Exported(model=model, card=CARD, path=folder / "model.onnx"), folder / "model.int8.onnx"


def test_8_bit_weights_take_less_than_half_the_space(quantised: tuple[Exported, Path]) -> None:
    exported, path = quantised
    assert path.stat().st_size < 0.5 * exported.path.stat().st_size


def test_a_quantised_network_answers_nearly_as_the_network_does(
    quantised: tuple[Exported, Path],
) -> None:
    exported, path = quantised
    difference = onnx_difference(exported.model, path)
    assert 1e-4 < difference < 0.5  # of logits that span several units


def test_a_quantised_file_says_what_its_numbers_mean(quantised: tuple[Exported, Path]) -> None:
    exported, path = quantised
    assert OnnxModel(path).card == OnnxModel(exported.path).card
    assert [prop.key for prop in onnx.load(path).metadata_props] == ["card"]


def test_depthwise_convolutions_stay_float_and_pointwise_ones_become_products(
    quantised: tuple[Exported, Path],
) -> None:
    before, after = (_operators(onnx.load(path)) for path in (quantised[0].path, quantised[1]))
    assert after["MatMulInteger"] > 10
    assert after["ConvInteger"] == 0
    graph = onnx.load(quantised[1]).graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Conv" and node.input[1] in weights:
            channels, inputs, _, taps = weights[node.input[1]].dims
            assert inputs == 1 or channels * inputs * taps < LEAST_CONVOLUTION_WEIGHTS
    assert before["Conv"] > after["Conv"] > 5


def test_a_long_convolution_is_rounded_to_unsigned_weights(tmp_path: Path) -> None:
    # The kernel for signed ones is several times slower, and missing up to onnxruntime 1.22.
    got, expected = _round_trip(tmp_path, _convolution(64, 64, taps=5, pads=2))
    assert _operators(got[0])["ConvInteger"] == 1
    (weights,) = [
        t for t in got[0].graph.initializer if t.data_type == TensorProto.UINT8 and t.dims
    ]
    assert list(weights.dims) == [64, 64, 1, 5]
    np.testing.assert_allclose(got[1], expected, atol=0.05 * np.abs(expected).max())


def test_a_strided_convolution_of_one_tap_stays_a_convolution(tmp_path: Path) -> None:
    node, weight = _convolution(64, 64, taps=1, pads=0, stride=2)
    got, expected = _round_trip(tmp_path, (node, weight))
    assert got[1].shape == expected.shape
    np.testing.assert_allclose(got[1], expected, atol=0.05 * np.abs(expected).max())


def test_layers_of_few_weights_are_left_as_they_are(tmp_path: Path) -> None:
    assert LEAST_WEIGHTS > 64 * 8
    got, expected = _round_trip(tmp_path, _convolution(64, 8, taps=1, pads=0))
    assert _operators(got[0]) == {"Conv": 1}
    np.testing.assert_array_equal(got[1], expected)


def _convolution(
    inputs: int, outputs: int, *, taps: int, pads: int, stride: int = 1
) -> tuple[onnx.NodeProto, onnx.TensorProto]:
    weight = np.random.default_rng(0).normal(size=(outputs, inputs, 1, taps)).astype(np.float32)
    node = helper.make_node(
        "Conv",
        ["signal", "weight"],
        ["logits"],
        "conv",
        kernel_shape=[1, taps],
        pads=[0, pads, 0, pads],
        strides=[1, stride],
    )
    return node, numpy_helper.from_array(weight, "weight")


def _round_trip(
    folder: Path, layer: tuple[onnx.NodeProto, onnx.TensorProto]
) -> tuple[tuple[onnx.ModelProto, np.ndarray], np.ndarray]:
    """Return the quantised model of one layer with its output, and the float output."""
    node, weight = layer
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("signal", TensorProto.FLOAT, SHAPE)],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, None)],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, folder / "float.onnx")
    quantise(folder / "float.onnx", folder / "int8.onnx")
    signal = np.random.default_rng(1).normal(size=SHAPE).astype(np.float32)
    outputs = [_run(folder / name, signal) for name in ("float.onnx", "int8.onnx")]
    return (onnx.load(folder / "int8.onnx"), outputs[1]), outputs[0]


def _run(path: Path, signal: np.ndarray) -> np.ndarray:
    return OnnxModel(path).logits({"signal": signal})


def _operators(model: onnx.ModelProto) -> Counter[str]:
    return Counter(node.op_type for node in model.graph.node)
