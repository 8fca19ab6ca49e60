"""Joins engine and study: every decision is written down before anything acts on it.

Executors (Ray Tune, the simulator) talk to the conductor only. It hands out leases, takes results
and failures of the current attempt, and turns a deaf ear to workers of an earlier one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from search.engine.decisions import Done, Verdict, Wait
from search.engine.engine import Engine, Fits
from search.engine.exhaustion import is_exhausted
from search.engine.failures import LOSS_MESSAGES, Cause, FailurePolicy, Retry, classify
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving, Point
from search.engine.lease import Lease, candidate_name
from search.engine.optimism import Optimism
from search.engine.plan_log import plan_to_dict
from search.engine.reopening import reopenable
from search.engine.spending import Meter, Spending
from search.errors import StudyError
from search.named_failures import with_named_failures
from search.objectives import Bound, objective_vector
from search.problem import Problem, candidate_resources, rebuild_candidate
from search.sampling.prior import noted_priors
from search.sampling.proposer import Proposer
from search.sampling.samplers import DEFAULT_SAMPLER, derived_seed
from search.study.checkpoints import CheckpointFolder
from search.study.records import CandidateRecord, Ending, EpochResult, Failure, Phase
from search.study.study import Study

_SPENDING_IS_NOTED_EVERY_S = 60.0
"""Of searching, if nothing else is written: after a kill, no more than this is forgotten."""


class Listener(Protocol):
    """Hears what happens, for showing it."""

    def started(self, record: CandidateRecord) -> None: ...
    def reported(self, record: CandidateRecord, verdict: Verdict) -> None: ...
    def failed(self, record: CandidateRecord, failure: Failure, *, retried: bool) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a study is searched."""

    goal: Goal
    sampler: str = DEFAULT_SAMPLER
    startup: int = 10
    seed: int = 0
    bounds: tuple[Bound, ...] = ()
    halving: ParetoHalving | None = None
    optimism: Optimism | None = None
    """None gives up hope of nobody."""
    failure_policy: FailurePolicy = field(default_factory=FailurePolicy)
    enqueued: tuple[Mapping[str, Any], ...] = ()
    """Parameters of candidates that are started first; what one leaves out is drawn by chance."""


