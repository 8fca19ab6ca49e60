"""What a study remembers of each candidate."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from cluster.resources import Resources
from search.engine.failures import Cause
from search.engine.spending import Spending


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
    """Why a lease failed: `cause` is a `failures.Cause`, `message` one line for people."""

    cause: str
    message: str
    attempt: int = 0
    """Which of the candidate's leases it ended."""
    place: int = field(default=0, compare=False)
    """Where it comes in the order of all that happened in the study."""


class Ending(StrEnum):
    """How a lease ended."""

    VERDICT = "verdict"
    """As it should: the candidate was paused, or was done."""
    FAILED = "failed"
    """By what the candidate did."""
    LOST = "lost"
    """By the death of a worker or of whoever drove the search, or by leaving it."""


@dataclass(frozen=True, kw_only=True)
class LeaseTime:
    """For how long one lease occupied what, in seconds of searching since the study began."""

    attempt: int
    workers: int
    gpus: float
    """Of each worker."""
    began_s: float
    ended_s: float | None = None
    """None while it lasts, or when nobody has taken the study up since its driver was killed."""
    ending: Ending | None = None
    again_s: float = 0.0
    """How long it trained epochs whose results were known."""


@dataclass(frozen=True, kw_only=True)
class Hearing:
    """How a result came."""

    attempt: int = 0
    """Which of the candidate's leases gave it; 0: none of this study's."""
    place: int = 0
    """Where it comes in the order of all that happened in the study."""
    spent: Spending = field(default_factory=Spending)
    """What the study had cost by then."""


@dataclass(frozen=True, kw_only=True)
class CandidateRecord:
    """One candidate of a study, as the study's storage holds it."""

    number: int
    """The number of its Optuna trial, or of the first of them (`Study.reopen`)."""
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
    hopeless_after: int | None = None
    """The epoch after which hope was given up of it (`search.engine.optimism`); None: it was not.
    It was stopped then, or let through to see whether that was right."""
    abandoned: bool = False
    """Whether it was stopped because hope was given up of it, by the verdict on its last result."""
    trains_on: bool = False
    """Whether it was let go on after its last result, or was promoted since."""
    setbacks: tuple[Failure, ...] = ()
    """Failures after which it was tried again, oldest first."""
    curve: tuple[EpochResult, ...] = ()
    hearings: tuple[Hearing, ...] = ()
    """How each result came, as far as that is known."""
    leases: tuple[LeaseTime, ...] = ()
    """Oldest first, as far as their times are known."""
    failure: Failure | None = None
    imported: str | None = None
    """The study and trial that its results were taken over from; None: it was trained here."""

    @property
    def epochs(self) -> int:
        return len(self.curve)

    def hearing(self, epoch: int) -> Hearing:
        """Return how the result of an epoch came."""
        return self.hearings[epoch - 1] if epoch <= len(self.hearings) else Hearing()

    def retried(self, cause: Cause) -> int:
        """Return how often it was tried again after that."""
        return sum(setback.cause == cause for setback in self.setbacks)

    @property
    def batch_parts(self) -> int:
        """In how many parts each batch is learned from, one after the other, to save memory."""
        return 2 ** self.retried(Cause.OUT_OF_MEMORY)

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


def results_in_order(
    records: Iterable[CandidateRecord],
) -> list[tuple[CandidateRecord, EpochResult]]:
    """Return all results in the order in which the study heard of them.

    Those that another study gave have no place in it, and come first.
    """
    told = [
        (record.hearing(epoch.number).place, record.number, epoch.number, record, epoch)
        for record in records
        for epoch in record.curve
    ]
    return [(record, epoch) for *_, record, epoch in sorted(told, key=lambda one: one[:3])]


@dataclass(frozen=True, kw_only=True)
class Rejection:
    """A proposal turned down before dispatch, kept so that the sampler learns from it."""

    number: int
    params: Mapping[str, Any]
    constraints: Mapping[str, float]
    """Feasible when <= 0 (Optuna's sense); at least one is above."""
    key: str = ""
    """Empty where there was no candidate to be had of the parameters."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """As far as they were known."""

    @property
    def is_duplicate(self) -> bool:
        """Turned down only because the same candidate is in the study already."""
        violated = [name for name, value in self.constraints.items() if value > 0]
        return violated == ["duplicate"]
