"""Decides what runs next and how far it goes: a state machine without Ray, clock or files.

The simulator and the executor on Ray drive the same engine through `search.engine.conductor`, which
writes every decision down. An engine is asked three things:

    next(fits)              -> Start | Resume | Wait | Done
    report(number, epochs)  -> Verdict
    failed(number, cause)   -> Retry | GiveUp
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.resources import Resources
from search.engine.decisions import Admitted, Done, Promoted, Resume, Start, Verdict, Wait
from search.engine.failures import Cause, FailurePolicy, GiveUp, Retry, signature
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving, Point, Rung
from search.study.records import CandidateRecord, EpochResult, Phase


@dataclass
class _Trial:
    resources: Resources
    phase: Phase
    epochs: int = 0
    losses: int = 0
    points: list[Point] = field(default_factory=list)
    """After each epoch: where its model to keep stands, which may be an earlier epoch's."""

    @property
    def is_comparable(self) -> bool:
        return self.epochs > 0 and self.phase is not Phase.FAILED


Propose = Callable[[Collection[int]], Admitted | Promoted | None]
"""Asks for one more candidate, or for the one to train on of those paused that it is given; None
when the space has nothing new to offer."""
PointOf = Callable[[int, Mapping[str, float]], Point]
"""Turns a candidate's metrics at an epoch into its point (objectives as they are minimised)."""
Fits = Callable[[Resources], bool]
"""Says whether a trial of that shape could start now."""


