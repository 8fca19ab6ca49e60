"""Decides what runs next and how far it goes: a state machine without Ray, clock or files.

The simulator and the executor on Ray drive the same engine through `search.engine.conductor`, which
writes every decision down. An engine is asked three things:

    next(fits)              -> Start | Resume | Wait | Done
    report(number, epochs)  -> Verdict
    failed(number, cause)   -> Retry | GiveUp
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence

from cluster.resources import Resources
from search.engine.decisions import Admitted, Done, Promoted, Resume, Start, Verdict, Wait
from search.engine.failures import BugsInARow, Cause, FailurePolicy, GiveUp, Retry
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.limits import Limits
from search.engine.optimism import Optimism
from search.engine.roster import Entry, PointOf, Roster
from search.engine.spending import Spending
from search.study.records import CandidateRecord, EpochResult, Phase

Propose = Callable[[Collection[int]], Admitted | Promoted | None]
"""Asks for one more candidate, or for the one to train on of those paused that it is given; None
when the space has nothing new to offer."""
Fits = Callable[[Resources], bool]
"""Says whether a trial of that shape could start now."""
_EXHAUSTED = "the space has no new candidate within the bounds to offer"


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
        optimism: Optimism | None = None,
        audited: Callable[[int], bool] = lambda number: False,
        failure_policy: FailurePolicy | None = None,
        exhausted: bool = False,
        records: Iterable[CandidateRecord] = (),
    ) -> None:
        """Begin, or go on from `records`: a study's candidates as they stand in its storage.

        Args:
            advised: `propose` says who is promoted as long as it may start new candidates; the
                rungs say so afterwards.
            audited: says of a candidate that hope is given up of whether it is let through.
            exhausted: `propose` has nothing new to offer, and is not asked.
        """
        self.goal = goal
        self._roster = Roster(point, goal.max_epochs, halving, optimism)
        self._advised = advised
        self._audited = audited
        self._policy = failure_policy or FailurePolicy()
        self._propose = propose
        self._waiting: deque[int] = deque()
        self._promoted: list[int] = []
        self._exhausted = _EXHAUSTED if exhausted else None
        self._halted: str | None = None
        self._bugs = BugsInARow()
        self._limits = Limits(goal)
        self._spent = Spending()
        known = sorted(records, key=lambda record: record.number)
        self._roster.restore(known)
        for record in known:
            self._take_up(record)
        self._limits.recall((record, self._roster[record.number].points) for record in known)

    def _take_up(self, record: CandidateRecord) -> None:
        """Let an unfinished candidate of before wait for what comes next."""
        if record.phase in (Phase.RUNNING, Phase.PAUSED):
            # Its worker is gone, or was lost before. Paused at a rung it waits there for its
            # promotion; otherwise it goes on before anything new starts.
            self._roster.set_phase(record.number, Phase.PAUSED)
            if record.epochs not in self._roster.rungs or record.trains_on:
                self._waiting.append(record.number)
        elif record.phase is Phase.QUEUED:
            self._waiting.append(record.number)

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs at which candidates are compared."""
        return tuple(self._roster.rungs)

    @property
    def waiting(self) -> tuple[int, ...]:
        """Who has been chosen and waits for a slot, the next one first."""
        return tuple(self._waiting)

    # What the executors call, through the conductor -------------------------------------------

    def next(self, fits: Fits) -> Start | Resume | Wait | Done:
        """Say what to lease now, given what fits beside the leases already out."""
        if self._halted is not None:
            return Wait() if self._roster.running else Done(self._halted, resumable=True)
        if (limit := self._limits.reached) is not None:
            return Wait() if self._roster.running else Done(limit=limit)
        if not self._waiting:
            if self._roster.running and not any(fits(shape) for shape in self._roster.shapes):
                return Wait()  # what is chosen when there is room knows more
            self._find_work()
        if not self._waiting:
            return Wait() if self._roster.running else Done(self._exhausted)
        number = self._waiting[0]
        entry = self._roster[number]
        if not fits(entry.resources):
            return Wait()
        self._waiting.popleft()
        first = entry.phase is Phase.QUEUED
        self._roster.set_phase(number, Phase.RUNNING)
        return Start(number) if first else Resume(number)

    def spend(self, spent: Spending) -> None:
        """Hear what the study has cost by now; whatever is decided next may depend on it."""
        self._spent = spent
        self._limits.spend(spent)

    def take_promoted(self) -> list[int]:
        """Return the paused candidates that were chosen to train on since this was last called."""
        promoted, self._promoted = self._promoted, []
        return promoted

    def report(self, number: int, epochs: Sequence[EpochResult]) -> Verdict:
        """Hear results of one candidate in order, and judge it by the last.

        More than one epoch comes when a worker went on from a checkpoint that was ahead of the
        study's storage.
        """
        for epoch in epochs:
            if self._roster.hear(number, epoch):
                self._limits.add_epoch(self._roster[number].points[-1], self._spent)
            self._bugs.passed(epoch.number)
        verdict = self._judge(number, epochs[-1])
        if verdict in _PHASES:
            self._roster.set_phase(number, _PHASES[verdict])
        return verdict

    def is_hopeless(self, number: int) -> bool:
        """Return whether hope was given up of a candidate, stopped or let through."""
        return self._roster[number].hopeless

    def failed(self, number: int, cause: Cause, message: str) -> Retry | GiveUp:
        """Hear that a candidate's lease ended with a failure."""
        entry = self._roster[number]
        decision = self._policy.decide(cause, entry.retried[cause])
        if isinstance(decision, Retry):
            entry.retried[cause] += 1
            self._roster.set_phase(number, Phase.PAUSED)
            self._waiting.append(number)
            return decision
        self._roster.set_phase(number, Phase.FAILED)
        if cause in (Cause.BUG, Cause.BAD_DATA):
            alike = self._bugs.add(message, entry.epochs + 1)
            if alike >= self._policy.max_bugs_in_a_row:
                self._halted = f"{alike} candidates in a row failed alike: {message}"
        return decision

    def conclude(self) -> list[int]:
        """After `Done`: stop for good whatever still waits, and return its numbers."""
        left = self._roster.waiting()
        for number in left:
            self._roster.set_phase(number, Phase.STOPPED)
        return left

    # How it decides ---------------------------------------------------------------------------

    def _find_work(self) -> None:
        """Put one candidate in the queue: a promotion, else a new proposal, else a spared one."""
        if not (self._advised and self._may_start):
            promoted = self._roster.best_promotable()
            if promoted is not None:
                self._promote(promoted)
                return
        if self._may_start:
            found = self._propose(self._roster.at_rungs if self._advised else ())
            if isinstance(found, Promoted):
                self._promote(found.number)
                return
            if isinstance(found, Admitted):
                self._roster.add(found.number, Entry(found.resources, Phase.QUEUED))
                self._waiting.append(found.number)
                return
            self._exhausted = _EXHAUSTED
        for number in self._roster.spared():
            self._promote(number)

    def _promote(self, number: int) -> None:
        self._roster.leave(number, self._roster[number].epochs)
        self._waiting.append(number)
        self._promoted.append(number)

    @property
    def _may_start(self) -> bool:
        """Whether another candidate may be started."""
        wanted = self.goal.candidates
        return self._exhausted is None and (wanted is None or self._roster.started < wanted)

    def _judge(self, number: int, epoch: EpochResult) -> Verdict:
        if epoch.final or epoch.number >= self.goal.max_epochs:
            return Verdict.STOP
        if self._gives_up(number):
            return Verdict.ABANDON
        if self._halted is not None or self._limits.reached is not None:
            return Verdict.PAUSE
        rung = self._roster.rungs.get(epoch.number)
        if rung is None or rung.has_left(number):
            return Verdict.CONTINUE
        if not (self._advised and self._may_start) and number in rung.promotable():
            rung.leave(number)
            return Verdict.CONTINUE
        return Verdict.PAUSE

    def _gives_up(self, number: int) -> bool:
        """Return whether a candidate is stopped because it cannot reach the front any more."""
        entry = self._roster[number]
        if entry.hopeless or not self._roster.is_hopeless(number):
            return False
        entry.hopeless = True
        return not self._audited(number)


_PHASES = {
    Verdict.PAUSE: Phase.PAUSED,
    Verdict.STOP: Phase.DONE,
    Verdict.ABANDON: Phase.STOPPED,
}
"""What a candidate's phase is after a verdict that ends its lease."""
