"""The seam between searching and learning: what a search needs to know of the thing it searches.

`ECGProblem` (search.ecg_problem) is the one that trains EfficientECG; any class of a user's that
follows `Problem` can be searched from a study file by its import path.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from cluster.resources import Resources
from ecgmodels.configs import Config
from search.errors import StudyError


@dataclass(frozen=True, kw_only=True)
class Context:
    """Where and how far one candidate learns; the same on every rank but for `rank`."""

    seed: int
    max_epochs: int
    checkpoint: Path | None = None
    """State that `Epoch.save` wrote, to go on from; None starts afresh."""
    rank: int = 0
    world_size: int = 1
    device: str = "cpu"
    threads: int = 1
    batch_parts: int = 1
    """2 after the candidate ran out of memory: learn from each batch in two halves, one after the
    other, and step once. Whoever ignores it will run out of memory again, and is given up."""


class Epoch(Protocol):
    """One epoch of learning, as `Problem.learn` yields it; `number` counts from 1.

    With an attribute `final` that is true, learning ended here of its own accord: the candidate is
    done, short of its full length. With an attribute `kept`, the number of an epoch up to this one,
    what `save` writes is for use as that epoch left it: the candidate counts with its metrics.
    """

    @property
    def number(self) -> int: ...
    @property
    def metrics(self) -> Mapping[str, float]: ...
    @property
    def seconds(self) -> float: ...
    def save(self, path: Path) -> None:
        """Write the state after this epoch atomically; called on rank 0, before the next epoch."""
        ...


@runtime_checkable
class Problem(Protocol):
    """What can be searched.

    `key(candidate) -> str` and `resources(candidate) -> Resources` may be added; without them the
    key is the hash of the candidate and a trial takes one worker with one CPU. With `shapes()`, all
    the resources that a candidate can ask for, those that can never fit are refused at the start.

    Costs that are no arithmetic (latency) take two more methods: `measured_costs()` names them, and
    `measure(candidate) -> Mapping[str, float]` gives them, all above 0. It may take seconds: it is
    called by the driver for a candidate about to be admitted, while those that are only drawn have
    them foreseen from their `cost`. They are (exact) objectives and bounds like any other cost. For
    a candidate that cannot be measured it raises `CandidateRefused`.
    """

    def suggest(self, trial: Any) -> Any:
        """Build a candidate from an Optuna trial's suggestions (define-by-run, no side effects)."""
        ...

    def cost(self, candidate: Any) -> Mapping[str, float]:
        """Return exact costs, in milliseconds at most; they can be objectives and bounds."""
        ...

    def learn(self, candidate: Any, context: Context) -> Iterator[Epoch]:
        """Yield the epochs after `context.checkpoint` up to `context.max_epochs`."""
        ...


@dataclass(frozen=True, kw_only=True)
class ProblemSpec(Config):
    """How a problem travels between processes: an import path and JSON-ready arguments."""

    path: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def build(self) -> Problem:
        """Import the class and call it with the arguments.

        Raises:
            StudyError: the path names nothing, or what it names does not follow `Problem`.
        """
        module_name, _, class_name = self.path.partition(":")
        try:
            factory = getattr(importlib.import_module(module_name), class_name)
        except Exception as error:  # whatever a user's module raises
            raise StudyError(
                f"problem '{self.path}' cannot be imported: {error}",
                hint="write it as 'module:Class', with the module importable from the folder "
                "you start in",
            ) from error
        try:
            problem = factory(**self.arguments)
        except Exception as error:
            if hasattr(error, "hint"):  # ours: it says what is wrong and how to mend it
                raise
            raise StudyError(
                f"problem '{self.path}' cannot be built: {type(error).__name__}: {error}",
                hint="check [problem.arguments], or run with --debug to see where it failed",
            ) from error
        if not isinstance(problem, Problem):
            raise StudyError(
                f"'{self.path}' does not follow the Problem protocol",
                hint="it needs the methods suggest(trial), cost(candidate), "
                "learn(candidate, context)",
            )
        return problem

    def identity(self) -> str:
        """Return a string that is equal for equal specs: what a worker caches the problem under."""
        return json.dumps([self.path, self.arguments], sort_keys=True)