class Engine:
    """Successive halving over proposals, with one queue for whatever waits for a slot.

    The head of the queue blocks those behind it. So a wide trial drains slots until it fits,
    instead of being overtaken by narrow ones for ever.
    """

    def __init__(
        self,
        goal: Goal,
        *,
        propose: Propose,
        point: PointOf,
        halving: ParetoHalving | None = None,
        advised: bool = False,
        failure_policy: FailurePolicy | None = None,
        records: Iterable[CandidateRecord] = (),
    ) -> None:
        """Begin, or go on from `records`: a study's candidates as they stand in its storage.

        Args:
            advised: `propose` says who is promoted as long as it may start new candidates; the
                rungs say so afterwards.
        """
        self.goal = goal
        self._rungs = (
            {epoch: Rung(halving) for epoch in halving.rungs(goal.max_epochs)} if halving else {}
        )
        self._halving = halving
        self._advised = advised
        self._policy = failure_policy or FailurePolicy()
        self._propose = propose
        self._point = point
        self._trials: dict[int, _Trial] = {}
        self._running: set[int] = set()
        self._waiting: deque[int] = deque()
        self._exhausted: str | None = None
        self._halted: str | None = None
        self._bugs_in_a_row: list[str] = []
        self._spent_epochs = 0
        self._shapes: set[Resources] = set()
        for record in sorted(records, key=lambda record: record.number):
            self._restore(record)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which candidates are compared."""
        return tuple(self._rungs)

    # What the executors call, through the conductor -------------------------------------------

    def next(self, fits: Fits) -> Start | Resume | Wait | Done:
        """Say what to lease now, given what fits beside the leases already out."""
        if self._halted is not None:
            return Wait() if self._running else Done(self._halted, resumable=True)
        if self._budget_is_spent:
            return Wait() if self._running else Done()
        if not self._waiting:
            if self._running and not any(fits(shape) for shape in self._shapes):
                return Wait()  # what is chosen when there is room knows more
            self._find_work()
        if not self._waiting:
            return Wait() if self._running else Done(self._exhausted)
        number = self._waiting[0]
        trial = self._trials[number]
        if not fits(trial.resources):
            return Wait()
        self._waiting.popleft()
        first = trial.phase is Phase.QUEUED
        self._set_phase(number, Phase.RUNNING)
        return Start(number) if first else Resume(number)

    def report(self, number: int, epochs: Sequence[EpochResult]) -> Verdict:
        """Hear results of one candidate in order, and judge it by the last.

        More than one epoch comes when a worker went on from a checkpoint that was ahead of the
        study's storage.
        """
        for epoch in epochs:
            self._add(number, epoch)
        self._bugs_in_a_row.clear()
        verdict = self._judge(number, epochs[-1])
        if verdict is Verdict.PAUSE:
            self._set_phase(number, Phase.PAUSED)
        elif verdict is Verdict.STOP:
            self._set_phase(number, Phase.DONE)
        return verdict

    def failed(self, number: int, cause: Cause, message: str) -> Retry | GiveUp:
        """Hear that a candidate's lease ended with a failure."""
        trial = self._trials[number]
        if cause is Cause.LOST_WORKER:
            trial.losses += 1
        decision = self._policy.decide(cause, trial.losses)
        if isinstance(decision, Retry):
            self._set_phase(number, Phase.PAUSED)
            self._waiting.append(number)
            return decision
        self._set_phase(number, Phase.FAILED)
        if cause in (Cause.BUG, Cause.BAD_DATA):
            self._count_bug(message)
        return decision

    def conclude(self) -> list[int]:
        """After `Done`: stop for good whatever still waits, and return its numbers."""
        left = [n for n, t in self._trials.items() if t.phase in (Phase.PAUSED, Phase.QUEUED)]
        for number in left:
            self._set_phase(number, Phase.STOPPED)
        return left

    @property
    def _budget_is_spent(self) -> bool:
        budget = self.goal.budget_epochs
        return budget is not None and self._spent_epochs >= budget

    # How it decides ---------------------------------------------------------------------------

    def _find_work(self) -> None:
        """Put one candidate in the queue: a promotion, else a new proposal, else a spared one."""
        if not (self._advised and self._may_start):
            promoted = self._promote()
            if promoted is not None:
                self._waiting.append(promoted)
                return
        if self._may_start:
            found = self._propose(self._paused_at_rungs() if self._advised else ())
            if isinstance(found, Promoted):
                self._rungs[self._trials[found.number].epochs].leave(found.number)
                self._waiting.append(found.number)
                return
            if isinstance(found, Admitted):
                self._trials[found.number] = _Trial(found.resources, Phase.QUEUED)
                self._shapes.add(found.resources)
                self._waiting.append(found.number)
                return
            self._exhausted = "the space has no new candidate within the bounds to offer"
        self._waiting.extend(self._spare())

    @property
    def _may_start(self) -> bool:
        """Whether another candidate may be started."""
        wanted = self.goal.candidates
        return self._exhausted is None and (wanted is None or len(self._trials) < wanted)

    def _paused_at_rungs(self) -> list[int]:
        return [
            number
            for number, trial in self._trials.items()
            if trial.phase is Phase.PAUSED and trial.epochs in self._rungs
        ]

    def _add(self, number: int, epoch: EpochResult) -> None:
        trial = self._trials[number]
        if epoch.number <= trial.epochs:
            return  # trained again after a lost checkpoint: the first result stands
        point = self._point(number, epoch.metrics)
        if epoch.kept is not None:
            point = trial.points[epoch.kept - 1]
        self._spent_epochs += 1
        trial.epochs = epoch.number
        trial.points.append(point)
        if (rung := self._rungs.get(epoch.number)) is not None:
            rung.add(number, point)

    def _judge(self, number: int, epoch: EpochResult) -> Verdict:
        if epoch.final or epoch.number >= self.goal.max_epochs:
            return Verdict.STOP
        if self._budget_is_spent:
            return Verdict.PAUSE
        rung = self._rungs.get(epoch.number)
        if rung is None or rung.has_left(number):
            return Verdict.CONTINUE
        if not (self._advised and self._may_start) and number in rung.promotable():
            rung.leave(number)
            return Verdict.CONTINUE
        return Verdict.PAUSE

    def _promote(self) -> int | None:
        """Let a paused candidate leave its rung; the highest rungs come first, as in ASHA."""
        for rung in reversed(self._rungs.values()):
            for number in rung.promotable():
                if self._trials[number].phase is Phase.PAUSED:
                    rung.leave(number)
                    return number
        return None

    def _spare(self) -> list[int]:
        """Let paused candidates go on that halving will not stop, now that nothing new starts."""
        if self._halving is None:
            return []
        paused = {
            number: self._rungs[self._trials[number].epochs].points
            for number in self._paused_at_rungs()
        }
        last_points = {n: t.points[-1] for n, t in self._trials.items() if t.is_comparable}
        spared = self._halving.spared(paused, last_points) if paused else []
        for number in spared:
            self._rungs[self._trials[number].epochs].leave(number)
        return spared

    def _set_phase(self, number: int, phase: Phase) -> None:
        self._trials[number].phase = phase
        if phase is Phase.RUNNING:
            self._running.add(number)
        else:
            self._running.discard(number)

    def _count_bug(self, message: str) -> None:
        if self._bugs_in_a_row and signature(self._bugs_in_a_row[-1]) != signature(message):
            self._bugs_in_a_row.clear()
        self._bugs_in_a_row.append(message)
        if len(self._bugs_in_a_row) >= self._policy.max_bugs_in_a_row:
            self._halted = f"{len(self._bugs_in_a_row)} candidates in a row failed alike: {message}"

    # Going on after an interruption -------------------------------------------------------------

    def _restore(self, record: CandidateRecord) -> None:
        trial = _Trial(record.resources, record.phase, losses=record.losses)
        self._trials[record.number] = trial
        self._shapes.add(record.resources)
        for epoch in record.curve:
            self._add(record.number, epoch)
            if epoch.number in self._rungs and epoch.number < record.epochs:
                self._rungs[epoch.number].leave(record.number)
        if trial.phase in (Phase.RUNNING, Phase.PAUSED):
            # Its worker is gone, or was lost before. At a rung it is as good as paused there;
            # between rungs it goes on before anything new starts.
            trial.phase = Phase.PAUSED
            if record.epochs not in self._rungs:
                self._waiting.append(record.number)
        elif trial.phase is Phase.QUEUED:
            self._waiting.append(record.number)
