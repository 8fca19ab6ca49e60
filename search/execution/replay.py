"""Carries a search out again from its log: does the same come out?

What was told (results, failures) is fed in the logged order to a fresh conductor over a study in
memory; what was decided (suggestions, promotions, leases, verdicts) is compared. A run of the
search that went on from the one before does so here too, from the memory's storage, so a decision
that hung on something the storage does not hold shows up as a difference.

Numbers that a sampler computes are compared to nine digits and what it fitted to six: another
machine adds up in another order. The replay goes on with the recorded ones, so that what is left
does not add up.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from optuna.storages import InMemoryStorage

from cluster.resources import Resources
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done
from search.engine.failures import Cause
from search.engine.plan_log import plan_from_dict
from search.engine.spending import Spending
from search.errors import StudyError
from search.execution.known_measurements import with_known_measurements
from search.execution.replay_script import Difference, KilledError, OtherwiseError, Script, named
from search.execution.replayed_study import FITTED_DIGITS, ReplayedStudy, alike
from search.problem import Problem
from search.study.creation import create_study
from search.study.order import BroughtIn, Event, Failed, Session, Told, events
from search.study.records import CandidateRecord, Phase
from search.study.study import SAMPLER_NOTES, Study


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What a replay found."""

    suggestions: int
    """So many came out the same, those that were turned down among them."""
    decisions: int
    """So many promotions, leases, verdicts and decisions to try again came out the same."""
    difference: Difference | None
    """After which nothing was compared; None when everything came out the same."""


def replay(study: Study, problem: Problem) -> Replay:
    """Carry a search out again, with the plans that were in force.

    Raises:
        StudyError: the study has no log, or the problem's code changed.
    """
    log = events(study)
    if not any(isinstance(event, Session) for event in log):
        raise StudyError(
            f"study '{study.name}' has no log of the order of its events",
            hint="only what `ecgsearch run` of this version searched can be replayed",
        )
    script = Script(log)
    difference = None
    try:
        _carry_out(script, study, problem)
    except OtherwiseError as found:
        difference = found.difference
    return Replay(suggestions=script.suggestions, decisions=script.decisions, difference=difference)


def _carry_out(script: Script, recorded: Study, problem: Problem) -> None:
    problem = with_known_measurements(recorded, problem)
    storage = InMemoryStorage()
    create_study(storage, recorded.name, recorded.objectives)
    copy = ReplayedStudy(storage, recorded, script)
    copy.take_over_notes()
    while (event := script.ahead()) is not None:
        if isinstance(event, BroughtIn):
            copy.bring_over(event.trial)
            script.take(BroughtIn, "", event.trial.number)
            continue
        if not isinstance(event, Session):
            raise StudyError(
                f"the log begins with {named(event)} at place {event.place}, not with a run",
                hint="the study's first candidates were searched before it had a log",
            )
        script.begin_session()
        for number in event.stopped:
            if not copy.records[number].phase.is_final:
                copy.stop(number)
        # As every run does, from what the storage holds.
        copy = ReplayedStudy(storage, recorded, script)
        for name in SAMPLER_NOTES:
            copy.set_note(name, event.notes[name])
        _ReplayedRun(problem, copy, event, script).carry_on()
    if all(record.phase.is_final for record in recorded.records.values()):
        for name in SAMPLER_NOTES:
            if not alike(recorded.note(name), copy.note(name), FITTED_DIGITS):
                script.differ(
                    f"the sampler's {name}: {recorded.note(name)}", f"{name}: {copy.note(name)}"
                )


# One run of the search ---------------------------------------------------------------------------


class _ReplayedConductor(Conductor):
    """Knows from the log whose training state was there, and what had been spent."""

    def __init__(
        self, problem: Problem, study: Study, plan: Plan, could_go_on: Collection[int]
    ) -> None:
        self._could_go_on = could_go_on
        self.told = study.spent
        """When results last came in. Whatever was decided later did come about, so nothing that
        was spent in between had kept it from that."""
        super().__init__(problem, study, plan, checkpoints=Path())

    @property
    def spent(self) -> Spending:
        return self.told

    def can_go_on(self, record: CandidateRecord) -> bool:
        return record.number in self._could_go_on


class _ReplayedRun:
    def __init__(
        self, problem: Problem, study: ReplayedStudy, session: Session, script: Script
    ) -> None:
        self._study = study
        self._script = script
        self._conductor = _ReplayedConductor(
            problem, study, plan_from_dict(session.plan), session.reopenable
        )

    def carry_on(self) -> None:
        """Go on until the log has no more of this run."""
        while (event := self._script.ahead()) is not None:
            if isinstance(event, Session | BroughtIn):
                return
            try:
                self._follow(event)
            except KilledError:
                return

    def _follow(self, event: Event) -> None:
        if isinstance(event, Told):
            self._tell(event)
        elif isinstance(event, Failed):
            self._fail(event)
        else:
            self._choose(event)

    def _choose(self, event: Event) -> None:
        at_once = self._script.starts_at_once()

        def fits(resources: Resources) -> bool:
            return at_once or not self._conductor.waiting

        decision = self._conductor.next(fits)
        if self._script.ahead() is event:
            over = isinstance(decision, Done)
            self._script.differ(named(event), "the search ends" if over else "nothing is chosen")

    def _tell(self, event: Told) -> None:
        number = event.number
        self._conductor.told = event.spent
        if event.verdict is None:
            self._study.add_epochs(number, event.epochs, spent=event.spent)
            self._script.take(Told, "", number)
            raise KilledError
        attempt = self._study.records[number].attempt
        verdict = self._conductor.report(number, attempt, event.epochs)
        self._compare(event, f"to {event.verdict.value}", f"to {verdict.value}")

    def _fail(self, event: Failed) -> None:
        failure, number = event.failure, event.number
        attempt = self._study.records[number].attempt
        self._conductor.failed(number, attempt, Cause(failure.cause), failure.message)
        retried = self._study.records[number].phase is not Phase.FAILED
        names = {True: "to try again", False: "to give up"}
        self._compare(event, names[event.retried], names[retried])

    def _compare(self, event: Told | Failed, recorded: str, replayed: str) -> None:
        if recorded != replayed:
            self._script.differ(f"{named(event)}, and is {recorded}", f"and is {replayed}")
        self._script.take(type(event), "", event.number)
        self._script.decisions += 1
