"""How long each member of a front takes for one segment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from ecgmodels import build_model, model_config
from ecgmodels.export.onnx import export_onnx
from ecgmodels.inference.latency import REPEATS, Latency, latencies
from search.errors import StudyError
from search.study.folder import StudyFolder
from search.study.fronts import front_records
from search.study.records import CandidateRecord


@dataclass(frozen=True, kw_only=True)
class MemberLatency:
    """One member of the front."""

    trial: int
    key: str
    parameters: float
    macs: float
    latency: Mapping[str, Latency]
    """By kind: "eager", "folded" and "onnx"."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "trial": self.trial,
            "key": self.key,
            "parameters": self.parameters,
            "macs": self.macs,
            "latency": {kind: latency.to_dict() for kind, latency in self.latency.items()},
        }


def front_latencies(
    path: Path, *, repeats: int = REPEATS, progress: Callable[[int, int], None]
) -> list[MemberLatency]:
    """Measure the networks of a study's front on one thread, smallest first.

    They are built from the candidates' configurations, with random weights.

    Args:
        progress: called with (done, in all).

    Raises:
        StudyError: there is no study, or it searches something else than ECG networks.
        ECGModelsError: a package that exporting needs is missing.
    """
    folder = StudyFolder(path)
    study_file = folder.study_file()
    if study_file.problem is not None:
        raise StudyError(
            f"study {path} searches '{study_file.problem.path}', which is not EfficientECG",
            hint="measure it with your own code: `ecgsearch pareto --json` gives the "
            "configurations",
        )
    records = front_records(folder.open())
    members = []
    for number, record in enumerate(records):
        progress(number, len(records))
        members.append(_measured(record, repeats))
    progress(len(records), len(records))
    return members


def _measured(record: CandidateRecord, repeats: int) -> MemberLatency:
    torch.manual_seed(0)
    model = build_model(model_config(record.candidate["model"]))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(model, path)
        latency = latencies(model, {"onnx": path}, repeats=repeats)
    return MemberLatency(
        trial=record.number,
        key=record.key,
        parameters=record.costs["parameters"],
        macs=record.costs["macs"],
        latency=latency,
    )
