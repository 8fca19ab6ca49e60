"""What the synthetic search problems have in common: spaces as data, curves, noise, cost.

Every problem looks like searching compound-scaled networks: some of 6 to 20 parameters decide the
size, over about three decades (2,000 to 4 million parameters), accuracy saturates with size, and
the others can only cost accuracy. A candidate's learning curve depends on the candidate and
`Context.seed` alone. Only numpy is needed, so that peers can run in an environment of their own.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Candidate = Mapping[str, Any]

SMALLEST_LOG10, LARGEST_LOG10 = 3.3, 6.6
"""About the sizes that every problem spans."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One parameter of a space; a space that is data can be handed to a peer of any kind."""

    name: str
    kind: Literal["float", "int", "choice"]
    low: float = 0.0
    high: float = 1.0
    step: int = 1
    """Of an int on a linear scale."""
    log: bool = False
    choices: tuple[Any, ...] = ()
    when: tuple[str, tuple[Any, ...]] | None = None
    """It is there only when that earlier parameter has one of those values."""

    def ask(self, trial: Any) -> Any:
        """Suggest a value through a trial of Optuna's, or one like it."""
        if self.kind == "choice":
            return trial.suggest_categorical(self.name, self.choices)
        if self.kind == "float":
            return trial.suggest_float(self.name, self.low, self.high, log=self.log)
        low, high = int(self.low), int(self.high)
        if self.log:
            return trial.suggest_int(self.name, low, high, log=True)
        return trial.suggest_int(self.name, low, high, step=self.step)


def real(name: str, low: float, high: float, *, log: bool = False, **options: Any) -> Parameter:
    return Parameter(name=name, kind="float", low=low, high=high, log=log, **options)


def whole(name: str, low: int, high: int, **options: Any) -> Parameter:
    return Parameter(name=name, kind="int", low=low, high=high, **options)


def choice(name: str, *choices: Any, **options: Any) -> Parameter:
    return Parameter(name=name, kind="choice", choices=choices, **options)


class Trial(Protocol):
    """What is asked of a trial: Optuna's, or any that answers alike."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = ...) -> float: ...
    def suggest_int(self, name: str, low: int, high: int, *, log: bool = ...) -> int: ...
    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any: ...


@dataclass(frozen=True, kw_only=True)
class SyntheticEpoch:
    """One epoch of a curve."""

    number: int
    metrics: Mapping[str, float]
    seconds: float

    def save(self, path: Path) -> None:
        path.write_text(json.dumps({"epoch": self.number}))


class SyntheticProblem:
    """A problem with accuracy to maximise and parameters to keep few."""

    name: ClassVar[str]
    space: tuple[Parameter, ...]
    chance: ClassVar[float] = 0.25
    """Accuracy of a network that has learned nothing."""
    max_epochs: int = 52
    """Full length of a training."""
    fingerprint: str = ""
    """What its curves depend on beside its code."""

    def suggest(self, trial: Any) -> Candidate:
        """Return the candidate that a trial's parameters resolve to."""
        params: dict[str, Any] = {}
        for parameter in self.space:
            if parameter.when is None or params.get(parameter.when[0]) in parameter.when[1]:
                params[parameter.name] = parameter.ask(trial)
        return self.resolve(params)

    def resolve(self, params: dict[str, Any]) -> Candidate:
        """Return what the parameters make: other parameters may make the same."""
        return params

    def key(self, candidate: Candidate) -> str:
        canonical = json.dumps(candidate, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:20]

    def cost(self, candidate: Candidate) -> dict[str, float]:
        return {"parameters": float(round(self.size(candidate)))}

    def learn(self, candidate: Candidate, context: Any) -> Iterator[SyntheticEpoch]:
        """Yield the epochs of the candidate's curve after the context's checkpoint."""
        done = 0
        if context.checkpoint is not None:
            done = json.loads(Path(context.checkpoint).read_text())["epoch"]
        seconds = 1.0 + (self.size(candidate) / 1e4) ** 0.7
        curve = self.curve(candidate, context.seed, context.max_epochs)
        for number in range(done + 1, context.max_epochs + 1):
            accuracy = float(curve[number - 1])
            yield SyntheticEpoch(number=number, metrics={"accuracy": accuracy}, seconds=seconds)

    def curve(self, candidate: Candidate, seed: int, max_epochs: int) -> FloatArray:
        """Return the accuracy after every epoch, float64 [epoch], with all its chance."""
        text = f"{self.name}:{self.key(candidate)}:{seed}"
        digest = hashlib.sha256(text.encode()).digest()
        rng = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "big")))
        epochs = np.arange(1.0, max_epochs + 1.0)
        return self.finish(self.accuracies(candidate, epochs, rng))

    def finish(self, accuracies: FloatArray) -> FloatArray:
        """Return accuracies as they are measured: none above 1, none below 0."""
        return np.clip(accuracies, 0.0, 1.0)

    def size(self, candidate: Candidate) -> float:
        """Return how many parameters the candidate has."""
        raise NotImplementedError

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Return the accuracy after each of `epochs`, float64 [epoch]."""
        raise NotImplementedError

    def log_size(self, candidate: Candidate) -> float:
        return math.log10(self.size(candidate))

    def lowered(self, ceiling: float, penalty: float) -> float:
        """Return the accuracy that is left of `ceiling` under a penalty of 0 (none) and more."""
        return self.chance + (ceiling - self.chance) * math.exp(-penalty)


Result = tuple[float, float]
"""Accuracy after one epoch, and the logarithm (base 10) of the parameters."""


def train(problem: SyntheticProblem, candidate: Candidate, seed: int) -> Iterator[Result]:
    """Yield the result of every epoch of a training in full, for peers that have no `Context`."""
    log_size = math.log10(problem.cost(candidate)["parameters"])
    for accuracy in problem.curve(candidate, seed, problem.max_epochs):
        yield float(accuracy), log_size


def saturating(log_size: float, *, top: float, gap: float, decades: float) -> float:
    """Return an accuracy that nears `top` with size: `gap` short at the smallest.

    It shrinks to a tenth of that over so many decades of size.
    """
    return top - gap * 10.0 ** (-(log_size - SMALLEST_LOG10) / decades)


def power_curve(
    epochs: FloatArray, start: float, end: float, *, scale: float, exponent: float
) -> FloatArray:
    """Return a power law from `start` before the first epoch towards `end`."""
    return end - (end - start) * (1.0 + epochs / scale) ** -exponent


def exponential_curve(epochs: FloatArray, start: float, end: float, *, scale: float) -> FloatArray:
    """Return an exponential from `start` before the first epoch towards `end`."""
    return end - (end - start) * np.exp(-epochs / scale)


def rise(epochs: FloatArray, *, at: float, width: float) -> FloatArray:
    """Return a step from 0 to 1 at an epoch, `width` wide in the epochs' natural logarithm."""
    return np.asarray(1.0 / (1.0 + np.exp(-(np.log(epochs) - math.log(at)) / width)))


def jitter(rng: np.random.Generator, epochs: FloatArray, spread: float) -> FloatArray:
    """Return chance of one epoch each, float64 [epoch]."""
    return rng.normal(0.0, spread, len(epochs))


def place(value: float, low: float, high: float, *, log: bool = False) -> float:
    """Return where in its range a value lies, from 0 to 1."""
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)
