"""The study that a replay writes: in memory, held against the log decision by decision."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from cluster.resources import Resources
from search.engine.spending import Spending
from search.execution.replay_script import Script, named
from search.study.notes import SPENT_NOTE
from search.study.order import Leased, Promoted, Reopened, Suggested
from search.study.records import CandidateRecord, Phase, Rejection
from search.study.stored import Proposal
from search.study.study import PROMOTIONS_NOTE, Study

_SUGGESTED_DIGITS = 1e-9
"""How far apart numbers may be that a sampler suggested, absolutely and in relation."""
FITTED_DIGITS = 1e-6
"""How far apart numbers may be that it fitted."""


class ReplayedStudy(Study):
    """A study in memory that compares what is decided with the log, and writes what the log has."""

    def __init__(self, storage: InMemoryStorage, recorded: Study, script: Script) -> None:
        super().__init__(storage, recorded.name, recorded.objectives)
        self._recorded = recorded
        self._script = script

    def take_over_notes(self) -> None:
        """Note what was noted beside the trials, before the search or for all of it."""
        for name, value in self._recorded.notes().items():
            if not name.startswith("session:") and name not in (SPENT_NOTE, PROMOTIONS_NOTE):
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
            and alike(event.trial.params, proposal.params, _SUGGESTED_DIGITS)
            and alike(_attributes(event.trial), proposal.system_attrs, FITTED_DIGITS)
            and alike(event.trial.constraints, proposal.constraints, _SUGGESTED_DIGITS)
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


def alike(recorded: Any, replayed: Any, digits: float) -> bool:
    """Return whether both are the same but for numbers, which may be so far apart."""
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
