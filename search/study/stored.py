"""How an Optuna trial holds a candidate."""

from __future__ import annotations

from optuna.trial import FrozenTrial

from cluster.resources import Resources
from search.study.records import CandidateRecord, EpochResult, Failure, Phase, Rejection

EPOCH_PREFIX = "epoch:"
"""Of the user attribute that holds an epoch's result."""


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
    return CandidateRecord(
        number=trial.number,
        key=attrs["key"],
        params=trial.params,
        candidate=attrs["candidate"],
        costs=attrs["costs"],
        resources=Resources(**attrs["resources"]),
        phase=Phase(attrs["phase"]),
        attempt=attrs.get("attempt", 0),
        losses=attrs.get("losses", 0),
        curve=curve,
        failure=Failure(**failure) if failure else None,
    )


def rejection_of(trial: FrozenTrial) -> Rejection:
    """Return the turned-down proposal that a trial holds."""
    return Rejection(number=trial.number, params=trial.params, constraints=trial.constraints)
