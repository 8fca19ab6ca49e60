"""Which limit of a goal is reached: what has been spent, and what it still brings."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

from search.engine.front_growth import FrontGrowth
from search.engine.goal import Goal
from search.engine.halving import Point
from search.engine.spending import Spending
from search.study.records import CandidateRecord

_WINDOW = 0.25
"""The last part of all hours paid, over which the growth of the front is measured."""
_TRAININGS = 3
"""Full trainings' worth of epochs before growth is measured at all: a young front jumps."""
_STEP = 1.02
"""Growth is measured again when this many times as many hours are paid."""


class Limits:
    """What a study has spent of its goal; results are told in the order in which they came.

    The growth that counts is (volume now - volume then) / volume now, per hour paid since then.
    Then is a quarter of all hours paid ago, or a full training's worth of epochs if that is longer.
    Volume is the hypervolume of every result there has been, up to the worst value that has been
    seen of each objective by now; so neither the objectives' units nor a reference matter.
    """

    def __init__(self, goal: Goal) -> None:
        self._goal = goal
        self._epochs = 0
        self._spent = Spending()
        self._growth = FrontGrowth()
        self._worker_hours: list[float] = []
        self._gpu_hours: list[float] = []
        """After each epoch."""
        self._measured_at_hours = 0.0
        self._too_slow: str | None = None

    def spend(self, spent: Spending) -> None:
        """Hear what has been spent by now."""
        self._spent = spent

    def recall(self, known: Iterable[tuple[CandidateRecord, Sequence[Point]]]) -> None:
        """Take in what the study knows already: each candidate, and its points after each epoch.

        Results of another study cost this one nothing and are no growth of its front.
        """
        own: list[tuple[Spending, Point]] = []
        for record, points in known:
            if record.imported is None:
                own += [(record.hearing(n).spent, point) for n, point in enumerate(points, 1)]
            elif self._goal.min_gain_per_hour is not None:
                for point in points:
                    self._growth.add(point, epoch=0)
        for spent, point in sorted(own, key=lambda result: result[0].to_list()):
            self.add_epoch(point, spent)

    def add_epoch(self, point: Point, spent: Spending) -> None:
        """Add an epoch's result, and what had been spent when it came."""
        self._spent = spent
        self._epochs += 1
        if self._goal.min_gain_per_hour is not None:
            self._growth.add(point, epoch=self._epochs)
            self._worker_hours.append(spent.worker_hours)
            self._gpu_hours.append(spent.gpu_hours)
            self._measure(self._goal.min_gain_per_hour)

    @property
    def reached(self) -> str | None:
        """Which limit ends the search, in words for people; None while it goes on."""
        goal, spent = self._goal, self._spent
        for limit, used, unit in (
            (goal.budget_epochs, self._epochs, "epoch"),
            (goal.gpu_hours, spent.gpu_hours, "GPU-hour"),
            (goal.worker_hours, spent.worker_hours, "worker-hour"),
            (goal.hours, spent.search_hours, "hour"),
        ):
            if limit is not None and used >= limit:
                return f"the budget of {limit:,.10g} {unit}{'s' if limit != 1 else ''} is spent"
        return self._too_slow

    def _measure(self, least: float) -> None:
        """Find the growth too slow, once and for all: what still comes in may not revive it."""
        by_gpu = self._gpu_hours[-1] > 0
        paid = self._gpu_hours if by_gpu else self._worker_hours
        if (
            self._too_slow is not None
            or len(paid) < _TRAININGS * self._goal.max_epochs
            or paid[-1] < _STEP * self._measured_at_hours
        ):
            return
        self._measured_at_hours = paid[-1]
        first = min(bisect.bisect_left(paid, (1 - _WINDOW) * paid[-1]), self._last_training)
        hours = paid[-1] - (paid[first - 1] if first else 0.0)
        if hours <= 0:
            return
        rate = self._growth.since(first) / hours
        if rate < least:
            unit = "GPU-hour" if by_gpu else "worker-hour"
            self._too_slow = (
                f"the front grew by {rate:.2%} per {unit} lately, less than {least:.2%}"
            )

    @property
    def _last_training(self) -> int:
        """How many epochs there had been when the last full training's worth of them began."""
        return self._epochs - self._goal.max_epochs
