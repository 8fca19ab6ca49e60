"""What became of worker time, in a line or two for people."""

from __future__ import annotations

from collections.abc import Mapping

from search.engine.spending import SECONDS_PER_HOUR
from search.engine.worker_time import Outcome, WorkerTime, worker_time
from search.study.fronts import front_records
from search.study.study import Study

_WORDS = {**{outcome: outcome.value for outcome in Outcome}, Outcome.OVERHEAD: "starting, waiting"}


def time_ledger(study: Study) -> str:
    """Return a line of worker time and one of GPU time, where there were GPUs; or nothing.

    Nothing, that is, when the study was searched before times were written down.
    """
    found = ledger_of(study)
    lines = [("worker time", found.worker_s), ("GPU time", found.gpu_s)]
    return "\n".join(_line(what, seconds) for what, seconds in lines if sum(seconds.values()) > 0)


def ledger_of(study: Study) -> WorkerTime:
    """Return the ledger of all the study's candidates."""
    front = {record.number for record in front_records(study)}
    return worker_time(study.records.values(), front, study.spent)


def _line(what: str, seconds: Mapping[Outcome, float]) -> str:
    total_s = sum(seconds.values())
    parts = [f"{seconds[outcome] / total_s:.0%} {_WORDS[outcome]}" for outcome in Outcome]
    return f"{what} {_duration(total_s)}: {', '.join(parts)}"


def _duration(seconds: float) -> str:
    if seconds < 60.0:
        return f"{seconds:.1f} s"
    if seconds < SECONDS_PER_HOUR:
        return f"{seconds / 60.0:.1f} min"
    return f"{seconds / SECONDS_PER_HOUR:,.2f} h"
