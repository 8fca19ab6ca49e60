"""The study: an Optuna study that holds everything there is to know of a search.

Optuna's own tools (optuna-dashboard, optuna.visualization) open it as it is. A candidate's Optuna
trial stays RUNNING until its verdict is final, because a told trial cannot change: full length is
COMPLETE, stopped for good is PRUNED, failed is FAIL. How far it has come meanwhile (phase, curve,
attempts) lives in user attributes.

A candidate enters the storage in one write, with parameters, costs and phase together, so there
is no moment at which a killed driver leaves half of one.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from cluster.resources import Resources
from search.errors import StudyError
from search.objectives import Objective, objective_vector
from search.study.records import CandidateRecord, EpochResult, Failure, Phase, Rejection
from search.study.stored import EPOCH_PREFIX, record_of, rejection_of

SETTINGS_ATTRIBUTE = "ecgsearch:settings"
READINGS_ATTRIBUTE = "ecgsearch:test_readings"


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A candidate before it is written down."""

    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    candidate: Mapping[str, Any]
    key: str
    costs: Mapping[str, float]
    resources: Resources
    constraints: Mapping[str, float] = field(default_factory=dict)
    """Feasible when <= 0; one above 0 turns the proposal down."""
    system_attrs: Mapping[str, Any] = field(default_factory=dict)
    """What the sampler wants to find again (NSGA-II keeps its generation here)."""


