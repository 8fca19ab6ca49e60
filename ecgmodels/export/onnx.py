"""Networks as ONNX files, each compared with the network before it is written.

Opset 20 is the oldest that holds every operator that the networks need (GELU came with it), so that
older runtimes read the files, too: onnxruntime 1.20 does.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ecgmodels.errors import ECGModelsError
from ecgmodels.export.packages import export_package, quiet
from ecgmodels.export.session import CARD_KEY, OnnxModel
from ecgmodels.files import write_atomically
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.network import ECGNetwork

OPSET = 20
TOLERANCE = 1e-4
"""Largest difference of a logit that an export may make."""

ESSENTIALS = (
    "leads",
    "rate_hz",
    "uv_per_unit",
    "task",
    "multi_label",
    "classes",
    "samples_before",
    "preprocessing",
    "normalisation",
    "non_causal",
    "score",
    "dataset",
    "split",
    "split_hash",
    "weights_sha256",
)
"""Entries of a model's card that its ONNX file carries, so that the file is of use alone."""

_FORWARD = ("signal", "features", "feature_mask", "signal_mask", "template")
_LARGEST_BATCH = 2**20
_EXAMPLES = 2  # 0 and 1 would be taken for constants


def export_onnx(model: ECGNetwork, path: Path, *, card: Mapping[str, Any] | None = None) -> None:
    """Write `model` in evaluation mode as an ONNX file that onnxruntime answers as torch does.

    Inputs are those of `ECGNetwork.forward` that the configuration has: `signal`, `features` and
    `feature_mask` where there are features, `template` where it is set; the batch is of any size,
    the length is the configured one. The output is `logits`, float32 [batch, class].

    Args:
        path: its folder must exist.
        card: what `load_model` gives beside the model; the `ESSENTIALS` of it go into the file's
            metadata, JSON under the key "card", beside the configuration. `features` there are the
            model's own, in the order of the input, and the normalisation is of those alone.

    Raises:
        ECGModelsError: a package is missing, an operator cannot be exported, the card has no
            normalisation of a feature, or a logit differs by more than `TOLERANCE`; nothing is
            written then.
    """
    path = Path(path)
    carried = _carried(model.config, card or {})
    here = copy.deepcopy(model).cpu().float().eval()
    content = _exported(here, carried)
    difference = onnx_difference(here, content)
    if not difference <= TOLERANCE:  # NaN too
        raise ECGModelsError(
            f"{path} is not written: its logits would differ from the network's by "
            f"{difference:.2g}, at most {TOLERANCE:g} is allowed",
            hint="check that the weights are finite and the network was trained; if so, report it "
            "with the model's card",
        )
    write_atomically(path, content)


def onnx_difference(
    model: ECGNetwork,
    onnx_model: Path | bytes,
    inputs: Sequence[Sequence[Tensor | None]] | None = None,
    *,
    seed: int = 0,
) -> float:
    """Return the largest absolute difference between torch's and onnxruntime's logits.

    Args:
        model: it is left as it is.
        onnx_model: a file that `export_onnx` wrote, or its content.
        inputs: batches of what `ECGNetwork.forward` takes, in its order and without a signal mask;
            by default `example_inputs` of 1, 2 and 5 segments.
        seed: of the inputs that are made.

    Raises:
        ECGModelsError: onnxruntime is missing or cannot read the file.
    """
    session = OnnxModel(onnx_model)
    here = copy.deepcopy(model).cpu().float().eval()
    if inputs is None:
        generator = torch.Generator().manual_seed(seed)
        inputs = [example_inputs(model.config, size, generator) for size in (1, 2, 5)]
    difference = 0.0
    for batch in inputs:
        with torch.inference_mode():
            expected = here(*batch).numpy()
        got = session.logits(named_inputs(session.inputs, batch))
        difference = max(difference, float(np.abs(expected - got).max()))
        if np.isnan(expected - got).any():
            return float("nan")
    return difference


def example_inputs(
    config: ModelConfig, batch: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor, None, Tensor | None]:
    """Make standard normal inputs of so many segments; the last one knows no feature.

    Returns:
        Signal, features, feature mask, no signal mask and template, as `ECGNetwork.forward` takes
        them; half of the other segments' features are missing.
    """
    shape = (batch, config.leads, config.samples)
    signal = torch.randn(shape, generator=generator)
    template = torch.randn(shape, generator=generator) if config.template else None
    known = torch.rand((batch, len(config.features)), generator=generator) < 0.5
    known[-1] = False
    values = torch.randn(known.shape, generator=generator)
    return signal, values.masked_fill(~known, 0), known, None, template


