"""How an Optuna trial holds a candidate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from cluster.resources import Resources
from search.engine.decisions import Verdict
from search.study.paid import PLACE, hearing_of, lease_times
from search.study.records import CandidateRecord, EpochResult, Failure, Phase, Rejection

EPOCH_PREFIX = "epoch:"
"""Of the user attribute that holds an epoch's result."""
CONTINUES = "continues"
"""The user attribute of a trial that goes on with a candidate of an earlier trial: its number."""


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


def number_of(trial: FrozenTrial) -> int:
    """Return the number of the candidate that a trial holds: its own, unless it continues."""
    return int(trial.user_attrs.get(CONTINUES, trial.number))


def queued_trial(proposal: Proposal, place: int) -> FrozenTrial:
    """Return a trial that holds a candidate which waits for its start."""
    attrs = _attributes(proposal, Phase.QUEUED) | {PLACE: place}
    return _trial(proposal, TrialState.RUNNING, attrs)


def rejected_trial(proposal: Proposal, place: int) -> FrozenTrial:
    """Return a trial that holds a proposal which is turned down."""
    attrs = {"phase": "rejected", "key": proposal.key, "costs": dict(proposal.costs)}
    return _trial(proposal, TrialState.PRUNED, attrs | {PLACE: place})


def imported_trial(
    proposal: Proposal,
    earlier: CandidateRecord,
    values: Sequence[float] | None,
    source: str,
    place: int,
) -> FrozenTrial:
    """Return a trial that holds a candidate with the results and verdict of another study's.

    Args:
        values: the objectives of one that is done; None of any other.
        source: where it was trained, for people.
    """
    phase = earlier.phase if earlier.phase.is_final else Phase.STOPPED
    attrs = _attributes(proposal, phase) | _results(earlier) | {"imported": source, PLACE: place}
    states = {Phase.DONE: TrialState.COMPLETE, Phase.FAILED: TrialState.FAIL}
    return _trial(proposal, states.get(phase, TrialState.PRUNED), attrs, values)


def continuing_trial(
    told: FrozenTrial, number: int, phase: Phase, resources: Resources, place: int
) -> FrozenTrial:
    """Return a trial that goes on with candidate `number` from where one that is told left it."""
    return create_trial(
        state=TrialState.RUNNING,
        params=told.params,
        distributions=told.distributions,
        user_attrs={
            **told.user_attrs,
            "phase": phase.value,
            "resources": dataclasses.asdict(resources),
            CONTINUES: number,
            "reopened": place,
        },
        system_attrs={
            k: v for k, v in told.system_attrs.items() if not k.startswith("constraints")
        },
        constraints=dict(told.constraints),
    )


def epoch_attribute(epoch: EpochResult) -> dict[str, Any]:
    """Return an epoch's result as it is written down."""
    return (
        {"metrics": dict(epoch.metrics), "seconds": epoch.seconds}
        | ({"final": True} if epoch.final else {})
        | ({"kept": epoch.kept} if epoch.kept else {})
    )


def record_of(trial: FrozenTrial) -> CandidateRecord:
    """Return the candidate that a trial holds."""
    attrs = trial.user_attrs
    epochs = sorted(int(key[len(EPOCH_PREFIX) :]) for key in attrs if key.startswith(EPOCH_PREFIX))
    curve = tuple(
        EpochResult(
            number=number,
            metrics=attrs[f"{EPOCH_PREFIX}{number}"]["metrics"],
            seconds=attrs[f"{EPOCH_PREFIX}{number}"]["seconds"],
            final=attrs[f"{EPOCH_PREFIX}{number}"].get("final", False),
            kept=attrs[f"{EPOCH_PREFIX}{number}"].get("kept"),
        )
        for number in epochs
    )
    failure = attrs.get("failure")
    leases = attrs.get("leases", ())
    last = attrs[f"{EPOCH_PREFIX}{epochs[-1]}"] if epochs else {}
    at_once = [lease[PLACE] for lease in leases if "promoted" in lease]
    promoted = max([attrs.get("promoted", 0), *at_once])
    return CandidateRecord(
        number=number_of(trial),
        key=attrs["key"],
        params=trial.params,
        candidate=attrs["candidate"],
        costs=attrs["costs"],
        resources=Resources(**attrs["resources"]),
        phase=Phase(attrs["phase"]),
        attempt=leases[-1]["attempt"] if leases else attrs.get("attempt", 0),
        trains_on=last.get("verdict") == Verdict.CONTINUE.value or promoted > last.get(PLACE, 0),
        setbacks=tuple(Failure(**setback) for setback in attrs.get("setbacks", ())),
        curve=curve,
        hearings=tuple(hearing_of(attrs[f"{EPOCH_PREFIX}{number}"]) for number in epochs),
        leases=lease_times(leases),
        failure=Failure(**failure) if failure else None,
        imported=attrs.get("imported"),
        hopeless_after=next(
            (number for number in epochs if attrs[f"{EPOCH_PREFIX}{number}"].get("hopeless")), None
        ),
        abandoned=last.get("verdict") == Verdict.ABANDON.value,
    )


def last_place(trial: FrozenTrial) -> int:
    """Return the last place in the study's order that a trial tells of; 0 if none."""
    attrs = trial.user_attrs
    told = [attrs, attrs.get("failure", {}), *attrs.get("setbacks", ()), *attrs.get("leases", ())]
    told += [attrs[key] for key in attrs if key.startswith(EPOCH_PREFIX)]
    return max(entry.get(key, 0) for entry in told for key in (PLACE, "promoted", "reopened"))


def rejection_of(trial: FrozenTrial) -> Rejection:
    """Return the turned-down proposal that a trial holds."""
    return Rejection(
        number=trial.number,
        params=trial.params,
        constraints=trial.constraints,
        key=trial.user_attrs["key"],
        costs=trial.user_attrs["costs"],
    )


def _trial(
    proposal: Proposal,
    state: TrialState,
    user_attrs: Mapping[str, Any],
    values: Sequence[float] | None = None,
) -> FrozenTrial:
    return create_trial(
        state=state,
        values=values,
        params=dict(proposal.params),
        distributions=dict(proposal.distributions),
        user_attrs=dict(user_attrs),
        system_attrs=dict(proposal.system_attrs),
        constraints=dict(proposal.constraints),
    )


def _attributes(proposal: Proposal, phase: Phase) -> dict[str, Any]:
    return {
        "phase": phase.value,
        "key": proposal.key,
        "candidate": dict(proposal.candidate),
        "costs": dict(proposal.costs),
        "resources": dataclasses.asdict(proposal.resources),
    }


def _results(record: CandidateRecord) -> dict[str, Any]:
    """Return what a candidate has been through, as it is written down."""
    failure = {"failure": _unplaced(record.failure)} if record.failure else {}
    curve = {f"{EPOCH_PREFIX}{epoch.number}": epoch_attribute(epoch) for epoch in record.curve}
    setbacks = [_unplaced(setback) for setback in record.setbacks]
    return {"attempt": record.attempt, "setbacks": setbacks, **failure, **curve}


def _unplaced(failure: Failure) -> dict[str, Any]:
    """Return a failure as it is written down in another study, where it has no place."""
    return dataclasses.asdict(dataclasses.replace(failure, place=0))
