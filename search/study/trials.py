"""The trials of a study, in memory beside the storage, and the writes that change them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from search.study.notes import StudyNotes
from search.study.paid import PLACE, last_spending, lease_times
from search.study.records import CandidateRecord, Phase, Rejection
from search.study.stored import last_place, number_of, record_of, rejection_of


class StudyTrials(StudyNotes):
    """Keeps what each trial says as a record, and every record as its trial has it."""

    def __init__(self, storage: BaseStorage, name: str) -> None:
        """Read the trials of the study `name`."""
        super().__init__(storage, name)
        self._records: dict[int, CandidateRecord] = {}
        self._rejections: dict[int, Rejection] = {}
        self._trial_ids: dict[int, int] = {}
        self._leases: dict[int, list[dict[str, Any]]] = {}
        """As they are written down, oldest first."""
        self._noted: dict[int, int] = {}
        """Places of the last promotions that were noted before a lease."""
        self._trials: dict[int, FrozenTrial] = {}
        self._told: set[int] = set()
        """Whose verdict Optuna has."""
        self._places = max((session[PLACE] for session in self.sessions), default=0)
        self.strangers: list[int] = []
        """Numbers of unfinished trials that no driver of ours wrote."""
        for trial in self.trials:
            self._read(trial)

    # Reading ----------------------------------------------------------------------------------

    @property
    def records(self) -> Mapping[int, CandidateRecord]:
        """Every candidate by number; turned-down proposals are not among them."""
        return self._records

    @property
    def rejections(self) -> Mapping[int, Rejection]:
        """Every turned-down proposal by number."""
        return self._rejections

    @property
    def trials(self) -> list[FrozenTrial]:
        """What Optuna sees, by number."""
        return self.storage.get_all_trials(self._study_id, deepcopy=False)

    def template(self, number: int) -> FrozenTrial:
        """Return the trial as it was proposed: parameters, distributions, sampler's attributes."""
        return self._trials[number]

    # Writing ----------------------------------------------------------------------------------

    def _set_leases(self, number: int, leases: list[dict[str, Any]]) -> None:
        self._set(number, "leases", leases)
        self._leases[number] = leases
        times = lease_times(leases)
        self._records[number] = dataclasses.replace(self._records[number], leases=times)

    def _next_place(self) -> int:
        self._places += 1
        return self._places

    def _create(self, trial: FrozenTrial) -> int:
        trial_id = self.storage.create_new_trial(self._study_id, template_trial=trial)
        trial.number = self.storage.get_trial_number_from_id(trial_id)
        number = number_of(trial)
        self._trials[number] = trial
        self._trial_ids[number] = trial_id
        return number

    def _set(self, number: int, key: str, value: Any) -> None:
        self.storage.set_trial_user_attr(self._trial_ids[number], key, value)

    def _set_phase(self, number: int, phase: Phase) -> None:
        if self._records[number].phase is not phase:
            self._set(number, "phase", phase.value)
            self._records[number] = dataclasses.replace(self._records[number], phase=phase)

    def _tell(self, number: int, state: TrialState, values: Sequence[float] | None = None) -> None:
        self.storage.set_trial_state_values(self._trial_ids[number], state=state, values=values)
        self._told.add(number)

    def _read(self, trial: FrozenTrial) -> None:
        number = number_of(trial)  # a trial that continues another comes after it
        self._trials[number] = trial
        self._trial_ids[number] = trial._trial_id
        self._told.discard(number)
        if trial.state.is_finished():
            self._told.add(number)
        self._leases[number] = trial.user_attrs.get("leases", [])
        self._noted[number] = trial.user_attrs.get("promoted", 0)
        self._places = max(self._places, last_place(trial))
        phase = trial.user_attrs.get("phase")
        if phase == "rejected":
            self._rejections[number] = rejection_of(trial)
        elif phase is not None:
            record = self._records[number] = record_of(trial)
            self.spent = self.spent.or_later(last_spending(self._leases[number], record.hearings))
        elif not trial.state.is_finished():
            self.strangers.append(number)
