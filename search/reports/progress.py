"""Shows a search as it goes: a line for every candidate that starts, rests, ends or fails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from search.engine.decisions import Verdict
from search.engine.failures import Cause
from search.engine.goal import Goal
from search.engine.spending import Spending
from search.objectives import LOG10_PREFIX, Objective
from search.study.records import CandidateRecord, Failure, Phase

_ENDED = {Verdict.PAUSE: "paused", Verdict.STOP: "done", Verdict.ABANDON: "given up"}


class ProgressLines:
    """A conductor's listener that prints; lines suit a terminal and a job's log alike."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        *,
        goal: Goal,
        known: Mapping[int, CandidateRecord],
        spent: Callable[[], Spending],
        show: Callable[[str], None],
    ) -> None:
        self._objectives = tuple(objectives)
        self._goal = goal
        self._known = known
        self._spent = spent
        self._show = show
        self._begun_s = time.monotonic()

    def started(self, record: CandidateRecord) -> None:
        if record.attempt == 1 and record.resources.workers > 1:
            self._line(record, f"starts on {record.resources}")

    def reported(self, record: CandidateRecord, verdict: Verdict) -> None:
        if verdict in _ENDED:
            self._line(record, _ENDED[verdict])

    def failed(self, record: CandidateRecord, failure: Failure, *, retried: bool) -> None:
        outcome = "goes on from its checkpoint" if retried else "failed"
        if retried and failure.cause == Cause.OUT_OF_MEMORY:
            outcome += f", each batch in {record.batch_parts} parts"
        self._line(record, f"{failure.cause} ({failure.message}): {outcome}")

    def _line(self, record: CandidateRecord, outcome: str) -> None:
        elapsed_s = time.monotonic() - self._begun_s
        values = "  ".join(self._values(record))
        self._show(
            f"{elapsed_s:7.1f} s  {self._tried()}  trial {record.number:<4} "
            f"epoch {record.epochs}/{self._goal.max_epochs}  {values}  {outcome}"
        )

    def _values(self, record: CandidateRecord) -> Iterator[str]:
        for objective in self._objectives:
            name = objective.metric
            if objective.exact:
                name = name.removeprefix(LOG10_PREFIX)
                value = record.costs.get(name)
                shown = format_value(value)
                is_count = value is not None and float(value).is_integer()
                yield f"{shown} {name}" if is_count else f"{name} {shown}"
            else:
                yield f"{name} {format_value(record.metrics.get(name))}"

    def _tried(self) -> str:
        own = [record for record in self._known.values() if record.imported is None]
        phases, tried = Counter(record.phase for record in own), len(own)
        wanted = "" if self._goal.candidates is None else f"/{self._goal.candidates}"
        parts = [
            f"{tried}{wanted} tried",
            f"{phases[Phase.RUNNING]} running",
            f"{phases[Phase.DONE]} done",
            *_used(self._goal, sum(record.epochs for record in own), self._spent()),
        ]
        return ", ".join(parts)


def _used(goal: Goal, epochs: int, spent: Spending) -> Iterator[str]:
    """Tell how much of each limit is used up."""
    if goal.budget_epochs is not None:
        yield f"{epochs:,}/{goal.budget_epochs:,} epochs"
    for limit, used, unit in (
        (goal.gpu_hours, spent.gpu_hours, "GPU-hours"),
        (goal.worker_hours, spent.worker_hours, "worker-hours"),
        (goal.hours, spent.search_hours, "hours"),
    ):
        if limit is not None:
            yield f"{used:.3g}/{limit:,.10g} {unit}"


def counted(count: int, noun: str, *verb: str) -> str:
    """Return "1 candidate" or "12 candidates"; with ("was", "were"), the verb behind that."""
    words = [str(count), noun if count == 1 else f"{noun}s", *verb[count != 1 :][:1]]
    return " ".join(words)


def format_value(value: float | None) -> str:
    """Return a count with thousands separators, a score with four digits, or a dash."""
    if value is None:
        return "-"
    is_count = abs(value) >= 1000 or float(value).is_integer()
    return f"{value:,.0f}" if is_count else f"{value:.4f}"
