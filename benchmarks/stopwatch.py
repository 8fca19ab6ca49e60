"""When results of a search reach its driver, and what that makes a trial cost."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median


@dataclass
class Stopwatch:
    """Started just before a search; told of each result as the driver hears of it."""

    slots: int
    """How many trials run at once."""
    _started_s: float = field(default_factory=time.monotonic)
    _first_result_s: float = 0.0
    _ends: list[tuple[float, float]] = field(default_factory=list)
    """Of each ended trial, in order: when it ended, and how long it had been learning."""

    def result(self, learned_s: float, *, last: bool) -> None:
        """Note a result: its trial has been learning for `learned_s`; `last` at full length."""
        now_s = time.monotonic() - self._started_s
        if not self._first_result_s:
            self._first_result_s = now_s - learned_s
        if last:
            self._ends.append((now_s, learned_s))

    @property
    def trials(self) -> int:
        """How many trials ran to their full length."""
        return len(self._ends)

    @property
    def total_s(self) -> float:
        """From the start of the search to the end of its last trial."""
        return self._ends[-1][0]

    @property
    def cold_start_s(self) -> float:
        """From the start of the search on a fresh Ray to the first result, less its learning."""
        return self._first_result_s

    @property
    def overhead_s(self) -> float:
        """What a trial keeps its slot beyond its learning, once the search is under way.

        Over the later half of the trials, as the first ones start actors:
        (wall-clock x slots - learning) / trials.
        """
        first = len(self._ends) // 2
        later = self._ends[first:]
        wall_s = later[-1][0] - self._ends[first - 1][0]
        return (wall_s * self.slots - sum(learned_s for _, learned_s in later)) / len(later)

    @property
    def first_trial_s(self) -> float:
        """From the start of the search to the first trial's end, less its learning."""
        ended_s, learned_s = self._ends[0]
        return ended_s - learned_s

    @property
    def later_trial_s(self) -> float:
        """From one trial's end to the next one's, less its learning: the median.

        For searches that run one trial at a time.
        """
        return median(
            ended_s - learned_s - before_s
            for (before_s, _), (ended_s, learned_s) in pairwise(self._ends)
        )
