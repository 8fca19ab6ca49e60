"""A user's own problem whose exceptions are named: which method failed, and on which candidate."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, cast

from cluster.resources import Resources
from search.engine.failures import one_line
from search.errors import StudyError
from search.problem import Problem, candidate_key, candidate_resources
from spaces import CandidateRefused

T = TypeVar("T")

_SHOWN_CHARACTERS = 300
"""Of a candidate or its parameters."""


def with_named_failures(problem: Problem) -> Problem:
    """Return the problem with its exceptions in `suggest`, `cost`, `key` and `resources` named.

    They become a StudyError that says the problem, the method, the candidate's parameters so far
    and what was raised. Errors with a hint, which say all that themselves, stay as they are; but
    only `suggest` may raise CandidateRefused.
    """
    return cast(Problem, _NamedFailures(problem))


class _NamedFailures:
    def __init__(self, problem: Problem) -> None:
        self._problem = problem
        self._suggested: tuple[Any, Any] = (None, None)
        """The last candidate, and the trial that it was built from."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._problem, name)

    def suggest(self, trial: Any) -> Any:
        try:
            candidate = self._problem.suggest(trial)
        except Exception as error:
            if hasattr(error, "hint"):
                raise
            raise self._named("suggest", _with(trial), error) from error
        self._suggested = (candidate, trial)
        return candidate

    def cost(self, candidate: Any) -> Mapping[str, float]:
        with self._naming("cost", candidate):
            return {name: float(value) for name, value in self._problem.cost(candidate).items()}

    def key(self, candidate: Any) -> str:
        with self._naming("key", candidate):
            key = candidate_key(self._problem, candidate)
            return self._required("key", str, key, "text")

    def resources(self, candidate: Any) -> Resources:
        with self._naming("resources", candidate):
            resources = candidate_resources(self._problem, candidate)
            right = "cluster.resources.Resources(workers=..., cpus=..., gpus=...)"
            return self._required("resources", Resources, resources, right)

    def _required(self, method: str, kind: type[T], value: Any, right: str) -> T:
        if isinstance(value, kind):
            return value
        raise StudyError(
            f"problem {type(self._problem).__name__}: {method}() returned a {type(value).__name__}",
            hint=f"let it return {right}",
        )

    @contextlib.contextmanager
    def _naming(self, method: str, candidate: Any) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            if hasattr(error, "hint") and not isinstance(error, CandidateRefused):
                raise
            last, trial = self._suggested
            shown = _with(trial) if candidate is last else f" {_shortened(repr(candidate))}"
            raise self._named(method, shown, error) from error

    def _named(self, method: str, candidate: str, error: Exception) -> StudyError:
        return StudyError(
            f"problem {type(self._problem).__name__}: {method}() failed on a candidate{candidate}: "
            f"{one_line(error)}",
            hint="mend it, or let suggest() raise spaces.CandidateRefused for what cannot be built;"
            " then the same command goes on (--debug shows where it failed)",
        )


def _with(trial: Any) -> str:
    params = ", ".join(f"{name} = {value}" for name, value in trial.params.items())
    return f" with {_shortened(params)}" if params else ""


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}..."
