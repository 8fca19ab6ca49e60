"""How long an epoch takes, foreseen from the costs of a candidate after a few were timed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares, nnls

from cluster.resources import Resources
from search.study.records import CandidateRecord

_LINEAR_COST = "macs"
"""The cost that an epoch's seconds are a straight line of: the arithmetic of a network."""
_RESOLUTION_S = 1e-6
"""Below this an epoch counts as this long: a problem may say that its epochs take no time."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """What a candidate's epochs took."""

    costs: Mapping[str, float]
    resources: Resources
    seconds: float
    """Median of an epoch, all but the first where there are others: that one warms up."""
    epochs: int
    start_s: float | None = None
    """From the beginning of its first lease to its first result, besides that epoch: starting
    processes, reading data. None where that is not known."""


@dataclass(frozen=True, kw_only=True)
class SecondsModel:
    """Seconds of an epoch = `fixed_s` + `factor` x cost ** `power`."""

    fixed_s: float
    factor: float = 0.0
    cost: str = ""
    """Empty: every candidate takes `fixed_s`."""
    power: float = 1.0

    def seconds(self, costs: Mapping[str, float]) -> float:
        if not self.cost:
            return self.fixed_s
        return self.fixed_s + self.factor * float(costs[self.cost]) ** self.power

    def __str__(self) -> str:
        if not self.cost:
            return f"{self.fixed_s:.3g} s"
        if self.power == 1.0:
            return f"{self.fixed_s:.3g} s + {1e6 * self.factor:.3g} s per million {self.cost}"
        return f"{self.factor:.3g} s x {self.cost}^{self.power:.2f}"


def fit_seconds(timings: Sequence[Timing]) -> SecondsModel:
    """Fit what an epoch takes; being off by half counts alike for small and large candidates.

    Where there are `macs` it is a straight line of them with neither part below 0. Of other costs
    nobody knows what they stand for: it is a power of the one that explains the timings best.

    Args:
        timings: at least one.
    """
    seconds = np.array([timing.seconds for timing in timings])
    if all(_LINEAR_COST in timing.costs for timing in timings):
        macs = np.array([timing.costs[_LINEAR_COST] for timing in timings])
        if len(set(macs)) > 1:
            return _line(macs, seconds)
    else:
        fitted = [_power_law(name, timings) for name in timings[0].costs]
        found = [each for each in fitted if each is not None]
        if found:
            return min(found, key=lambda model: _squares(model, timings))
    return SecondsModel(fixed_s=statistics.geometric_mean(seconds.tolist()))


def largest_error(model: SecondsModel, timings: Iterable[Timing]) -> float:
    """Return how far the model is off at most, as a share of what was timed."""
    return max(abs(model.seconds(t.costs) / t.seconds - 1.0) for t in timings)


def _line(macs: npt.NDArray[np.float64], seconds: npt.NDArray[np.float64]) -> SecondsModel:
    """Return the line of the least squared errors of the seconds' logarithms.

    Twice and half of what was timed are equally wrong there; shares of it would favour half.
    """
    unit = macs.max()  # so that both parts are of one magnitude
    shares = macs / unit
    start, _ = nnls(np.column_stack([1.0 / seconds, shares / seconds]), np.ones(len(macs)))
    fixed_s, slope = least_squares(
        lambda parts: np.log(parts[0] + parts[1] * shares) - np.log(seconds),
        np.maximum(start, 1e-6 * seconds.max()),
        bounds=(0.0, np.inf),
        x_scale=seconds.max(),
        xtol=1e-12,
    ).x
    return SecondsModel(fixed_s=float(fixed_s), factor=float(slope / unit), cost=_LINEAR_COST)


def _power_law(cost: str, timings: Sequence[Timing]) -> SecondsModel | None:
    """Return seconds as a power, not below 0, of a cost; None where that has one value, or none
    above 0."""
    values = [timing.costs.get(cost, 0.0) for timing in timings]
    if min(values) <= 0.0 or len(set(values)) < 2:
        return None
    logs = np.log([timing.seconds for timing in timings])
    power = max(0.0, float(np.polyfit(np.log(values), logs, 1)[0]))
    factor = math.exp(float(np.mean(logs - power * np.log(values))))
    return SecondsModel(fixed_s=0.0, factor=factor, cost=cost, power=power)


def _squares(model: SecondsModel, timings: Sequence[Timing]) -> float:
    return sum(math.log(model.seconds(t.costs) / t.seconds) ** 2 for t in timings)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """What candidates of each shape take."""

    models: Mapping[Resources, SecondsModel]
    """Of the shapes that were timed."""
    others: SecondsModel
    """Fitted to all that was timed, for other shapes."""
    start_s: Mapping[Resources, float]
    """Until a slot's first epoch begins."""

    @classmethod
    def of(cls, timings: Sequence[Timing], slots: Mapping[Resources, int]) -> Pace:
        """Fit a model to each shape.

        Args:
            timings: in the order in which the candidates began; at least one, whatever its shape.
            slots: trials at a time by shape. Later ones find a process that runs.
        """
        models, starts = {}, {}
        for shape, count in slots.items():
            own = [timing for timing in timings if timing.resources == shape]
            if own:
                models[shape] = fit_seconds(own)
            known = [t.start_s for t in (own or timings)[:count] if t.start_s is not None]
            starts[shape] = statistics.median(known) if known else 0.0
        return cls(models=models, others=fit_seconds(timings), start_s=starts)

    def seconds(self, resources: Resources, costs: Mapping[str, float]) -> float:
        return self.models.get(resources, self.others).seconds(costs)


def timings_of(records: Iterable[CandidateRecord]) -> list[Timing]:
    """Return what the candidates that a study trained itself took, by number."""
    return [
        Timing(
            costs=record.costs,
            resources=record.resources,
            seconds=max(
                _RESOLUTION_S,
                statistics.median(e.seconds for e in record.curve[1:] or record.curve),
            ),
            epochs=record.epochs,
            start_s=_start_s(record),
        )
        for record in sorted(records, key=lambda record: record.number)
        if record.imported is None and record.curve
    ]


def _start_s(record: CandidateRecord) -> float | None:
    hearing = record.hearing(1)
    if not record.leases or hearing.attempt != record.leases[0].attempt:
        return None
    waited_s = hearing.spent.search_s - record.leases[0].began_s
    return max(0.0, waited_s - record.curve[0].seconds)
