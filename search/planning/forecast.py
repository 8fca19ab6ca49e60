"""What a search would cost: its own engine in virtual time, on a stand-in for learning.

Space, costs, shapes, halving and limits are the study's. What an epoch takes is foreseen; what it
brings is made up: a curve that rises towards a ceiling, higher for larger candidates, with luck and
noise. How much halving saves depends on real curves too, so this is an estimate and no promise.
"""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cluster.resources import Capacity, Resources
from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.execution.simulator import simulate_plan
from search.objectives import Objective, is_exact
from search.planning.epoch_seconds import Pace
from search.planning.outline import Outline, size
from search.planning.probe import Unmeasured
from search.problem import Context, Problem, measured_costs
from search.sampling.samplers import derived_seed

SEEDS = 5
MOST_CANDIDATES = 500
"""A search that would try more is foreseen up to here."""
_NOISE = 0.01


@dataclass(frozen=True, kw_only=True)
class Expense:
    """What one simulated search came to."""

    candidates: int
    epochs: int
    worker_hours: float
    gpu_hours: float
    hours: float
    """By the clock on the wall."""


@dataclass(frozen=True, kw_only=True)
class Spread:
    """A figure over several seeds."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(median=statistics.median(values), least=min(values), most=max(values))


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Simulated searches with the study's settings, and of as many candidates all in full."""

    as_planned: tuple[Expense, ...]
    in_full: tuple[Expense, ...]
    """By seed, as those: the same candidates, without halving or giving up."""
    capped: bool
    """Whether it ends at `MOST_CANDIDATES` where the study would not."""

    def spread(self, figure: str, *, in_full: bool = False) -> Spread:
        """Return a figure of `Expense`, by its name."""
        searches = self.in_full if in_full else self.as_planned
        return Spread.of([getattr(each, figure) for each in searches])

    def ratio(self, figure: str) -> Spread:
        """Return what the study spends, as a share of training all in full."""
        pairs = zip(self.as_planned, self.in_full, strict=True)
        return Spread.of([getattr(a, figure) / (getattr(b, figure) or 1.0) for a, b in pairs])


def forecast(
    problem: Problem,
    objectives: Sequence[Objective],
    plan: Plan,
    *,
    outline: Outline,
    pace: Pace,
    capacity: Capacity,
    slots: Mapping[Resources, int],
) -> Forecast:
    """Simulate the study with several seeds, with its settings and without halving.

    Candidates come by chance, so that both searches of a seed have the same ones.

    Args:
        slots: trials at a time by shape: so many begin in a process that has yet to start.
    """
    measured = measured_costs(problem)
    bounds = tuple(bound for bound in plan.bounds if not is_exact(bound.name, measured))
    goal = plan.goal
    planned_goal = dataclasses.replace(
        goal, candidates=min(goal.candidates or MOST_CANDIDATES, MOST_CANDIDATES)
    )
    as_planned, in_full, capped = [], [], False
    for place in range(SEEDS):
        seed = derived_seed(plan.seed, "plan", place)
        planned = dataclasses.replace(
            plan, goal=planned_goal, bounds=bounds, sampler="random", seed=seed
        )

        def spent(asked: Plan, seed: int = seed) -> Expense:
            stand_in = StandIn(problem, objectives, outline, pace, slots, seed)
            return _expense(stand_in, objectives, asked, capacity)

        found = spent(planned)
        capped |= found.candidates == MOST_CANDIDATES != goal.candidates
        as_planned.append(found)
        everything = Goal(max_epochs=goal.max_epochs, candidates=max(1, found.candidates))
        in_full.append(
            spent(dataclasses.replace(planned, goal=everything, halving=None, optimism=None))
        )
    return Forecast(as_planned=tuple(as_planned), in_full=tuple(in_full), capped=capped)


def _expense(
    problem: Problem, objectives: Sequence[Objective], plan: Plan, capacity: Capacity
) -> Expense:
    result = simulate_plan(problem, objectives, plan, capacity=capacity)
    spent = result.study.spent
    return Expense(
        candidates=len(result.trials),
        epochs=len(result.epoch_order),
        worker_hours=spent.worker_hours,
        gpu_hours=spent.gpu_hours,
        hours=spent.search_hours,
    )


@dataclass(frozen=True)
class _StandInEpoch:
    number: int
    metrics: Mapping[str, float]
    seconds: float

    def save(self, path: Path) -> None:
        """Do nothing: a simulation keeps what learns."""


class StandIn(Unmeasured):
    """The study's candidates, learning curves that are made up, and seconds that are foreseen.

    Costs that would have to be measured are stood in for by the foreseen seconds: larger for larger
    candidates, which is all that dominance asks.
    """

    def __init__(
        self,
        problem: Problem,
        objectives: Sequence[Objective],
        outline: Outline,
        pace: Pace,
        slots: Mapping[Resources, int],
        seed: int,
    ) -> None:
        super().__init__(problem)
        self._objectives = [each for each in objectives if not each.exact]
        self._sizes = sorted(size(each.costs) for each in outline.drafts)
        self._pace = pace
        self._cold = dict(slots)
        self._measured = measured_costs(problem)
        self._seed = seed

    def cost(self, candidate: Any) -> Mapping[str, float]:
        costs = super().cost(candidate)
        if not self._measured:
            return costs
        seconds = self._pace.seconds(self.resources(candidate), costs)
        return {**costs, **dict.fromkeys(self._measured, seconds)}

    def learn(self, candidate: Any, context: Context) -> Iterator[_StandInEpoch]:
        costs, shape = self.cost(candidate), self.resources(candidate)
        seconds = self._pace.seconds(shape, costs)
        rng = np.random.default_rng([self._seed, derived_seed(0, self.key(candidate))])
        rank = float(np.searchsorted(self._sizes, size(costs))) / len(self._sizes)
        ceiling = 0.5 + 0.25 * rank + 0.2 * float(rng.random())
        # From a third of its ceiling at once to nearly all of it in the end.
        pace = context.max_epochs * float(rng.uniform(0.15, 0.5))
        start_s = self._start_s(shape)
        for number in range(1, context.max_epochs + 1):
            reached = ceiling * (1.0 - 0.67 * math.exp(-number / pace))
            metrics = {
                each.metric: _oriented(each, reached + float(rng.normal(0.0, _NOISE)))
                for each in self._objectives
            }
            yield _StandInEpoch(number, metrics, seconds + (start_s if number == 1 else 0.0))

    def _start_s(self, shape: Resources) -> float:
        """Return what a slot takes to start, for the first candidates; others find it warm."""
        if self._cold.get(shape, 0) <= 0:
            return 0.0
        self._cold[shape] -= 1
        return self._pace.start_s.get(shape, 0.0)


def _oriented(objective: Objective, reached: float) -> float:
    return reached if objective.direction == "max" else 1.0 - reached
