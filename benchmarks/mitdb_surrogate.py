"""A problem for simulated searches, fitted to real trainings of EfficientECG on MIT-BIH.

    python benchmarks/mitdb_surrogate.py [--curves benchmarks/data/mitdb_curves.parquet] [--json]

`MITDBSurrogate` searches the space that the curves were collected in (see `mitdb_protocol`): its
conditional parameters, keys and exact costs are the real ones. What learning gives is predicted
(see `mitdb_forest`), for as many epochs as were trained and no more.

The command prints, for 5-fold held-out configurations and each rung:

Spearman, Kendall   rank correlation of predicted and real values
size alone          Spearman's of parameter counts and real values: what needs no surrogate
error               standard deviation of real minus predicted: what the problem adds as noise
rung to end, real   Spearman's of the real values at this epoch and after the last one
rung to end, drawn  the same of drawn curves, noise and all: whether rungs mislead as they really do
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from mitdb_forest import METRICS, CurveData, CurveForest
from mitdb_protocol import CurveProtocol
from mitdb_table import read_table
from scipy.stats import kendalltau, spearmanr

from ecgmodels import cost
from ecgmodels.files import write_atomically
from search.errors import StudyError
from search.problem import Context
from spaces import Candidate, Trial

CURVES = Path(__file__).parent / "data" / "mitdb_curves.parquet"
RUNGS = (1, 3, 9, 27)
REPORTED = ("mean_f1", "balanced_accuracy")


@lru_cache(maxsize=4)
def fitted(curves: Path) -> tuple[CurveProtocol, CurveData, CurveForest]:
    """Return the protocol, the curves and the forest of a table, once a process."""
    protocol, rows = read_table(curves)
    data = CurveData.of(protocol, rows)
    return protocol, data, CurveForest(data)


@dataclass(frozen=True, kw_only=True)
class PredictedEpoch:
    """One epoch of a training that did not take place."""

    number: int
    metrics: Mapping[str, float]
    seconds: float
    """As on one core."""

    def save(self, path: Path) -> None:
        """Write the number: the rest follows from candidate and seed."""
        write_atomically(path, json.dumps(self.number).encode())


class MITDBSurrogate:
    """The space of the table, and curves by the forest; the same seed gives the same curve."""

    name = "mitdb"

    def __init__(self, curves: str | Path = CURVES) -> None:
        """Read the table and fit the forest, unless this process did so before.

        Raises:
            ValueError: there are too few curves, or the models changed since they were measured.
        """
        self._protocol, _, self._forest = fitted(Path(curves).resolve())
        self.max_epochs = self._protocol.epochs
        """Full length of a training, and of every learning-rate schedule."""

    def suggest(self, trial: Trial) -> Candidate:
        return self._protocol.space.suggest(trial)

    def cost(self, candidate: Candidate) -> Mapping[str, float]:
        return cost(candidate.model)

    def key(self, candidate: Candidate) -> str:
        return candidate.key(self._protocol.dataset_hash)

    def learn(self, candidate: Candidate, context: Context) -> Iterator[PredictedEpoch]:
        """Yield the metrics in `mitdb_forest.METRICS`.

        Raises:
            StudyError: more epochs are asked for than were ever trained.
        """
        if context.max_epochs > self.max_epochs:
            raise StudyError(
                f"the curves have {self.max_epochs} epochs, {context.max_epochs} are asked for",
                hint=f"search with max_epochs of {self.max_epochs} at most",
            )
        expected, epoch_s = self._forest.predict(candidate)
        identity = f"{self.key(candidate)} {context.seed}".encode()
        seed = int.from_bytes(hashlib.sha256(identity).digest()[:8])
        curve = self._forest.draw(expected, np.random.default_rng(seed))
        past = json.loads(context.checkpoint.read_text()) if context.checkpoint else 0
        for number in range(past + 1, context.max_epochs + 1):
            values = (float(value) for value in curve[:, number - 1])
            yield PredictedEpoch(
                number=number, metrics=dict(zip(METRICS, values, strict=True)), seconds=epoch_s
            )


def correlations(data: CurveData, forest: CurveForest) -> list[dict[str, Any]]:
    """Return one row for each metric and rung; see the module's docstring."""
    chance = np.random.default_rng(0)
    drawn = np.array([forest.draw(expected, chance) for expected in forest.held_out])
    epochs = data.metrics.shape[2]
    rows = []
    for name in REPORTED:
        real, expected, simulated = (
            values[:, METRICS.index(name)] for values in (data.metrics, forest.held_out, drawn)
        )
        for epoch in (rung for rung in RUNGS if rung <= epochs):
            here = epoch - 1
            rows.append(
                {
                    "metric": name,
                    "epoch": epoch,
                    "Spearman": _spearman(expected[:, here], real[:, here]),
                    "Kendall": float(kendalltau(expected[:, here], real[:, here]).statistic),
                    "size alone": _spearman(data.parameters, real[:, here]),
                    "error": float(np.std(real[:, here] - expected[:, here])),
                    "rung to end, real": _spearman(real[:, here], real[:, -1]),
                    "rung to end, drawn": _spearman(simulated[:, here], simulated[:, -1]),
                }
            )
    return rows


def _spearman(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    return float(spearmanr(first, second).statistic)


def as_table(rows: list[dict[str, Any]]) -> str:
    cells = [list(rows[0])]
    for row in rows:
        cells.append([f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])])
        for line in cells
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--curves", type=Path, default=CURVES)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        protocol, data, forest = fitted(options.curves.resolve())
    except FileNotFoundError:
        sys.exit(f"no {options.curves}\nfix: python benchmarks/mitdb_curves.py")
    except ValueError as error:
        sys.exit(f"error: {error}\nfix: python benchmarks/mitdb_curves.py")
    rows = correlations(data, forest)
    if options.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{len(data.rows)} configurations of {protocol.epochs} epochs", end="")
    print(f" ({data.left_out} more did not run to the end)\n" if data.left_out else "\n")
    print(as_table(rows))


if __name__ == "__main__":
    main()