class Study:
    """Reads and writes one study; every method that changes something is one or two writes.

    The records are kept in memory beside the storage: one process drives a study (`driver_lock`).
    """

    def __init__(self, storage: BaseStorage, name: str, objectives: Sequence[Objective]) -> None:
        """Open the study `name`, which `create_study` made."""
        self.name = name
        self.objectives = tuple(objectives)
        self.storage = storage
        try:
            self._study_id = storage.get_study_id_from_name(name)
        except KeyError as error:
            raise StudyError(
                f"there is no study named '{name}' in the storage",
                hint="start it with `ecgsearch run STUDY.toml`",
            ) from error
        self._records: dict[int, CandidateRecord] = {}
        self._rejections: dict[int, Rejection] = {}
        self._trial_ids: dict[int, int] = {}
        self._trials: dict[int, FrozenTrial] = {}
        self._told: set[int] = set()
        self.strangers: list[int] = []
        """Numbers of unfinished trials that no driver of ours wrote."""
        for trial in storage.get_all_trials(self._study_id, deepcopy=False):
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
    def settings(self) -> dict[str, Any]:
        """What the study was started with (the study file's content)."""
        return self.storage.get_study_user_attrs(self._study_id).get(SETTINGS_ATTRIBUTE, {})

    @property
    def test_readings(self) -> list[dict[str, Any]]:
        """Every reading of the test part, oldest first."""
        return self.storage.get_study_user_attrs(self._study_id).get(READINGS_ATTRIBUTE, [])

    def template(self, number: int) -> FrozenTrial:
        """Return the trial as it was proposed: parameters, distributions, sampler's attributes."""
        return self._trials[number]

    # Writing ----------------------------------------------------------------------------------

    def set_settings(self, settings: Mapping[str, Any]) -> None:
        self.storage.set_study_user_attr(self._study_id, SETTINGS_ATTRIBUTE, dict(settings))

    def log_test_reading(self, reading: Mapping[str, Any]) -> None:
        """Note that the test part is about to be read, by whom and for what."""
        readings = [*self.test_readings, dict(reading)]
        self.storage.set_study_user_attr(self._study_id, READINGS_ATTRIBUTE, readings)

    def add(self, proposal: Proposal) -> CandidateRecord:
        """Write a candidate down as queued; it has a number from here on."""
        trial = create_trial(
            state=TrialState.RUNNING,
            params=dict(proposal.params),
            distributions=dict(proposal.distributions),
            user_attrs={
                "phase": Phase.QUEUED.value,
                "key": proposal.key,
                "candidate": dict(proposal.candidate),
                "costs": dict(proposal.costs),
                "resources": dataclasses.asdict(proposal.resources),
            },
            system_attrs=dict(proposal.system_attrs),
            constraints=dict(proposal.constraints),
        )
        number = self._create(trial)
        record = self._records[number] = record_of(self._trials[number])
        return record

    def reject(self, proposal: Proposal) -> Rejection:
        """Write down a proposal that is turned down; its constraints say why."""
        trial = create_trial(
            state=TrialState.PRUNED,
            params=dict(proposal.params),
            distributions=dict(proposal.distributions),
            user_attrs={"phase": "rejected", "key": proposal.key, "costs": dict(proposal.costs)},
            system_attrs=dict(proposal.system_attrs),
            constraints=dict(proposal.constraints),
        )
        number = self._create(trial)
        rejection = self._rejections[number] = rejection_of(self._trials[number])
        return rejection

    def set_resources(self, number: int, resources: Resources) -> None:
        """Note that a candidate takes something else from now on."""
        if self._records[number].resources != resources:
            self._set(number, "resources", dataclasses.asdict(resources))
            self._records[number] = dataclasses.replace(self._records[number], resources=resources)

    def begin_attempt(self, number: int) -> int:
        """Note that a lease begins; return its attempt number."""
        attempt = self._records[number].attempt + 1
        self._set(number, "attempt", attempt)
        self._set_phase(number, Phase.RUNNING)
        self._records[number] = dataclasses.replace(self._records[number], attempt=attempt)
        return attempt

    def add_epochs(self, number: int, epochs: Iterable[EpochResult]) -> None:
        """Append results that are not known yet; ones that are known stay as they are."""
        record = self._records[number]
        for epoch in epochs:
            if epoch.number != record.epochs + 1:
                if epoch.number <= record.epochs:
                    continue
                raise StudyError(
                    f"candidate {number} reports epoch {epoch.number} after {record.epochs}",
                    hint="let Problem.learn yield every epoch once, counted from 1",
                )
            self._set(
                number,
                f"{EPOCH_PREFIX}{epoch.number}",
                {"metrics": dict(epoch.metrics), "seconds": epoch.seconds}
                | ({"final": True} if epoch.final else {})
                | ({"kept": epoch.kept} if epoch.kept else {}),
            )
            record = dataclasses.replace(record, curve=(*record.curve, epoch))
            self._records[number] = record

    def pause(self, number: int) -> None:
        self._set_phase(number, Phase.PAUSED)

    def note_loss(self, number: int) -> None:
        """Note that a lease ended with a lost worker; the candidate waits for another."""
        losses = self._records[number].losses + 1
        self._set(number, "losses", losses)
        self._records[number] = dataclasses.replace(self._records[number], losses=losses)
        self._set_phase(number, Phase.PAUSED)

    def complete(self, number: int) -> None:
        """Learning is over, in full or of its own accord: tell Optuna the last objectives."""
        record = self._records[number]
        vector = objective_vector(self.objectives, record.metrics, record.costs)
        values = [o.natural(value) for o, value in zip(self.objectives, vector, strict=True)]
        self._set_phase(number, Phase.DONE)
        self._tell(number, TrialState.COMPLETE, values)

    def stop(self, number: int) -> None:
        """Stopped for good below full length."""
        self._set_phase(number, Phase.STOPPED)
        self._tell(number, TrialState.PRUNED)

    def fail(self, number: int, failure: Failure) -> None:
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

    # Storage ----------------------------------------------------------------------------------

    def _create(self, trial: FrozenTrial) -> int:
        trial_id = self.storage.create_new_trial(self._study_id, template_trial=trial)
        number = self.storage.get_trial_number_from_id(trial_id)
        trial.number = number
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
        self._trials[trial.number] = trial
        self._trial_ids[trial.number] = trial._trial_id
        if trial.state.is_finished():
            self._told.add(trial.number)
        phase = trial.user_attrs.get("phase")
        if phase == "rejected":
            self._rejections[trial.number] = rejection_of(trial)
        elif phase is not None:
            self._records[trial.number] = record_of(trial)
        elif not trial.state.is_finished():
            self.strangers.append(trial.number)


def create_study(
    storage: BaseStorage,
    name: str,
    objectives: Sequence[Objective],
    settings: Mapping[str, Any] | None = None,
) -> Study:
    """Create the study in the storage, or open it when it is there."""
    directions = [
        StudyDirection.MAXIMIZE if objective.direction == "max" else StudyDirection.MINIMIZE
        for objective in objectives
    ]
    optuna_study = optuna.create_study(
        storage=storage, study_name=name, directions=directions, load_if_exists=True
    )
    # Each is asked for by itself: a kill can fall between any two of these writes.
    if optuna_study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna_study.set_metric_names([objective.metric for objective in objectives])
    study = Study(storage, name, objectives)
    if settings is not None and not study.settings:
        study.set_settings(settings)
    return study