def candidate_dict(candidate: Any) -> dict[str, Any]:
    """Return the candidate as a JSON-ready dictionary.

    A candidate is a mapping, a dataclass or anything with `to_dict()`.
    """
    if hasattr(candidate, "to_dict"):
        values = candidate.to_dict()
    elif dataclasses.is_dataclass(candidate) and not isinstance(candidate, type):
        values = dataclasses.asdict(candidate)
    elif isinstance(candidate, Mapping):
        values = dict(candidate)
    else:
        raise StudyError(
            f"a candidate of type {type(candidate).__name__} cannot be written down",
            hint="let suggest() return a dictionary, a dataclass or an object with to_dict()",
        )
    # As the study's storage will give it back: tuples are lists there.
    try:
        return json.loads(json.dumps(values))
    except (TypeError, ValueError) as error:
        raise StudyError(
            f"a candidate cannot be written down: {error}",
            hint="let suggest() build it of text, numbers, true, false, lists and dictionaries",
        ) from error


def candidate_key(problem: Problem, candidate: Any) -> str:
    """Return the candidate's identity: equal keys are one network with one training."""
    if hasattr(problem, "key"):
        return problem.key(candidate)
    canonical = json.dumps(candidate_dict(candidate), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:20]


def candidate_resources(problem: Problem, candidate: Any) -> Resources:
    """Return what one trial of the candidate occupies while it learns."""
    if hasattr(problem, "resources"):
        return problem.resources(candidate)
    return Resources()


def measured_costs(problem: Problem) -> tuple[str, ...]:
    """Return the names of the costs that have to be measured."""
    return tuple(problem.measured_costs()) if hasattr(problem, "measured_costs") else ()


def measure(problem: Problem, candidate: Any) -> dict[str, float]:
    """Return the candidate's measured costs; empty where the problem has none.

    Raises:
        StudyError: one of `measured_costs` is missing or no positive number, or measuring failed.
        CandidateRefused: it cannot be measured.
    """
    names = measured_costs(problem)
    if not names:
        return {}
    try:
        found: Mapping[str, float] = problem.measure(candidate)  # type: ignore[attr-defined]
    except Exception as error:  # whatever a user's code raises
        if hasattr(error, "hint"):  # ours: a candidate that is refused, or what is wrong
            raise
        raise StudyError(
            f"the problem's measure() failed: {type(error).__name__}: {error}",
            hint="mend it and go on with the same command; --debug shows where it failed",
        ) from error
    measured = {name: float(value) for name, value in found.items()}
    for name in names:
        if not 0.0 < measured.get(name, math.nan) < math.inf:
            raise StudyError(
                f"cost '{name}' was measured as {measured.get(name)}",
                hint="let Problem.measure return a number above 0 for each of measured_costs()",
            )
    return measured


class ReplayTrial:
    """Answers `suggest_*` from known parameters, so that a worker can rebuild a candidate.

    `suggest` is define-by-run and pure: the same parameters give the same candidate.
    """

    def __init__(self, params: Mapping[str, Any]) -> None:
        self.params = dict(params)

    def suggest_float(self, name: str, low: float, high: float, **_: Any) -> float:
        return self._known(name)

    def suggest_int(self, name: str, low: int, high: int, **_: Any) -> int:
        return self._known(name)

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._known(name)

    def _known(self, name: str) -> Any:
        if name not in self.params:
            raise StudyError(
                f"the space now asks for '{name}', which a candidate was made without",
                hint="the space's code changed since the study began: undo that or start a new "
                "study",
            )
        return self.params[name]


def rebuild_candidate(problem: Problem, params: Mapping[str, Any], key: str) -> Any:
    """Build again the candidate that `params` gave.

    Raises:
        StudyError: the problem's code or data changed since, so that it is another candidate now.
    """
    candidate = problem.suggest(ReplayTrial(params))
    found = candidate_key(problem, candidate)
    if found != key:
        raise StudyError(
            f"candidate {key} is rebuilt as {found}",
            hint="the space's code or the dataset changed since the study began: undo that or "
            "start a new study",
        )
    return candidate
