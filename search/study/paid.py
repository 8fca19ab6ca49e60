"""How a candidate's attributes hold what it has cost: its leases, and how its results came."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from cluster.resources import Resources
from search.engine.spending import Spending
from search.study.records import Ending, Hearing, LeaseTime

PLACE = "place"
"""Where something comes in the order of all that happened in the study, counted from 1
(`search.study.order`); epochs that were told together share one."""

_UNKNOWN = (0.0, 0.0, 0.0)


def lease_begun(resources: Resources, spent: Spending) -> dict[str, Any]:
    """Return what is written of a lease that begins, beside its number."""
    return {"began": spent.to_list(), "workers": resources.workers, "gpus": resources.gpus}


def lease_ended(spent: Spending, ending: Ending, again_s: float) -> dict[str, Any]:
    """Return what is added once it has ended."""
    again = {"again_s": again_s} if again_s else {}
    return {"ended": spent.to_list(), "ending": ending.value, **again}


def lease_times(leases: Iterable[Mapping[str, Any]]) -> tuple[LeaseTime, ...]:
    """Return the leases whose times were written down, oldest first."""
    return tuple(
        LeaseTime(
            attempt=lease["attempt"],
            workers=lease["workers"],
            gpus=lease["gpus"],
            began_s=Spending.from_list(lease["began"]).search_s,
            ended_s=Spending.from_list(lease["ended"]).search_s if "ended" in lease else None,
            ending=Ending(lease["ending"]) if "ending" in lease else None,
            again_s=lease.get("again_s", 0.0),
        )
        for lease in leases
        if "began" in lease
    )


def heard(attempt: int, spent: Spending) -> dict[str, Any]:
    """Return what is written beside a result."""
    return {"attempt": attempt, "spent": spent.to_list()}


def hearing_of(epoch: Mapping[str, Any]) -> Hearing:
    """Return how a result came that was written down."""
    spent = Spending.from_list(epoch.get("spent", _UNKNOWN))
    return Hearing(attempt=epoch.get("attempt", 0), place=epoch.get(PLACE, 0), spent=spent)


def last_spending(leases: Sequence[Mapping[str, Any]], hearings: Iterable[Hearing]) -> Spending:
    """Return what the study had cost when a candidate was last heard of."""
    latest = Spending()
    for lease in leases:
        for moment in ("began", "ended"):
            latest = latest.or_later(Spending.from_list(lease.get(moment, _UNKNOWN)))
    for hearing in hearings:
        latest = latest.or_later(hearing.spent)
    return latest
