"""The table of learning curves: a Parquet file, one row a configuration.

number       int32, place in the sequence of configurations; also the seed of its training
key          string, what the configuration resolves to (`spaces.Candidate.key`)
parameters   int64
macs         int64, multiply-accumulates for one segment
params       struct, the answers to `suggest_*`; null where the space did not ask
epoch_s      double, seconds of an epoch on one thread, median; null if none ended
failure      string, null unless the training could not go on to the end
mean_f1 ...  list<float>, a validation metric (and train_loss) after each epoch

The file's metadata holds the protocol (`mitdb_protocol.CurveProtocol`). It holds configurations and
metrics, and no recording or any part of one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mitdb_protocol import CurveProtocol

from ecgmodels.files import write_atomically

METRICS = (
    "mean_f1",
    "balanced_accuracy",
    "macro_f1",
    "macro_auc",
    "accuracy",
    "validation_loss",
    "train_loss",
    *(f"{of}_{name}" for of in ("sensitivity", "positive_predictivity") for name in "NSVF"),
)
_PROTOCOL = b"mitdb_curves"


@dataclass(frozen=True, kw_only=True)
class LearningCurve:
    """One row of the table."""

    number: int
    key: str
    parameters: int
    macs: int
    params: Mapping[str, Any]
    epoch_s: float | None
    failure: str | None
    metrics: Mapping[str, Sequence[float]]

    @property
    def epochs(self) -> int:
        return len(self.metrics[METRICS[0]])


def write_table(path: Path, protocol: CurveProtocol, curves: Sequence[LearningCurve]) -> None:
    """Write the curves by number; `path` is whole at any time."""
    rows = []
    for curve in sorted(curves, key=lambda curve: curve.number):
        values = asdict(curve)
        rows.append({**values, **values.pop("metrics")})
    names = list(dict.fromkeys(name for row in rows for name in row["params"]))
    types: dict[str, pa.DataType] = {
        "number": pa.int32(),
        "key": pa.string(),
        "parameters": pa.int64(),
        "macs": pa.int64(),
        "params": pa.struct([(name, _type(name, rows)) for name in sorted(names)]),
        "epoch_s": pa.float64(),
        "failure": pa.string(),
        **{name: pa.list_(pa.float32()) for name in METRICS},
    }
    schema = pa.schema(list(types.items()), metadata={_PROTOCOL: protocol.to_json().encode()})
    whole = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(rows, schema), whole, compression="zstd")
    write_atomically(path, whole.getvalue())


def _type(name: str, rows: Sequence[Mapping[str, Any]]) -> pa.DataType:
    return pa.array([row["params"].get(name) for row in rows]).type


def read_table(path: Path) -> tuple[CurveProtocol, list[LearningCurve]]:
    """Return the protocol and the curves by number."""
    table = pq.read_table(path)
    protocol = CurveProtocol.from_json(table.schema.metadata[_PROTOCOL].decode())
    curves = []
    for row in table.to_pylist():
        metrics = {name: row.pop(name) for name in METRICS}
        params = {name: value for name, value in row.pop("params").items() if value is not None}
        curves.append(LearningCurve(**row, params=params, metrics=metrics))
    return protocol, curves


class Parts:
    """Curves that wait for the table, in a folder beside it: one small file each.

    The folder is invisible to git, and goes once the table is complete.
    """

    def __init__(self, table: Path) -> None:
        self.folder = table.with_suffix(".parts")
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.folder / ".gitignore", b"*\n")

    def write(self, curve: LearningCurve) -> None:
        content = json.dumps(asdict(curve), allow_nan=True)
        write_atomically(self.folder / f"curve-{curve.number:05}.json", content.encode())

    def read(self) -> list[LearningCurve]:
        files = sorted(self.folder.glob("curve-*.json"))
        return [LearningCurve(**json.loads(file.read_text())) for file in files]