class Conductor:
    """One search of one study, from wherever the study stands to its end."""

    def __init__(
        self,
        problem: Problem,
        study: Study,
        plan: Plan,
        *,
        checkpoints: Path,
        listener: Listener | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take the study up; what an interruption left unfinished is settled first.

        Args:
            checkpoints: the folder under which each candidate gets its own.
            clock: seconds since any moment, of what is paid for; the simulator brings its own.
        """
        self.study = study
        self._meter = Meter(clock, study.spent)
        self._again_s: dict[int, float] = {}
        self._plan = plan
        self._checkpoints = checkpoints
        self._listener = listener
        problem = with_named_failures(problem)
        self._settle()
        self._renew(problem)
        self._reopenable = {
            record.number: record for record in reopenable(study, problem, self.can_go_on)
        }
        unfinished = study.unfinished_promotions
        for number in sorted(unfinished):  # all of them first, as in `next`: a replay compares that
            self._reopen(number)
        for number in unfinished:
            if study.records[number].phase is Phase.PAUSED:
                study.promote(number)
        study.begin_session(plan_to_dict(plan), self._reopenable)
        rungs = plan.halving.rungs(plan.goal.max_epochs) if plan.halving else ()
        proposer = Proposer(
            problem,
            study,
            sampler=plan.sampler,
            startup=plan.startup,
            seed=plan.seed,
            bounds=plan.bounds,
            rungs=rungs,
            max_epochs=plan.goal.max_epochs,
            enqueued=plan.enqueued,
            priors=noted_priors(study),
        )
        self._engine = Engine(
            plan.goal,
            propose=proposer,
            advised=proposer.advises,
            point=self._point,
            halving=plan.halving,
            optimism=plan.optimism,
            audited=self._is_audited,
            failure_policy=plan.failure_policy,
            exhausted=is_exhausted(
                study, problem, bounds=plan.bounds, enqueued=plan.enqueued, seed=plan.seed
            ),
            records=[self._reopenable.get(n, r) for n, r in study.records.items()],
        )

    @property
    def spent(self) -> Spending:
        """What the study has cost by now."""
        return self._meter.now()

    def next(self, fits: Fits) -> Lease | Wait | Done:
        """Return a lease to carry out now, or why there is none."""
        spent = self.spent
        if spent.search_s - self.study.spent.search_s >= _SPENDING_IS_NOTED_EVERY_S:
            self.study.set_spent(spent)
        self._engine.spend(spent)
        decision = self._engine.next(fits)
        leased = None if isinstance(decision, Wait | Done) else decision.number
        promoted = self._engine.take_promoted()
        if len(promoted) > 1:
            self.study.intend_promotions(promoted)
        for number in sorted({*promoted, *(() if leased is None else (leased,))}):
            self._reopen(number)
        attempt = 0
        if leased is not None:
            attempt = self._begin_attempt(leased, promoted=leased in promoted)
        for number in promoted:
            if number != leased:
                self.study.promote(number)
        if isinstance(decision, Wait | Done):
            return decision
        record = self.study.records[decision.number]
        if self._listener:
            self._listener.started(record)
        return Lease(
            number=record.number,
            attempt=attempt,
            key=record.key,
            params=record.params,
            resources=record.resources,
            seed=derived_seed(self._plan.seed, "train", record.key),
            max_epochs=self._plan.goal.max_epochs,
            rungs=self._engine.rungs,
            known_epochs=record.epochs,
            batch_parts=record.batch_parts,
            checkpoints=self._checkpoints / candidate_name(record.number, record.key),
        )

    def report(self, number: int, attempt: int, epochs: Sequence[EpochResult]) -> Verdict:
        """Take results of a lease, oldest first; say whether its worker goes on."""
        if not self._is_current(number, attempt):
            return Verdict.STOP
        try:
            for epoch in epochs:
                self._point(number, epoch.metrics)
            new = self.study.unknown(number, epochs)
        except StudyError as error:
            self.failed(number, attempt, classify(error), str(error))
            return Verdict.STOP
        known = self.study.records[number].epochs
        again_s = sum(epoch.seconds for epoch in epochs if epoch.number <= known)
        self._again_s[number] = self._again_s.get(number, 0.0) + again_s
        if not new:  # trained again after a lost checkpoint, and judged before
            return Verdict.CONTINUE
        spent = self.spent
        self._engine.spend(spent)
        verdict = self._engine.report(number, new)
        hopeless = self._engine.is_hopeless(number)
        self.study.add_epochs(number, new, verdict, hopeless=hopeless, spent=spent)
        if verdict is not Verdict.CONTINUE:
            self._end_lease(number, Ending.VERDICT)
        if verdict is Verdict.PAUSE:
            self.study.pause(number)
        elif verdict is Verdict.ABANDON:
            self.study.stop(number)
        elif verdict is Verdict.STOP:
            self.study.complete(number)
        if self._listener:
            self._listener.reported(self.study.records[number], verdict)
        return verdict

    def failed(self, number: int, attempt: int, cause: Cause, message: str) -> None:
        """Take the failure of a lease."""
        if not self._is_current(number, attempt):
            return
        decision = self._engine.failed(number, cause, message)
        failure = Failure(cause=cause.value, message=message, attempt=attempt)
        retried = isinstance(decision, Retry)
        lost = retried or cause in LOSS_MESSAGES
        self._end_lease(number, Ending.LOST if lost else Ending.FAILED)
        if retried:
            self.study.note_setback(number, failure)
        else:
            self.study.fail(number, failure)
        if self._listener:
            self._listener.failed(self.study.records[number], failure, retried=retried)

    def can_go_on(self, record: CandidateRecord) -> bool:
        """Say whether the training state of a candidate is still there."""
        folder = self._checkpoints / candidate_name(record.number, record.key)
        return CheckpointFolder(folder).latest() is not None

    @property
    def waiting(self) -> tuple[int, ...]:
        """Who has been chosen and waits for a slot, the next one first."""
        return self._engine.waiting

    def released(self, number: int, attempt: int) -> None:
        """Hear that what a lease occupied is free again."""
        self._meter.end((number, attempt))

    def close(self) -> None:
        """Note what has been spent, when the search is over or is left."""
        self.study.set_spent(self.spent)

    def conclude(self) -> None:
        """After `Done`: no candidate is left between start and verdict."""
        for number in self._engine.conclude():
            if number not in self._reopenable:  # it is stopped as it was
                self.study.stop(number)

    def _is_audited(self, number: int) -> bool:
        """Say whether a candidate is let through although hope is given up of it."""
        share = self._plan.optimism.audit_share if self._plan.optimism else 0.0
        return derived_seed(self._plan.seed, "audit", number) < share * 2**31

    def _reopen(self, number: int) -> None:
        """Take a candidate up again if it was stopped."""
        if (reopened := self._reopenable.pop(number, None)) is not None:
            self.study.reopen(number, reopened.phase, reopened.resources)

    def _begin_attempt(self, number: int, *, promoted: bool) -> int:
        record = self.study.records[number]
        self._meter.begin((number, record.attempt + 1), record.resources)
        self._again_s.pop(number, None)
        return self.study.begin_attempt(number, promoted=promoted, spent=self.spent)

    def _end_lease(self, number: int, ending: Ending) -> None:
        again_s = self._again_s.get(number, 0.0)
        self.study.end_lease(number, ending, spent=self.spent, again_s=again_s)

    def _is_current(self, number: int, attempt: int) -> bool:
        record = self.study.records[number]
        return record.phase is Phase.RUNNING and record.attempt == attempt

    def _point(self, number: int, metrics: Mapping[str, float]) -> Point:
        return objective_vector(self.study.objectives, metrics, self.study.records[number].costs)

    def _renew(self, problem: Problem) -> None:
        """Hold what is to go on against today's code and settings, before anything is leased.

        Raises:
            StudyError: an unfinished candidate is another one now.
        """
        for record in list(self.study.records.values()):
            if not record.phase.is_final:
                candidate = rebuild_candidate(problem, record.params, record.key)
                self.study.set_resources(record.number, candidate_resources(problem, candidate))

    def _settle(self) -> None:
        """Finish what a kill left one write short of its end."""
        for number, record in self.study.records.items():
            if record.leases and record.leases[-1].ended_s is None:
                self.study.end_lease(number, Ending.LOST)
        self.study.settle()
        for number, record in list(self.study.records.items()):
            over = record.ended or record.epochs >= self._plan.goal.max_epochs
            if record.phase.is_final:
                continue
            if over:
                self.study.complete(number)
            elif record.abandoned:
                self.study.stop(number)
            elif record.attempt:
                self.study.pause(number)  # its worker is gone
