"""What others do: searches of a problem with the epochs they spend, one result an epoch.

random          random parameters, every training in full
nsga2           Optuna's NSGA-II as it comes (a population of 50), every training in full
tpe             Optuna's TPE for two objectives as it comes, every training in full: what Ray Tune
                2.60 does with `OptunaSearch(metric=[...], mode=["max", "min"])` and nothing else
tpe_asha        the same TPE with ASHA by accuracy alone (`ASHAScheduler(max_t=52, grace_period=1,
                reduction_factor=3)`); a stopped trial is told with its last result, as OptunaSearch
                does
moasha          Syne Tune's, in an environment of its own: see search_peer_worker.py
neps_hyperband  NePS's Hyperband for several objectives, likewise
neps_primo      NePS's PriMO, likewise; only on request, as its search of one problem takes about
                ten minutes

All run one trial at a time, which is the best that can happen to a sampler, and see log10 of the
parameters, in which a front is spread evenly. A training that diverges ends there and is told as
failed. (OptunaSearch would leave it running for ever.)
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.trial import TrialState
from search_synthetic import Parameter, Result, SyntheticProblem, train

ETA = 3
_WORKER = Path(__file__).with_name("search_peer_worker.py")
_PACKAGES = {"moasha": "syne_tune", "neps_hyperband": "neps", "neps_primo": "neps"}


@dataclass(frozen=True, kw_only=True)
class Peer:
    """A search by somebody else; travels between processes by its name and its Python."""

    name: str
    python: str | None = None
    """The interpreter that has its package; None where this one does."""

    @property
    def code(self) -> str:
        """What its traces depend on, beside the problem."""
        return (_WORKER if self.name in _PACKAGES else Path(__file__)).read_text()

    def search(self, problem: SyntheticProblem, seed: int, budget_epochs: int) -> Iterable[Result]:
        """Return every epoch's result, in the order they are spent."""
        if self.python is not None:
            return _elsewhere(self.python, self.name, problem, seed, budget_epochs)
        return _OPTUNA[self.name](problem, seed, budget_epochs)

    def missing(self) -> str | None:
        """Return why it cannot search here, or None."""
        package = _PACKAGES.get(self.name)
        if package is None:
            return None
        if self.python is None:
            return f"name an interpreter that has {package} with --peers-python"
        found = subprocess.run(
            [self.python, "-c", f"import {package}"], capture_output=True, text=True, check=False
        )
        return None if found.returncode == 0 else found.stderr.strip().splitlines()[-1]


def find_peer(name: str, python: str | None) -> Peer:
    """Return the peer of that name."""
    return Peer(name=name, python=python if name in _PACKAGES else None)


def _random(problem: SyntheticProblem, seed: int, budget_epochs: int) -> Iterator[Result]:
    return _with_optuna(RandomSampler(seed=seed), problem, seed, budget_epochs)


def _nsga2(problem: SyntheticProblem, seed: int, budget_epochs: int) -> Iterator[Result]:
    return _with_optuna(NSGAIISampler(seed=seed), problem, seed, budget_epochs)


def _tpe(problem: SyntheticProblem, seed: int, budget_epochs: int) -> Iterator[Result]:
    return _with_optuna(TPESampler(seed=seed), problem, seed, budget_epochs)


def _tpe_asha(problem: SyntheticProblem, seed: int, budget_epochs: int) -> Iterator[Result]:
    return _with_optuna(TPESampler(seed=seed), problem, seed, budget_epochs, AccuracyASHA())


_OPTUNA: dict[str, Callable[[SyntheticProblem, int, int], Iterator[Result]]] = {
    "random": _random,
    "nsga2": _nsga2,
    "tpe": _tpe,
    "tpe_asha": _tpe_asha,
}

PEERS = (*_OPTUNA, *_PACKAGES)


class AccuracyASHA:
    """Ray Tune's asynchronous halving: below the best third at a rung, a trial is stopped.

    As `ray.tune.schedulers.async_hyperband._Bracket.on_result` decides.
    """

    def __init__(self) -> None:
        self._rungs: dict[int, list[float]] = {1: [], 3: [], 9: [], 27: []}

    def stops(self, epoch: int, accuracy: float) -> bool:
        """Return whether a trial with that result after that epoch is stopped; remember it."""
        known = self._rungs.get(epoch)
        if known is None:
            return False
        cutoff = np.percentile(known, (1.0 - 1.0 / ETA) * 100.0) if known else -math.inf
        known.append(accuracy)
        return bool(accuracy < cutoff)


def _with_optuna(
    sampler: BaseSampler,
    problem: SyntheticProblem,
    seed: int,
    budget_epochs: int,
    asha: AccuracyASHA | None = None,
) -> Iterator[Result]:
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=sampler)
    spent = 0
    while spent < budget_epochs:
        trial = study.ask()
        last: Result = (math.nan, math.nan)
        training = train(problem, problem.suggest(trial), seed)
        for epoch, last in enumerate(training, start=1):
            spent += 1
            yield last
            diverged = not math.isfinite(last[0])
            if diverged or spent >= budget_epochs or (asha and asha.stops(epoch, last[0])):
                break
        if math.isfinite(last[0]):
            study.tell(trial, last)
        else:
            study.tell(trial, state=TrialState.FAIL)


def _elsewhere(
    python: str, peer: str, problem: SyntheticProblem, seed: int, budget_epochs: int
) -> Iterator[Result]:
    """Let the worker search in an environment that has the peer's package; train for it here."""
    task = {
        "peer": peer,
        "seed": seed,
        "budget_epochs": budget_epochs,
        "max_epochs": problem.max_epochs,
        "space": [flat_parameter(parameter) for parameter in problem.space],
    }
    curve: list[Result] = []
    with (
        tempfile.TemporaryFile("w+") as complaints,
        subprocess.Popen(
            [python, str(_WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        ) as worker,
    ):
        assert worker.stdin
        assert worker.stdout
        print(json.dumps(task), file=worker.stdin, flush=True)
        for line in worker.stdout:
            said = json.loads(line)
            if "spent" in said:
                first, last = said["spent"]
                yield from curve[first:last]
            else:
                candidate = problem.suggest(FlatTrial(problem.space, said["train"]))
                curve = list(train(problem, candidate, seed))
                print(json.dumps(curve), file=worker.stdin, flush=True)
        if worker.wait() != 0:
            complaints.seek(0)
            raise RuntimeError(f"{peer} failed on {problem.name}: {complaints.read()[-2000:]}")


def flat_parameter(parameter: Parameter) -> dict[str, Any]:
    """Return a parameter as the worker takes it: a choice and steps by their numbers from 0."""
    low, high = parameter.low, parameter.high
    if parameter.kind == "choice":
        low, high = 0, len(parameter.choices) - 1
    elif parameter.kind == "int" and not parameter.log:
        low, high = 0, (high - low) // parameter.step
    return {
        "name": parameter.name,
        "kind": parameter.kind,
        "low": low,
        "high": high,
        "log": parameter.log,
    }


class FlatTrial:
    """Answers `suggest_*` from what the worker chose for the parameters of a space."""

    def __init__(self, space: tuple[Parameter, ...], flat: Mapping[str, Any]) -> None:
        self._space = {parameter.name: parameter for parameter in space}
        self._flat = flat

    def suggest_float(self, name: str, *_: Any, **__: Any) -> float:
        return float(self._flat[name])

    def suggest_int(self, name: str, *_: Any, **__: Any) -> int:
        parameter, value = self._space[name], int(self._flat[name])
        return value if parameter.log else int(parameter.low) + parameter.step * value

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[int(self._flat[name])]
