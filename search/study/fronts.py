"""The front of a study: every candidate that no other beats in all objectives at once."""

from __future__ import annotations

from typing import Any

from search.engine.pareto import front
from search.objectives import first_learned, objective_vector
from search.study.records import CandidateRecord, Phase
from search.study.study import Study

NO_FRONT = "no candidate has finished an epoch, or all that did failed"
"""Why a front is empty."""


def front_records(study: Study) -> list[CandidateRecord]:
    """Return the non-dominated candidates by the results of the models they keep, smallest first.

    A candidate that was stopped early counts with what it reached: that model exists. (Training
    that stops by itself keeps its best epoch's, and counts with that.) How long it trained is in
    its record and belongs beside its result.
    """
    measured = [
        record
        for record in study.records.values()
        if record.curve and record.phase is not Phase.FAILED
    ]
    vectors = [
        objective_vector(study.objectives, record.metrics, record.costs) for record in measured
    ]
    if not vectors:
        return []
    members = [measured[i] for i in front(vectors)]
    return sorted(members, key=lambda record: _size(study, record))


def most_accurate(study: Study, count: int) -> list[CandidateRecord]:
    """Return the `count` members of the front that are best in the first learned objective."""
    learned = first_learned(study.objectives)
    ranked = sorted(
        front_records(study),
        key=lambda record: learned.minimised(record.metrics[learned.metric]),
    )
    return ranked[:count]


def front_rows(study: Study) -> list[dict[str, Any]]:
    """Return the front as JSON-ready rows."""
    return [
        {
            "trial": record.number,
            "key": record.key,
            **record.costs,
            "metrics": dict(record.metrics),
            "epochs": record.epochs,
            "seconds": round(record.seconds, 3),
            "phase": record.phase.value,
            "config": dict(record.candidate),
        }
        for record in front_records(study)
    ]


def _size(study: Study, record: CandidateRecord) -> list[float]:
    vector = objective_vector(study.objectives, record.metrics, record.costs)
    exact = [v for v, objective in zip(vector, study.objectives, strict=True) if objective.exact]
    return exact or list(vector)
