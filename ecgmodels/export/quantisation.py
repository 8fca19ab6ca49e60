"""Exported networks with int8 weights, by onnxruntime's dynamic quantisation.

Weights are rounded to 8 bits once; the maps between layers are rounded as they come, by their own
range, so nothing has to be calibrated. What becomes of each layer was chosen by measurement (one
thread of a CPU with AVX-512 VNNI, onnxruntime 1.32):

- Convolutions of one tap become matrix products (the same sums), which onnxruntime multiplies in
  8 bits: an EfficientECG of 3.9 million parameters takes half the time of its float file. Left as
  they are, quantising turns them into ConvInteger, which takes two and a half times as long.
- Other convolutions become ConvInteger with unsigned weights: its kernel for signed ones takes
  three to four times as long, and onnxruntime had none up to version 1.22.
- Depthwise convolutions stay float: they hold few weights and are slower in 8 bits.
- Layers of few weights stay float: the operations around them take more than is saved.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ecgmodels.export.packages import export_package, quiet
from ecgmodels.files import write_atomically

LEAST_WEIGHTS = 1024
"""A matrix of fewer weights stays float."""
LEAST_CONVOLUTION_WEIGHTS = 4096
"""A convolution of several taps with fewer weights stays float: what surrounds it costs more."""


def quantise(path: Path, quantised: Path) -> None:
    """Write what `export_onnx` wrote to `path` with int8 weights to `quantised`, metadata and all.

    How differently it answers has to be measured, as `ecgsearch export --dataset` does.

    Raises:
        ECGModelsError: a package of the extra "export" is missing.
    """
    onnx, quantisation = export_package("onnx"), export_package("onnxruntime.quantization")
    signed, unsigned = quantisation.QuantType.QInt8, quantisation.QuantType.QUInt8
    model, exported = onnx.load(path), onnx.load(path, load_external_data=False)
    _as_products(model.graph)
    # A matrix of weights has a scale for each of its columns.
    model = _rounded(model, ["MatMul"], _large_products, weight_type=signed, per_channel=True)
    model = _rounded(model, ["Conv"], _large_convolutions, weight_type=unsigned)
    model.graph.ClearField("value_info")
    model.ClearField("metadata_props")  # onnxruntime left a mark of its own there
    model.metadata_props.extend(exported.metadata_props)
    write_atomically(quantised, model.SerializeToString())


def _rounded(
    model: Any, operators: list[str], chosen: Callable[[Any], list[str]], **options: Any
) -> Any:
    """Return the model with 8-bit weights in those nodes that `chosen` names of its graph."""
    onnx, quantisation = export_package("onnx"), export_package("onnxruntime.quantization")
    nodes = chosen(model.graph)
    if not nodes:
        return model
    with TemporaryDirectory() as folder, quiet(None):
        rounded = Path(folder) / "model.onnx"
        quantisation.quantize_dynamic(
            model,
            rounded,
            op_types_to_quantize=operators,
            nodes_to_quantize=nodes,
            **options,
        )
        return onnx.load(rounded)


def _large_products(graph: Any) -> list[str]:
    """Return the names of matrix products with enough weights."""
    sizes = _sizes(graph)
    return [
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and sizes.get(node.input[1], 0) >= LEAST_WEIGHTS
    ]


def _large_convolutions(graph: Any) -> list[str]:
    """Return the names of convolutions over all channels with enough weights."""
    sizes = _sizes(graph)
    return [
        node.name
        for node in graph.node
        if node.op_type == "Conv"
        and sizes.get(node.input[1], 0) >= LEAST_CONVOLUTION_WEIGHTS
        and _attributes(node).get("group", 1) == 1
    ]


def _as_products(graph: Any) -> None:
    """Make each linear layer, and each convolution of one tap, a matrix product if large enough."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    nodes: list[Any] = []
    for node in graph.node:
        weight = weights.get(node.input[1]) if node.op_type in ("Conv", "Gemm") else None
        if weight is None or math.prod(weight.dims) < LEAST_WEIGHTS:
            nodes.append(node)
        elif node.op_type == "Gemm" and _is_linear(node):
            nodes.extend(_product(graph, node, weight, node.input[0], node.output[0]))
        elif node.op_type == "Conv" and _is_pointwise(node, weight):
            nodes.extend(_pointwise_product(graph, node, weight))
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    for name, weight in weights.items():
        if name not in used:
            graph.initializer.remove(weight)
    graph.ClearField("node")
    graph.node.extend(nodes)


def _is_linear(node: Any) -> bool:
    usual = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 0} | _attributes(node)
    return usual == {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}


def _is_pointwise(node: Any, weight: Any) -> bool:
    """Tell whether each output position of a map [b, c, 1, t] looks at its own input alone."""
    attributes = _attributes(node)
    return (
        list(weight.dims[2:]) == [1, 1]
        and attributes.get("group", 1) == 1
        and set(attributes.get("strides", [1])) == {1}
        and set(attributes.get("pads", [0])) == {0}
    )


def _pointwise_product(graph: Any, node: Any, weight: Any) -> Iterator[Any]:
    """Yield nodes that put channels last, multiply, and put them back."""
    transpose = export_package("onnx").helper.make_node
    last, product = f"{node.name}.last", f"{node.name}.product"
    yield transpose("Transpose", [node.input[0]], [last], last, perm=[0, 2, 3, 1])
    yield from _product(graph, node, weight, last, product)
    yield transpose("Transpose", [product], [node.output[0]], f"{product}.back", perm=[0, 3, 1, 2])


def _product(graph: Any, node: Any, weight: Any, data: str, result: str) -> Iterator[Any]:
    """Yield nodes that multiply `data: [..., in]` by weights [out, in, ...] and add the bias."""
    onnx = export_package("onnx")
    matrix = f"{node.name}.weights"
    values = onnx.numpy_helper.to_array(weight)
    columns = values.reshape(values.shape[:2]).T.copy()  # [in, out]
    graph.initializer.append(onnx.numpy_helper.from_array(columns, matrix))
    biased = len(node.input) > 2
    product = f"{node.name}.unbiased" if biased else result
    yield onnx.helper.make_node("MatMul", [data, matrix], [product], f"{node.name}.matmul")
    if biased:
        added = [product, node.input[2]]
        yield onnx.helper.make_node("Add", added, [result], f"{node.name}.bias")


def _sizes(graph: Any) -> dict[str, int]:
    return {tensor.name: math.prod(tensor.dims) for tensor in graph.initializer}


def _attributes(node: Any) -> dict[str, Any]:
    helper = export_package("onnx").helper
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}
