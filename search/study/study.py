"""The study: an Optuna study that holds everything there is to know of a search.

Optuna's own tools (optuna-dashboard, optuna.visualization) open it as it is. A candidate's Optuna
trial stays RUNNING until its verdict is final, because a told trial cannot change: full length is
COMPLETE, stopped for good is PRUNED, failed is FAIL. How far it has come meanwhile (phase, curve,
attempts) lives in user attributes. A stopped candidate that is taken up again, when its study is
extended, goes on in a second trial; it is one candidate still, under the number of its first trial.

A candidate enters the storage in one write, with parameters, costs and phase together, so there
is no moment at which a killed driver leaves half of one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import TrialState

from cluster.resources import Resources
from search.engine.decisions import Verdict
from search.engine.spending import Spending
from search.errors import StudyError
from search.objectives import Objective, objective_vector
from search.study.paid import PLACE, heard, hearing_of, lease_begun, lease_ended
from search.study.records import CandidateRecord, Ending, EpochResult, Failure, Phase, Rejection
from search.study.stored import (
    EPOCH_PREFIX,
    Proposal,
    continuing_trial,
    epoch_attribute,
    imported_trial,
    queued_trial,
    record_of,
    rejected_trial,
    rejection_of,
)
from search.study.trials import StudyTrials

SCALES_NOTE = "scales"
AGENDA_NOTE = "agenda"
PROMOTIONS_NOTE = "promotions"
SAMPLER_NOTES = (SCALES_NOTE, AGENDA_NOTE)
"""Names of what the front sampler notes as it goes (`search.sampling.front_sampler`)."""


class Study(StudyTrials):
    """Reads and writes one study; every method that changes something is one or two writes.

    The records are kept in memory beside the storage: one process drives a study (`driver_lock`).
    Suggestions, promotions, leases, results and failures carry their place in the one order of all
    of them in what is written anyway; `search.study.order` reads it back.
    """

    def __init__(self, storage: BaseStorage, name: str, objectives: Sequence[Objective]) -> None:
        """Open the study `name`, which `create_study` made."""
        super().__init__(storage, name)
        self.objectives = tuple(objectives)

    def begin_session(self, plan: Mapping[str, Any], reopenable: Iterable[int] = ()) -> None:
        """Note what a run of the search begins from.

        Args:
            plan: what it follows, JSON-ready.
            reopenable: who was stopped and can go on.
        """
        sessions = self.sessions
        listed = {number: session[PLACE] for session in sessions for number in session["stopped"]}
        session = {
            PLACE: self._next_place(),
            "plan": dict(plan),
            "reopenable": list(reopenable),
            # What the sampler had noted: a kill may have kept it from acting on that.
            "notes": {name: self.note(name) for name in SAMPLER_NOTES},
            # Those whom the end of the last session stopped: that has no place of its own.
            "stopped": [
                number
                for number, record in self._records.items()
                if record.phase is Phase.STOPPED
                and listed.get(number, -1) < self._trials[number].user_attrs.get("reopened", 0)
            ],
        }
        self.set_note(f"session:{len(sessions) + 1}", session)

    def add(self, proposal: Proposal) -> CandidateRecord:
        """Write a candidate down as queued; it has a number from here on."""
        number = self._create(queued_trial(proposal, self._next_place()))
        record = self._records[number] = record_of(self._trials[number])
        return record

    def reject(self, proposal: Proposal) -> Rejection:
        """Write down a proposal that is turned down; its constraints say why."""
        number = self._create(rejected_trial(proposal, self._next_place()))
        rejection = self._rejections[number] = rejection_of(self._trials[number])
        return rejection

    def bring_in(self, proposal: Proposal, earlier: CandidateRecord, source: str) -> int:
        """Write down a candidate of another study with its results and verdict, as final here.

        One that had none yet counts as stopped where it stood. Returns its number here.
        """
        values = self._values(earlier) if earlier.phase is Phase.DONE else None
        trial = imported_trial(proposal, earlier, values, source, self._next_place())
        number = self._create(trial)
        self._records[number] = record_of(self._trials[number])
        self._told.add(number)
        return number

    def reopen(self, number: int, phase: Phase, resources: Resources) -> None:
        """Take up again a candidate that was stopped for good.

        Its trial is told and cannot change: a new trial takes over all that is known of it, says
        in its attributes that it `continues` the first, and is told in its stead. The candidate
        keeps its number.
        """
        told = self.storage.get_trial(self._trial_ids[number])
        place = self._next_place()
        self._create(continuing_trial(told, number, phase, resources, place))
        self._told.discard(number)
        self._records[number] = record_of(self._trials[number])

    def set_resources(self, number: int, resources: Resources) -> None:
        """Note that a candidate takes something else from now on."""
        if self._records[number].resources != resources:
            self._set(number, "resources", dataclasses.asdict(resources))
            self._records[number] = dataclasses.replace(self._records[number], resources=resources)

    def intend_promotions(self, numbers: Sequence[int]) -> None:
        """Note that several paused candidates are to train on, before each is promoted or leased.

        A kill in between can then not part what was decided at once.
        """
        self.set_note(PROMOTIONS_NOTE, {"after": self._places, "numbers": list(numbers)})

    @property
    def unfinished_promotions(self) -> list[int]:
        """Who was to be promoted with others and, because of a kill, was not."""
        noted = self.note(PROMOTIONS_NOTE) or {"after": 0, "numbers": []}
        return [
            number
            for number in noted["numbers"]
            if max(self._noted.get(number, 0), self._last_lease(number)) <= noted["after"]
        ]

    def promote(self, number: int) -> None:
        """Note that a paused candidate is to train on, though no lease begins yet."""
        self._noted[number] = self._next_place()
        self._set(number, "promoted", self._noted[number])
        self._records[number] = dataclasses.replace(self._records[number], trains_on=True)

    def begin_attempt(
        self, number: int, *, promoted: bool = False, spent: Spending | None = None
    ) -> int:
        """Note that a lease begins; return its attempt number.

        Args:
            promoted: the candidate was paused; that it is to train on was decided just now.
            spent: what the search has cost by now; left out, as much as when that was last noted.
        """
        record = self._records[number]
        noted = self._noted.get(number, 0)
        lease = {"attempt": record.attempt + 1, PLACE: self._next_place()}
        lease |= {"noted": noted} if noted > self._last_lease(number) else {}
        lease |= {"promoted": True} if promoted else {}
        lease |= lease_begun(record.resources, self._now(spent))
        self._set_leases(number, [*self._leases.get(number, ()), lease])
        self._set_phase(number, Phase.RUNNING)
        self._records[number] = dataclasses.replace(
            self._records[number],
            attempt=record.attempt + 1,
            trains_on=record.trains_on or promoted,
        )
        return record.attempt + 1

    def end_lease(
        self, number: int, ending: Ending, *, spent: Spending | None = None, again_s: float = 0.0
    ) -> None:
        """Note how and when a candidate's last lease ended, if that is not known.

        Args:
            spent: as `begin_attempt`.
            again_s: how long it trained epochs whose results were known.
        """
        *before, last = self._leases[number]
        if "ended" not in last:
            ended = lease_ended(self._now(spent), ending, again_s)
            self._set_leases(number, [*before, last | ended])

    def unknown(self, number: int, epochs: Iterable[EpochResult]) -> list[EpochResult]:
        """Return the results that are not known yet; of epochs trained twice the first stand.

        Raises:
            StudyError: an epoch before them is missing.
        """
        known = self._records[number].epochs
        new = [epoch for epoch in epochs if epoch.number > known]
        for before, epoch in enumerate(new, start=known):
            if epoch.number != before + 1:
                raise StudyError(
                    f"candidate {number} reports epoch {epoch.number} after {before}",
                    hint="let Problem.learn yield every epoch once, counted from 1",
                )
        return new

    def add_epochs(
        self,
        number: int,
        epochs: Iterable[EpochResult],
        verdict: Verdict = Verdict.CONTINUE,
        *,
        hopeless: bool = False,
        spent: Spending | None = None,
    ) -> None:
        """Append results that are not known yet, with the verdict on the last of them.

        Args:
            hopeless: whether hope was given up of the candidate with the last of them, or before.
            spent: as `begin_attempt`.
        """
        new = self.unknown(number, epochs)
        place = self._next_place() if new else 0
        for epoch in new:
            last = epoch is new[-1]
            record = self._records[number]
            told = epoch_attribute(epoch) | {PLACE: place}
            told |= heard(record.attempt, self._now(spent))
            told |= {"verdict": verdict.value} if last else {}
            given_up = last and hopeless and record.hopeless_after is None
            told |= {"hopeless": True} if given_up else {}
            self._set(number, f"{EPOCH_PREFIX}{epoch.number}", told)
            self._records[number] = dataclasses.replace(
                record,
                curve=(*record.curve, epoch),
                hearings=(*record.hearings, hearing_of(told)),
                trains_on=last and verdict is Verdict.CONTINUE,
                hopeless_after=epoch.number if given_up else record.hopeless_after,
                abandoned=last and verdict is Verdict.ABANDON,
            )

    def pause(self, number: int) -> None:
        self._set_phase(number, Phase.PAUSED)

    def note_setback(self, number: int, failure: Failure) -> None:
        """Note that a lease failed and the candidate waits for another."""
        failure = dataclasses.replace(failure, place=self._next_place())
        setbacks = (*self._records[number].setbacks, failure)
        self._set(number, "setbacks", [dataclasses.asdict(setback) for setback in setbacks])
        self._records[number] = dataclasses.replace(self._records[number], setbacks=setbacks)
        self._set_phase(number, Phase.PAUSED)

    def complete(self, number: int) -> None:
        """Learning is over, in full or of its own accord: tell Optuna the last objectives."""
        values = self._values(self._records[number])
        self._set_phase(number, Phase.DONE)
        self._tell(number, TrialState.COMPLETE, values)

    def stop(self, number: int) -> None:
        """Stopped for good below full length."""
        self._set_phase(number, Phase.STOPPED)
        self._tell(number, TrialState.PRUNED)

    def fail(self, number: int, failure: Failure) -> None:
        if not failure.place:
            failure = dataclasses.replace(failure, place=self._next_place())
        self._set(number, "failure", dataclasses.asdict(failure))
        self._records[number] = dataclasses.replace(self._records[number], failure=failure)
        self._set_phase(number, Phase.FAILED)
        self._tell(number, TrialState.FAIL)

    def settle(self) -> None:
        """After an interruption: finish what was written but for its last word.

        A kill can fall between a candidate's phase and Optuna's verdict. Trials of others that are
        unfinished (an `ask` by hand, say) have nobody to finish them and are told FAIL.
        """
        for number, record in list(self._records.items()):
            if number in self._told:
                continue
            if record.phase is Phase.DONE:
                self.complete(number)
            elif record.phase is Phase.STOPPED:
                self.stop(number)
            elif record.failure is not None:
                self.fail(number, record.failure)
        for number in self.strangers:
            self._tell(number, TrialState.FAIL)
        self.strangers.clear()

    def _last_lease(self, number: int) -> int:
        """Return the place of a candidate's last lease; 0 before the first."""
        leases = self._leases.get(number, ())
        return leases[-1][PLACE] if leases else 0

    def _now(self, spent: Spending | None) -> Spending:
        self.spent = self.spent.or_later(spent or Spending())
        return self.spent

    def _values(self, record: CandidateRecord) -> list[float]:
        vector = objective_vector(self.objectives, record.metrics, record.costs)
        return [o.natural(value) for o, value in zip(self.objectives, vector, strict=True)]
