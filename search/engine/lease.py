"""What a worker is handed to train one candidate for a while, and how it does that.

The same few lines run in the simulator, in a warm Tune actor and on every rank of a Ray Train
group.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cluster.resources import Resources
from search.errors import StudyError
from search.problem import Context, Epoch, Problem, ProblemSpec, rebuild_candidate
from search.study.checkpoints import Checkpoint, CheckpointFolder
from search.study.records import EpochResult


@dataclass(frozen=True, kw_only=True)
class Lease:
    """One attempt at one candidate."""

    number: int
    attempt: int
    key: str
    params: Mapping[str, Any]
    resources: Resources
    seed: int
    max_epochs: int
    rungs: tuple[int, ...]
    known_epochs: int
    """How many epochs the study has results of."""
    batch_parts: int = 1
    """See `Context.batch_parts`."""
    checkpoints: Path
    """The candidate's checkpoint folder."""
    save_every_s: float = 60.0

    @property
    def name(self) -> str:
        return candidate_name(self.number, self.key)

    @property
    def run_name(self) -> str:
        """The name under which a Ray Train group of this lease is known."""
        return f"{self.name}-attempt-{self.attempt:03d}"


def candidate_name(number: int, key: str) -> str:
    """Return the name that a candidate's folders carry."""
    return f"{number:05d}-{key[:12]}"


def learn(
    lease: Lease,
    problem: Problem,
    checkpoint: Checkpoint | None,
    *,
    rank: int = 0,
    world_size: int = 1,
    device: str = "cpu",
    threads: int = 1,
) -> Iterator[tuple[EpochResult, ...]]:
    """Train the leased candidate; yield new results, oldest first, after each epoch.

    The first item may hold several: what the checkpoint knows and the study does not. Then no
    epoch is trained before it is yielded, because it may end at a rung that is still to be judged.
    A checkpoint lies on disk at every rung, at the end, and at most `save_every_s` (or one epoch,
    if that is longer) apart; it is written before the results are yielded.

    Args:
        checkpoint: where to go on from, `CheckpointFolder.latest()` as one process saw it: ranks
            that looked for themselves might see different ones.
    """
    folder = CheckpointFolder(lease.checkpoints)
    history = list(checkpoint.history()) if checkpoint else []
    if len(history) > lease.known_epochs:
        yield tuple(history[lease.known_epochs :])
    context = Context(
        seed=lease.seed,
        max_epochs=lease.max_epochs,
        checkpoint=checkpoint.state if checkpoint else None,
        rank=rank,
        world_size=world_size,
        device=device,
        threads=threads,
        batch_parts=lease.batch_parts,
    )
    candidate = rebuild_candidate(problem, lease.params, lease.key)
    saved_s = time.monotonic()
    for epoch in problem.learn(candidate, context):
        result = epoch_result(epoch)
        history.append(result)
        due = (
            result.final
            or epoch.number in lease.rungs
            or epoch.number >= lease.max_epochs
            or time.monotonic() - saved_s >= lease.save_every_s
        )
        if due and rank == 0:
            folder.save(lease.attempt, epoch, history)
        if due:
            saved_s = time.monotonic()
        yield (result,)


def epoch_result(epoch: Epoch) -> EpochResult:
    """Return what is kept of an epoch, in plain numbers (numpy's cannot be written down)."""
    return EpochResult(
        number=int(epoch.number),
        metrics={name: float(value) for name, value in epoch.metrics.items()},
        seconds=float(epoch.seconds),
        final=bool(getattr(epoch, "final", False)),
        kept=_kept(epoch),
    )


def _kept(epoch: Epoch) -> int | None:
    """Return the number of the earlier epoch whose model is to be kept, if it says one.

    Raises:
        StudyError: there is no such epoch.
    """
    kept = int(getattr(epoch, "kept", epoch.number))
    if not 1 <= kept <= epoch.number:
        raise StudyError(
            f"epoch {epoch.number} keeps the model of epoch {kept}",
            hint="let `kept` be the number of this epoch, or of one before it",
        )
    return None if kept == epoch.number else kept


def ended_early(lease: Lease) -> StudyError:
    """Return the error of a problem that yields too few epochs."""
    return StudyError(
        f"candidate {lease.number} stopped learning before epoch {lease.max_epochs}",
        hint="let Problem.learn yield every epoch up to context.max_epochs, or give the last "
        "one `final = True`",
    )


class ProblemCache:
    """Keeps the last problem a worker built: the next lease of the same study finds it ready."""

    def __init__(self) -> None:
        self._identity: str | None = None
        self._problem: Problem | None = None

    def get(self, spec: ProblemSpec) -> Problem:
        if self._problem is None or self._identity != spec.identity():
            self._problem = spec.build()
            self._identity = spec.identity()
        return self._problem


PROBLEMS = ProblemCache()
"""This process's cache."""
