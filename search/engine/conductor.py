"""Joins engine and study: every decision is written down before anything acts on it.

Executors (Ray Tune, the simulator) talk to the conductor only. It hands out leases, takes results
and failures of the current attempt, and turns a deaf ear to workers of an earlier one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from search.engine.decisions import Done, Verdict, Wait
from search.engine.engine import Engine, Fits
from search.engine.failures import Cause, FailurePolicy, Retry, classify
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving, Point
from search.engine.lease import Lease, candidate_name
from search.errors import StudyError
from search.objectives import Bound, objective_vector
from search.problem import Problem, candidate_resources, rebuild_candidate
from search.sampling.proposer import Proposer
from search.sampling.samplers import derived_seed
from search.study.records import CandidateRecord, EpochResult, Failure, Phase
from search.study.study import Study


class Listener(Protocol):
    """Hears what happens, for showing it."""

    def started(self, record: CandidateRecord) -> None: ...
    def reported(self, record: CandidateRecord, verdict: Verdict) -> None: ...
    def failed(self, record: CandidateRecord, failure: Failure, *, retried: bool) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a study is searched."""

    goal: Goal
    sampler: str = "tpe"
    startup: int = 10
    seed: int = 0
    bounds: tuple[Bound, ...] = ()
    halving: ParetoHalving | None = None
    failure_policy: FailurePolicy = field(default_factory=FailurePolicy)


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
    ) -> None:
        """Take the study up; what an interruption left unfinished is settled first.

        Args:
            checkpoints: the folder under which each candidate gets its own.
        """
        self.study = study
        self._plan = plan
        self._checkpoints = checkpoints
        self._listener = listener
        self._settle()
        self._renew(problem)
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
        )
        self._engine = Engine(
            plan.goal,
            propose=proposer,
            advised=proposer.advises,
            point=self._point,
            halving=plan.halving,
            failure_policy=plan.failure_policy,
            records=study.records.values(),
        )

    def next(self, fits: Fits) -> Lease | Wait | Done:
        """Return a lease to carry out now, or why there is none."""
        decision = self._engine.next(fits)
        if isinstance(decision, Wait | Done):
            return decision
        attempt = self.study.begin_attempt(decision.number)
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
            checkpoints=self._checkpoints / candidate_name(record.number, record.key),
        )

    def report(self, number: int, attempt: int, epochs: Sequence[EpochResult]) -> Verdict:
        """Take results of a lease, oldest first; say whether its worker goes on."""
        if not self._is_current(number, attempt):
            return Verdict.STOP
        try:
            for epoch in epochs:
                self._point(number, epoch.metrics)
            self.study.add_epochs(number, epochs)
        except StudyError as error:
            self.failed(number, attempt, classify(error), str(error))
            return Verdict.STOP
        verdict = self._engine.report(number, epochs)
        if verdict is Verdict.PAUSE:
            self.study.pause(number)
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
        failure = Failure(cause=cause.value, message=message)
        retried = isinstance(decision, Retry)
        if retried:
            self.study.note_loss(number)
        else:
            self.study.fail(number, failure)
        if self._listener:
            self._listener.failed(self.study.records[number], failure, retried=retried)

    def conclude(self) -> None:
        """After `Done`: no candidate is left between start and verdict."""
        for number in self._engine.conclude():
            self.study.stop(number)

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
        self.study.settle()
        for number, record in list(self.study.records.items()):
            over = record.ended or record.epochs >= self._plan.goal.max_epochs
            if over and not record.phase.is_final:
                self.study.complete(number)
