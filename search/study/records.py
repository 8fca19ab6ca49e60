"""What a study remembers of each candidate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from cluster.resources import Resources


class Phase(StrEnum):
    """How far a candidate has come. The last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (Phase.STOPPED, Phase.DONE, Phase.FAILED)


@dataclass(frozen=True, kw_only=True)
class EpochResult:
    """What one epoch gave; `number` counts from 1, `seconds` is wall-clock of one worker."""

    number: int
    metrics: Mapping[str, float]
    seconds: float
    final: bool = False
    """Learning ended here of its own accord (it was stopping early, say)."""
    kept: int | None = None
    """Number of the earlier epoch whose model is the one to keep so far; None: this one's."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a candidate failed: `cause` is a `failures.Cause`, `message` one line for people."""

    cause: str
    message: str


@dataclass(frozen=True, kw_only=True)
class CandidateRecord:
    """One candidate of a study, as the study's storage holds it."""

    number: int
    key: str
    params: Mapping[str, Any]
    """What the sampler suggested; `Problem.suggest` rebuilds the candidate from it."""
    candidate: Mapping[str, Any]
    """The resolved configuration, for people and for retraining."""
    costs: Mapping[str, float]
    resources: Resources
    phase: Phase
    attempt: int = 0
    """How many leases were begun; workers of an earlier attempt are not listened to."""
    losses: int = 0
    """How many of them ended with a lost worker."""
    curve: tuple[EpochResult, ...] = ()
    failure: Failure | None = None

    @property
    def epochs(self) -> int:
        return len(self.curve)

    @property
    def ended(self) -> bool:
        """Whether learning ended of its own accord; further epochs would change nothing."""
        return bool(self.curve) and self.curve[-1].final

    @property
    def metrics(self) -> Mapping[str, float]:
        """The metrics that it counts with now; empty before the first epoch."""
        return self.metrics_after(self.epochs) if self.curve else {}

    def metrics_after(self, epoch: int) -> Mapping[str, float]:
        """Return those of the model to keep after `epoch`, or after the last if it has fewer."""
        last = self.curve[min(epoch, self.epochs) - 1]
        return self.curve[(last.kept or last.number) - 1].metrics

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of learning (each epoch counted once, on one worker)."""
        return sum(epoch.seconds for epoch in self.curve)


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A proposal turned down before dispatch, kept so that the sampler learns from it."""

    number: int
    params: Mapping[str, Any]
    constraints: Mapping[str, float]
    """Feasible when <= 0 (Optuna's sense); at least one is above."""

    @property
    def is_duplicate(self) -> bool:
        """Turned down only because the same candidate is in the study already."""
        violated = [name for name, value in self.constraints.items() if value > 0]
        return violated == ["duplicate"]
