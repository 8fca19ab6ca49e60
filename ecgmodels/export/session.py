"""A network that was exported, run by onnxruntime."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgmodels.errors import ECGModelsError
from ecgmodels.export.packages import export_package

CARD_KEY = "card"
"""Of the file's metadata: what it carries of the model's card."""
_ERRORS_ONLY = 3  # onnxruntime's severity "error"


class OnnxModel:
    """An ONNX file that `ecgmodels.export.onnx.export_onnx` wrote, on the CPU."""

    def __init__(self, model: Path | bytes, *, threads: int = 1) -> None:
        """Open a file or its content.

        Raises:
            ECGModelsError: onnxruntime is not installed, or cannot read the file.
        """
        runtime = export_package("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        source = model if isinstance(model, bytes) else str(model)
        try:
            self._session = runtime.InferenceSession(
                source, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's own classes have no common base but this
            name = "the exported model" if isinstance(model, bytes) else model
            raise ECGModelsError(
                f"onnxruntime cannot read {name}: {error}", hint="export the model again"
            ) from error
        self.inputs: tuple[str, ...] = tuple(each.name for each in self._session.get_inputs())
        (logits,) = self._session.get_outputs()
        self.classes: int = logits.shape[1]

    @cached_property
    def card(self) -> Mapping[str, Any]:
        """What the file says of the model, by the names of its card's entries."""
        return json.loads(self._session.get_modelmeta().custom_metadata_map[CARD_KEY])

    def logits(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """Return logits float32 [batch, class].

        Args:
            inputs: an array for each of `self.inputs`, as `ecgmodels.export.onnx` says.
        """
        return self._session.run(["logits"], dict(inputs))[0]
