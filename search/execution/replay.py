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

import json
import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from cluster.resources import Resources
from search.engine.conductor import Conductor, Plan
from search.engine.decisions import Done
from search.engine.failures import Cause
from search.engine.lease import Lease
from search.engine.plan_log import plan_from_dict
from search.engine.spending import Spending
from search.errors import StudyError
from search.execution.known_measurements import with_known_measurements
from search.execution.replay_script import Difference, KilledError, OtherwiseError, Script, named
from search.problem import Problem
from search.study.creation import create_study
from search.study.notes import SPENT_NOTE
from search.study.order import (
    BroughtIn,
    Event,
    Failed,
    Leased,
    Promoted,
    Reopened,
    Session,
    Suggested,
    Told,
    events,
)
from search.study.records import CandidateRecord, Phase, Rejection
from search.study.stored import Proposal
from search.study.study import SAMPLER_NOTES, Study

_SUGGESTED_DIGITS = 1e-9
_FITTED_DIGITS = 1e-6


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
    copy = _ReplayedStudy(storage, recorded, script)
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
        copy = _ReplayedStudy(storage, recorded, script)
        for name in SAMPLER_NOTES:
            copy.set_note(name, event.notes[name])
        _ReplayedRun(problem, copy, event, script).carry_on()
    if all(record.phase.is_final for record in recorded.records.values()):
        for name in SAMPLER_NOTES:
            if not _alike(recorded.note(name), copy.note(name), _FITTED_DIGITS):
                script.differ(
                    f"the sampler's {name}: {recorded.note(name)}", f"{name}: {copy.note(name)}"
                )


# The study in memory -----------------------------------------------------------------------------


class _ReplayedStudy(Study):
    """A study in memory that compares what is decided with the log, and writes what the log has."""

    def __init__(self, storage: InMemoryStorage, recorded: Study, script: Script) -> None:
        super().__init__(storage, recorded.name, recorded.objectives)
        self._recorded = recorded
        self._script = script

    def take_over_notes(self) -> None:
        """Note what was noted beside the trials, before the search or for all of it."""
        for name, value in self._recorded.notes().items():
            if not name.startswith("session:") and name != SPENT_NOTE:
                self.set_note(name, value)

    def bring_over(self, trial: FrozenTrial) -> None:
        """Write down a candidate of another study as it was."""
        self._fill_up_to(trial.number)
        trial_id = self.storage.create_new_trial(self._study_id, template_trial=trial)
        self._read(self.storage.get_trial(trial_id))

    def begin_session(self, plan: Mapping[str, Any], reopenable: Iterable[int] = ()) -> None:
        """Nothing: the log has it."""

    def add(self, proposal: Proposal) -> CandidateRecord:
        return super().add(self._as_recorded(proposal, admitted=True))

    def reject(self, proposal: Proposal) -> Rejection:
        return super().reject(self._as_recorded(proposal, admitted=False))

    def reopen(self, number: int, phase: Phase, resources: Resources) -> None:
        self._script.take(Reopened, f"candidate {number} is taken up again", number)
        super().reopen(number, phase, resources)

    def promote(self, number: int) -> None:
        self._script.take(Promoted, f"candidate {number} is promoted", number)
        self._script.decisions += 1
        super().promote(number)

    def begin_attempt(
        self, number: int, *, promoted: bool = False, spent: Spending | None = None
    ) -> int:
        how = "is promoted and goes on" if promoted else "gets a slot"
        event = self._script.ahead()
        replayed = f"candidate {number} {how}"
        if isinstance(event, Leased) and event.promoted != promoted:
            self._script.differ(named(event), replayed)
        self._script.take(Leased, replayed, number)
        self._script.decisions += 1
        return super().begin_attempt(number, promoted=promoted, spent=spent)

    def _as_recorded(self, proposal: Proposal, *, admitted: bool) -> Proposal:
        number = self.storage.get_n_trials(self._study_id)
        event = self._script.ahead()
        if isinstance(event, Suggested):
            self._fill_up_to(event.number)
            number = event.number
        how = "is suggested" if admitted else "is suggested and turned down"
        replayed = f"candidate {number} {how}: {json.dumps(_plain(proposal.params))}"
        if isinstance(event, Suggested) and not (
            event.admitted == admitted
            and _alike(event.trial.params, proposal.params, _SUGGESTED_DIGITS)
            and _alike(_attributes(event.trial), proposal.system_attrs, _FITTED_DIGITS)
            and _alike(event.trial.constraints, proposal.constraints, _SUGGESTED_DIGITS)
        ):
            self._script.differ(named(event), replayed)
        taken = self._script.take(Suggested, replayed, number)
        self._script.suggestions += 1
        return replace(proposal, params=taken.trial.params)

    def _fill_up_to(self, number: int) -> None:
        """Keep the numbers of trials that others wrote."""
        while self.storage.get_n_trials(self._study_id) < number:
            stranger = create_trial(state=TrialState.FAIL)
            self.storage.create_new_trial(self._study_id, template_trial=stranger)


def _attributes(trial: FrozenTrial) -> dict[str, Any]:
    return {k: v for k, v in trial.system_attrs.items() if not k.startswith("constraints")}


def _plain(values: Any) -> Any:
    """Return values as a storage gives them back: tuples are lists."""
    return json.loads(json.dumps(values, default=dict))


def _alike(recorded: Any, replayed: Any, digits: float) -> bool:
    return _equal(_plain(recorded), _plain(replayed), digits)


def _equal(a: Any, b: Any, digits: float) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_equal(a[key], b[key], digits) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(
            _equal(one, other, digits) for one, other in zip(a, b, strict=True)
        )
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=digits, abs_tol=digits) or (a != a and b != b)
    return bool(a == b)


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
        self, problem: Problem, study: _ReplayedStudy, session: Session, script: Script
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
        assert isinstance(decision, Lease) or not at_once

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