def input_names(config: ModelConfig) -> tuple[str, ...]:
    """Return the names of the exported model's inputs, in their order."""
    features = ("features", "feature_mask") if config.features else ()
    return ("signal", *features, *(("template",) if config.template else ()))


def named_inputs(names: Sequence[str], inputs: Sequence[Tensor | None]) -> dict[str, NDArray[Any]]:
    """Return what an exported model with inputs of these `names` takes, as `OnnxModel.logits` does.

    Args:
        inputs: what `ECGNetwork.forward` takes, in its order.
    """
    given = dict(zip(_FORWARD, inputs, strict=False))
    arrays = {}
    for name in names:
        tensor = given.get(name)
        if tensor is None:
            raise ValueError(f"the exported model takes '{name}', which is not among the inputs")
        arrays[name] = tensor.numpy()
    return arrays


class _NamedInputs(nn.Module):
    """The network as a function of the inputs that its configuration has."""

    def __init__(self, model: ECGNetwork) -> None:
        super().__init__()
        self.model = model
        self.names = input_names(model.config)

    def forward(self, *inputs: Tensor) -> Tensor:
        given = dict(zip(self.names, inputs, strict=True))
        none = given["signal"].new_zeros((given["signal"].shape[0], 0))
        return self.model(
            given["signal"],
            given.get("features", none),
            given.get("feature_mask", none.bool()),
            None,
            given.get("template"),
        )


def _exported(model: ECGNetwork, carried: str) -> bytes:
    """Return the ONNX file's content."""
    for name in ("onnx", "onnxscript"):
        export_package(name)
    names = input_names(model.config)
    generator = torch.Generator().manual_seed(0)
    signal, features, mask, _, template = example_inputs(model.config, _EXAMPLES, generator)
    made = {"signal": signal, "features": features, "feature_mask": mask, "template": template}
    batch = torch.export.Dim("batch", min=1, max=_LARGEST_BATCH)
    shapes = (tuple({0: batch} for _ in names),)
    with quiet("torch.onnx"):
        try:
            # Not left to torch.onnx, which would take another way where this one fails, and may
            # then fix the batch's size.
            traced = torch.export.export(
                _NamedInputs(model),
                tuple(made[name] for name in names),
                dynamic_shapes=shapes,
                strict=False,
            )
            program = torch.onnx.export(
                traced,
                dynamo=True,
                opset_version=OPSET,
                input_names=list(names),
                output_names=["logits"],
                dynamic_shapes=shapes,
                verbose=False,
            )
        except Exception as error:  # torch raises what it likes about a network's code
            raise ECGModelsError(
                f"{type(model).__name__} cannot be exported to ONNX: {error.__cause__ or error}",
                hint="report it with the model's configuration and the versions of torch and "
                "onnxscript",
            ) from error
    assert program is not None
    proto = program.model_proto
    _forget_sources(proto.graph)
    proto.metadata_props.add(key=CARD_KEY, value=carried)
    return proto.SerializeToString()


def _forget_sources(graph: Any) -> None:
    """Remove the traces of Python code, with paths of this machine, that the exporter leaves."""
    graph.ClearField("metadata_props")
    graph.ClearField("value_info")  # a reader infers the shapes in between
    for entry in (*graph.node, *graph.input, *graph.output, *graph.initializer):
        entry.ClearField("metadata_props")
        entry.ClearField("doc_string")


def _carried(config: ModelConfig, card: Mapping[str, Any]) -> str:
    """Return what the file says of the model, as JSON."""
    values = {key: card[key] for key in ESSENTIALS if key in card}
    if "normalisation" in values:
        values["normalisation"] = _normalisation_of(config, card)
    values |= {
        "config": config.to_dict(),
        "samples": config.samples,
        "features": list(config.features),
    }
    return json.dumps(values, allow_nan=False)


def _normalisation_of(config: ModelConfig, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return the card's normalisation with the statistics of the model's own features."""
    normalisation = dict(card["normalisation"])
    columns = list(card.get("features", config.features))
    try:
        chosen = [columns.index(name) for name in config.features]
        for key in ("feature_mean", "feature_std") if chosen else ():
            normalisation[key] = [normalisation[key][column] for column in chosen]
    except (ValueError, KeyError, IndexError) as error:
        raise ECGModelsError(
            f"the card has no normalisation of the model's features {list(config.features)}",
            hint="name the dataset's features, and give feature_mean and feature_std of each",
        ) from error
    return normalisation
