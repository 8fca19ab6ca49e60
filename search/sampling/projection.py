"""What a sampler is shown of a study: results at one comparable length of training.

Accuracies after 1 and after 27 epochs do not compare. Told raw, a sampler would prefer whatever
trained longest. So it sees every candidate at the same epoch: the highest rung that enough of them
have reached. Those that did not get so far were found worse on the way and are shown as pruned,
which Optuna's samplers rank behind every completed trial.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.objectives import objective_vector
from search.study.records import CandidateRecord, Phase
from search.study.study import Study


def comparable_epoch(
    records: Iterable[CandidateRecord], rungs: Sequence[int], max_epochs: int, enough: int
) -> int:
    """Return the highest rung (or full length) that at least `enough` candidates have reached.

    The lowest one when none has enough yet.
    """
    epochs = [
        max_epochs if record.ended else record.epochs
        for record in records
        if record.phase is not Phase.FAILED
    ]
    levels = sorted({*rungs, max_epochs})
    filled = [level for level in levels if sum(epoch >= level for epoch in epochs) >= enough]
    return filled[-1] if filled else levels[0]


_Shown = tuple[TrialState, list[float] | None, Mapping[str, float]]
"""State, objectives (minimised) and constraints of a trial as a sampler sees it."""


class Projection:
    """One study, shown to samplers."""

    def __init__(self, study: Study) -> None:
        self._study = study
        # What a trial looks like changes seldom; building it costs more than showing it.
        self._built: dict[int, tuple[_Shown, FrozenTrial]] = {}

    def show(self, epoch: int, sampler: BaseSampler) -> optuna.Study:
        """Build the in-memory Optuna study that has every candidate as it stood after `epoch`.

        Objectives are minimised in it. Duplicates of known candidates are left out: shown as
        infeasible, they would drive the sampler away from the very places that it came back to.
        One projection is good until the next is built: they share their trials.
        """
        storage = InMemoryStorage()
        projected = optuna.create_study(
            storage=storage,
            sampler=sampler,
            directions=["minimize"] * len(self._study.objectives),
        )
        study_id = storage.get_study_id_from_name(projected.study_name)
        shown: dict[int, _Shown] = {
            record.number: _shown(self._study, record, epoch)
            for record in self._study.records.values()
        }
        for rejection in self._study.rejections.values():
            if not rejection.is_duplicate:
                shown[rejection.number] = TrialState.PRUNED, None, rejection.constraints
        for number in sorted(shown):
            storage.create_new_trial(study_id, self._trial(number, shown[number]))
        return projected

    def unseen(self, sampler: BaseSampler) -> optuna.Study:
        """Build an in-memory Optuna study for a sampler that looks at nothing."""
        return optuna.create_study(
            sampler=sampler, directions=["minimize"] * len(self._study.objectives)
        )

    def _trial(self, number: int, shown: _Shown) -> FrozenTrial:
        known = self._built.get(number)
        if known is not None and known[0] == shown:
            return known[1]
        state, values, constraints = shown
        template = self._study.template(number)
        trial = create_trial(
            state=state,
            values=values,
            params=template.params,
            distributions=template.distributions,
            system_attrs=sampler_attributes(template.system_attrs),
            constraints=dict(constraints),
        )
        # The storage copies what it is given, deeply, and needs not: the trial is made for it.
        trial.__deepcopy__ = lambda _: trial  # type: ignore[attr-defined]
        self._built[number] = (shown, trial)
        return trial


def sampler_attributes(system_attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the sampler wrote to a trial (NSGA-II its generation), without constraints."""
    return {k: v for k, v in system_attrs.items() if not k.startswith("constraints")}


def _shown(study: Study, record: CandidateRecord, epoch: int) -> _Shown:
    if record.phase is Phase.FAILED:
        return TrialState.FAIL, None, {}
    if record.epochs >= epoch or record.ended:
        metrics = record.metrics_after(epoch)
        vector = objective_vector(study.objectives, metrics, record.costs)
        return TrialState.COMPLETE, list(vector), {"duplicate": 0.0}
    if record.phase in (Phase.QUEUED, Phase.RUNNING):
        return TrialState.RUNNING, None, {}
    return TrialState.PRUNED, None, {"duplicate": 0.0}
