"""How many epochs an earlier study saves, in simulation.

    python benchmarks/warm_starts.py [--seeds 5] [--jobs 4] [--problems NAME ...] [--json]

A search of a problem (900 epochs, one worker) is the earlier study. Then the same space is searched
on another dataset: all is harder there, and a smooth function of the parameters decides how much.
Rows are epochs, medians over the seeds, until a search that knows the earlier study has the
hypervolume that one without has after 433, a twelfth of 100 full trainings; what was not reached in
twice as many counts as infinite.

PROBLEM, alike    the other dataset orders candidates much as the first one does
PROBLEM, unlike   it orders them in a way of its own
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import optuna
from search_comparison import OBJECTIVES, EpochsRow
from search_problems import TUNING, make_problem
from search_synthetic import Candidate, FloatArray, Parameter, SyntheticProblem, place
from search_traces import epochs_to, reference
from table import Row, cpu_name, show

from search import simulate
from search.sampling.prior import PriorResults

EARLIER_EPOCHS, EPOCHS = 900, 433
CHANGES = {"alike": 0.3, "unlike": 3.0}
"""How much of an accuracy above chance another dataset may take, as an exponent."""
_HARDER = 0.85


class OtherDataset(SyntheticProblem):
    """The space of another problem, where its candidates learn less, each by its parameters."""

    def __init__(self, base: SyntheticProblem, change: float, seed: int) -> None:
        self.name = f"{base.name}, other dataset {seed}"  # type: ignore[misc]
        self.space = base.space
        self.chance = base.chance  # type: ignore[misc]
        self._base = base
        self._change = change
        rng = np.random.default_rng(seed)
        self._weights = {p.name: float(rng.exponential()) for p in base.space}
        self._best = {p.name: rng.random(max(len(p.choices), 1)) for p in base.space}

    def resolve(self, params: dict[str, object]) -> Candidate:
        return self._base.resolve(params)

    def size(self, candidate: Candidate) -> float:
        return self._base.size(candidate)

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        known = [p for p in self.space if p.name in candidate]
        lost = sum(self._weights[p.name] * self._off(p, candidate[p.name]) for p in known)
        kept = _HARDER * math.exp(-self._change * lost / len(self.space))
        there = self._base.accuracies(candidate, epochs, rng)
        return self.chance + kept * (there - self.chance)

    def _off(self, parameter: Parameter, value: object) -> float:
        """Return how far a value is from the best one here."""
        best = self._best[parameter.name]
        if parameter.kind == "choice":
            return float(best[parameter.choices.index(value)])
        assert isinstance(value, int | float)
        at = place(float(value), parameter.low, parameter.high, log=parameter.log)
        return float(3.0 * (at - best[0]) ** 2)


def spent(name: str, change: str, seed: int) -> float:
    """Return the epochs until a search with an earlier study has what one without has at last."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    base = make_problem(name)
    other = OtherDataset(base, CHANGES[change], seed)
    full, worst = base.max_epochs, reference(other)
    earlier = simulate(
        base, OBJECTIVES, max_epochs=full, budget_epochs=EARLIER_EPOCHS, seed=seed + 100
    )
    prior = PriorResults.of(earlier.study, OBJECTIVES, source="earlier", max_epochs=full)
    without, informed = (
        simulate(
            other, OBJECTIVES, max_epochs=full, budget_epochs=budget, seed=seed, priors=priors
        ).hypervolume_trace(worst)
        for budget, priors in ((EPOCHS, ()), (2 * EPOCHS, (prior,)))
    )
    return epochs_to(informed, without[-1][1])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--problems", nargs="+", choices=TUNING, default=TUNING)
    parser.add_argument("--json", action="store_true", help="print JSON rows")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        found = {
            f"{name}, {change}": [
                pool.submit(spent, name, change, seed) for seed in range(options.seeds)
            ]
            for change in CHANGES
            for name in options.problems
        }
        rows: list[Row] = [
            EpochsRow(
                name=label,
                device=cpu_name(1),
                ours=statistics.median(future.result() for future in futures),
                peer=float(EPOCHS),
                unit="epochs",
            )
            for label, futures in found.items()
        ]
    show(rows, as_json=options.json)


if __name__ == "__main__":
    main()
