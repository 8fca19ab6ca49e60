"""Shows a search as it goes: a line for every candidate that starts, rests, ends or fails."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from search.engine.decisions import Verdict
from search.objectives import LOG10_PREFIX, Objective
from search.study.records import CandidateRecord, Failure, Phase

_ENDED = {Verdict.PAUSE: "paused", Verdict.STOP: "done"}


class ProgressLines:
    """A conductor's listener that prints; lines suit a terminal and a job's log alike."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        *,
        candidates: int,
        epochs: int,
        known: Mapping[int, CandidateRecord],
        show: Callable[[str], None],
    ) -> None:
        self._objectives = tuple(objectives)
        self._candidates = candidates
        self._epochs = epochs
        self._known = known
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
        self._line(record, f"{failure.cause} ({failure.message}): {outcome}")

    def _line(self, record: CandidateRecord, outcome: str) -> None:
        elapsed_s = time.monotonic() - self._begun_s
        values = "  ".join(self._values(record))
        self._show(
            f"{elapsed_s:7.1f} s  {self._tried()}  trial {record.number:<4} "
            f"epoch {record.epochs}/{self._epochs}  {values}  {outcome}"
        )

    def _values(self, record: CandidateRecord) -> Iterator[str]:
        for objective in self._objectives:
            name = objective.metric
            if objective.exact:
                name = name.removeprefix(LOG10_PREFIX)
                yield f"{format_value(record.costs.get(name))} {name}"
            else:
                yield f"{name} {format_value(record.metrics.get(name))}"

    def _tried(self) -> str:
        phases = Counter(record.phase for record in self._known.values())
        return (
            f"{len(self._known)}/{self._candidates} tried, {phases[Phase.RUNNING]} running, "
            f"{phases[Phase.DONE]} done"
        )


def format_value(value: float | None) -> str:
    """Return a count with thousands separators, a score with four digits, or a dash."""
    if value is None:
        return "-"
    is_count = abs(value) >= 1000 or float(value).is_integer()
    return f"{value:,.0f}" if is_count else f"{value:.4f}"
