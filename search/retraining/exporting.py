"""A model that was taken home, as ONNX files: what they weigh, how fast and how good they are."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ecgmodels import load_model
from ecgmodels.data import Dataset, Segments, open_dataset
from ecgmodels.export.onnx import OPSET, export_onnx, onnx_difference
from ecgmodels.export.prediction import predict_exported
from ecgmodels.export.quantisation import quantise
from ecgmodels.export.session import OnnxModel
from ecgmodels.files import write_atomically
from ecgmodels.inference.latency import REPEATS, Latency, latencies
from search.errors import StudyError
from search.retraining.evaluation import Evaluation, evaluation_of

FILES = {"onnx": "model.onnx", "int8": "model.int8.onnx"}
REPORT = "export.json"
_VERSIONS = ("torch", "onnx", "onnxruntime", "onnxscript", "numpy")


@dataclass(frozen=True, kw_only=True)
class ExportedFile:
    """One file that was written."""

    path: Path
    bytes: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> ExportedFile:
        content = path.read_bytes()
        return cls(path=path, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What the exported files answer on the validation part that the model was chosen by."""

    evaluations: Mapping[str, Evaluation]
    """By kind of file, "onnx" and "int8"."""
    padded_segments: int
    """Segments whose filling the exported files look at, while the network has a mask for it."""
    largest_change: float | None
    """Of a probability, int8 against float; None without int8."""

    def to_dict(self) -> dict[str, Any]:
        return {
            **{kind: evaluation.to_dict() for kind, evaluation in self.evaluations.items()},
            "padded_segments": self.padded_segments,
            "largest_change_of_a_probability": self.largest_change,
        }


@dataclass(frozen=True, kw_only=True)
class Export:
    """What was exported, and what was measured of it."""

    card: Mapping[str, Any]
    weights: ExportedFile
    files: Mapping[str, ExportedFile]
    """By kind, "onnx" and perhaps "int8"."""
    difference: float
    """Largest of a logit, torch against onnxruntime, on made inputs."""
    latency: Mapping[str, Latency]
    """By kind: "eager", "folded", "onnx" and perhaps "int8"."""
    validation: Validation | None

    def to_dict(self) -> dict[str, Any]:
        """Return what `export.json` holds; the card stays as the training wrote it."""
        return {
            "weights_sha256": self.card["weights_sha256"],
            "opset": OPSET,
            "largest_difference_of_a_logit": self.difference,
            "files": {
                kind: {"file": file.path.name, "bytes": file.bytes, "sha256": file.sha256}
                for kind, file in self.files.items()
            },
            "latency": {kind: latency.to_dict() for kind, latency in self.latency.items()},
            "validation": None if self.validation is None else self.validation.to_dict(),
            "versions": {name: importlib.metadata.version(name) for name in _VERSIONS},
        }


def export_folder(
    folder: Path,
    *,
    out: Path | None = None,
    int8: bool = False,
    dataset: str | None = None,
    repeats: int = REPEATS,
) -> Export:
    """Write the ONNX files of a model that `retrain` wrote, measure them, write `export.json`.

    Args:
        out: where to write; by default the model's folder.
        int8: write a quantised file, too.
        dataset: the one the model was trained on; with it, the files are evaluated on the
            validation part, one segment at a time.
        repeats: of each latency.

    Raises:
        ECGModelsError: the model or the dataset cannot be read, a package is missing, or the export
            is not true to the network.
        StudyError: the dataset is another.
    """
    model, card = load_model(folder)
    opened = None if dataset is None else _its_dataset(card, dataset, folder)
    target = out or folder
    target.mkdir(parents=True, exist_ok=True)
    paths = {"onnx": target / FILES["onnx"]}
    export_onnx(model, paths["onnx"], card=card)
    if int8:
        paths["int8"] = target / FILES["int8"]
        quantise(paths["onnx"], paths["int8"])
    export = Export(
        card=card,
        weights=ExportedFile.of(folder / "model.safetensors"),
        files={kind: ExportedFile.of(path) for kind, path in paths.items()},
        difference=onnx_difference(model, paths["onnx"], seed=1),
        latency=latencies(model, paths, repeats=repeats),
        validation=None if opened is None else _validation(opened, card, paths),
    )
    text = json.dumps(export.to_dict(), indent=2, allow_nan=False)
    write_atomically(target / REPORT, (text + "\n").encode())
    return export


def _its_dataset(card: Mapping[str, Any], dataset: str, folder: Path) -> Dataset:
    """Open the dataset that the card is of."""
    expected = card.get("dataset", {}).get("hash")
    if expected is None or "split" not in card:
        raise StudyError(
            f"the card in {folder} names no dataset and split, so nothing says what to evaluate on",
            hint="leave --dataset out, or export a model that `ecgsearch retrain` wrote",
        )
    opened = open_dataset(dataset)
    if opened.hash != expected:
        raise StudyError(
            f"{dataset} is not the dataset that the model was trained on (hash "
            f"{opened.hash[:12]}, the card has {str(expected)[:12]})",
            hint="give the dataset of the model's study",
        )
    return opened


def _validation(dataset: Dataset, card: Mapping[str, Any], paths: Mapping[str, Path]) -> Validation:
    _, segments = dataset.development(card["split"])
    probabilities = {
        kind: predict_exported(
            OnnxModel(path),
            segments,
            dataset.normalisation(card["split"]),
            feature_names=dataset.features,
            multi_label=dataset.multi_label,
        )
        for kind, path in paths.items()
    }
    change = None
    if "int8" in probabilities:
        change = float(np.abs(probabilities["int8"] - probabilities["onnx"]).max(initial=0.0))
    return Validation(
        evaluations={
            kind: evaluation_of(
                found,
                segments.label,
                segments.record,
                part=f"validation ({card['split']})",
                classes=dataset.classes,
                scored_classes=dataset.scored_classes,
                score=dataset.score,
                challenge=dataset.challenge,
            )
            for kind, found in probabilities.items()
        },
        padded_segments=_padded(segments),
        largest_change=change,
    )


def _padded(segments: Segments) -> int:
    return int((np.asarray(segments.valid_samples) < segments.signal_uv.shape[2]).sum())
