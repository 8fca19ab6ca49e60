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
from optuna.trial import TrialState, create_trial

from search.objectives import objective_vector
from search.records import CandidateRecord, Phase
from search.study import Study


def comparable_epoch(
    records: Iterable[CandidateRecord], rungs: Sequence[int], max_epochs: int, enough: int
) -> int:
    """Return the highest rung (or full length) that at least `enough` candidates have reached.

    The lowest one when none has enough yet.
    """
    epochs = [record.epochs for record in records if record.phase is not Phase.FAILED]
    levels = sorted({*rungs, max_epochs})
    filled = [level for level in levels if sum(epoch >= level for epoch in epochs) >= enough]
    return filled[-1] if filled else levels[0]


def project(study: Study, epoch: int, sampler: BaseSampler) -> optuna.Study:
    """Build the in-memory Optuna study that shows every candidate as it stood after `epoch`.

    Objectives are minimised in it. Duplicates of known candidates are left out: shown as
    infeasible, they would drive the sampler away from the very places that it came back to.
    """
    projected = optuna.create_study(
        storage=InMemoryStorage(),
        sampler=sampler,
        directions=["minimize"] * len(study.objectives),
    )
    shown: dict[int, _Shown] = {
        record.number: _shown(study, record, epoch) for record in study.records.values()
    }
    for rejection in study.rejections.values():
        if not rejection.is_duplicate:
            shown[rejection.number] = TrialState.PRUNED, None, rejection.constraints
    for number in sorted(shown):
        state, values, constraints = shown[number]
        template = study.template(number)
        projected.add_trial(
            create_trial(
                state=state,
                values=values,
                params=template.params,
                distributions=template.distributions,
                system_attrs=sampler_attributes(template.system_attrs),
                constraints=dict(constraints),
            )
        )
    return projected


def sampler_attributes(system_attrs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the sampler wrote to a trial (NSGA-II its generation), without constraints."""
    return {k: v for k, v in system_attrs.items() if not k.startswith("constraints")}


_Shown = tuple[TrialState, list[float] | None, Mapping[str, float]]


def _shown(study: Study, record: CandidateRecord, epoch: int) -> _Shown:
    if record.phase is Phase.FAILED:
        return TrialState.FAIL, None, {}
    if record.epochs >= epoch:
        metrics = record.curve[epoch - 1].metrics
        vector = objective_vector(study.objectives, metrics, record.costs)
        return TrialState.COMPLETE, list(vector), {"duplicate": 0.0}
    if record.phase in (Phase.QUEUED, Phase.RUNNING):
        return TrialState.RUNNING, None, {}
    return TrialState.PRUNED, None, {"duplicate": 0.0}
