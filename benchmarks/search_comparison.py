"""Ours against peers over problems and seeds, in a pool of processes."""

from __future__ import annotations

import contextlib
import math
import statistics
import sys
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import optuna
from search_peers import Peer, find_peer
from search_problems import make_problem
from search_traces import Trace, epochs_to, peer_trace, reference, thinned
from table import Row, cpu_name

from search import Objective, ParetoHalving
from search.engine.conductor import Plan
from search.engine.decisions import Verdict
from search.engine.front_volume import FrontVolume
from search.engine.goal import Goal
from search.engine.optimism import Optimism
from search.execution.simulator import simulate_plan
from search.objectives import objective_vector
from search.study.records import CandidateRecord, Failure

TRAIN_IN_FULL = ("random", "nsga2", "tpe")
"""Peers that stop no training, and are given the whole of the budget."""
OBJECTIVES = (Objective("accuracy", "max"), Objective("log10_parameters", "min", exact=True))
MANY_WORKERS = 64


def full_budget(name: str) -> int:
    """Return the epochs of 100 trainings in full."""
    return 100 * make_problem(name).max_epochs


Traces = list["Future[Trace]"]
"""One a seed."""


@dataclass(frozen=True, kw_only=True)
class Ours:
    """How ours searches."""

    sampler: str
    halving: bool
    at_most: float = 1.0
    """Share of 100 trainings after which what was not reached counts as never reached.

    For peers that stop trainings early, too.
    """


@dataclass(frozen=True, kw_only=True)
class EpochsRow(Row):
    """A row in epochs, which are infinite where a hypervolume was never reached."""

    def to_dict(self) -> dict[str, object]:
        """Return what JSON can hold: null for what was never reached, and ratios with it."""
        values = super().to_dict()
        return {name: _finite(value) for name, value in values.items()}


@dataclass(frozen=True, kw_only=True)
class SpreadRow(EpochsRow):
    """A row with the spread of ours over the seeds."""

    quartiles: tuple[float, float]
    reached: int
    """In so many of the searches ours got there."""
    seeds: int


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Problems, seeds and the processes to search them in."""

    pool: ProcessPoolExecutor
    names: tuple[str, ...]
    seeds: int
    cache: Path | None
    ours: Ours
    _peer_traces: dict[tuple[str, str], Traces] = field(default_factory=dict)
    _our_traces: dict[tuple[str, int], Traces] = field(default_factory=dict)

    def efficiency_rows(self, peers: Sequence[Peer]) -> list[Row]:
        """Search every problem, ours and theirs, on one worker."""
        self._begin(1)
        for name in self.names:
            for peer in peers:
                self._theirs(name, peer)
        rows: list[Row] = []
        summaries: dict[str, list[Row]] = {"TPE's volume": [], "random's volume": []}
        for name in self.names:
            found = self._found(name, 1)
            for words, peer_name in (("TPE's volume", "tpe"), ("random's volume", "random")):
                spent = [epochs_to(trace, self._volume(name, peer_name)) for trace in found]
                summaries[words].append(_row(f"{name}, {words}", spent, full_budget(name)))
                rows.append(summaries[words][-1])
            goal = self._volume(name, "tpe")
            spent = [epochs_to(trace, goal) for trace in found]
            for peer in peers:
                if peer.name != "tpe":  # whose median is its whole budget, by definition
                    theirs = [epochs_to(f.result(), goal) for f in self._theirs(name, peer)]
                    rows.append(_row(f"{name}, by {peer.name}", spent, quartiles(theirs)[1]))
            print(f"{name} searched", file=sys.stderr)
        for words, of_problems in summaries.items():
            rows += _summary(words, of_problems)
        return rows

    def worker_rows(self) -> list[Row]:
        """Search every problem with many workers and with one."""
        for workers in (1, MANY_WORKERS):
            self._begin(workers)
        rows: list[Row] = []
        for name in self.names:
            goal = self._volume(name, "tpe")
            many, one = (
                [epochs_to(trace, goal) for trace in self._found(name, workers)]
                for workers in (MANY_WORKERS, 1)
            )
            rows.append(_row(f"{name}, {MANY_WORKERS} workers", many, quartiles(one)[1]))
        return [*rows, *_summary(f"{MANY_WORKERS} workers", rows)]

    def _begin(self, workers: int) -> None:
        """Have the targets searched for, then all of ours."""
        for name in self.names:
            for peer_name in ("tpe", "random"):
                self._theirs(name, find_peer(peer_name, None))
        for name in self.names:
            if (name, workers) not in self._our_traces:
                goal = max(self._volume(name, peer_name) for peer_name in ("tpe", "random"))
                self._our_traces[name, workers] = [
                    self.pool.submit(search_to, name, seed, self.ours, workers, goal)
                    for seed in range(self.seeds)
                ]

    def _theirs(self, name: str, peer: Peer) -> Traces:
        if (name, peer.name) not in self._peer_traces:
            share = 1.0 if peer.name in TRAIN_IN_FULL else self.ours.at_most
            budget_epochs = round(share * full_budget(name))
            self._peer_traces[name, peer.name] = [
                self.pool.submit(their_trace, name, peer, seed, budget_epochs, self.cache)
                for seed in range(self.seeds)
            ]
        return self._peer_traces[name, peer.name]

    def _volume(self, name: str, peer_name: str) -> float:
        """Return the median of what a peer has in the end."""
        return statistics.median(f.result()[-1][1] for f in self._peer_traces[name, peer_name])

    def _found(self, name: str, workers: int) -> list[Trace]:
        return [future.result() for future in self._our_traces[name, workers]]


def their_trace(name: str, peer: Peer, seed: int, budget_epochs: int, cache: Path | None) -> Trace:
    """Return a peer's trace; runs in a process of the pool."""
    return peer_trace(peer, make_problem(name), seed, budget_epochs, cache)


def search_to(name: str, seed: int, ours: Ours, workers: int, goal: float) -> Trace:
    """Return our trace up to where it has the hypervolume `goal`, or to the end of the budget."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    problem = make_problem(name)
    budget_epochs = round(ours.at_most * full_budget(name))
    plan = Plan(
        goal=Goal(max_epochs=problem.max_epochs, budget_epochs=budget_epochs),
        sampler=ours.sampler,
        seed=seed,
        halving=ParetoHalving() if ours.halving else None,
        optimism=Optimism(),
    )
    watch = _Watch(reference(problem), goal)
    with contextlib.suppress(_GoalReached):
        simulate_plan(problem, OBJECTIVES, plan, workers=workers, listener=watch)
    # Leases that were out when the budget was spent end after it.
    return thinned([(spent, volume) for spent, volume in watch.trace if spent <= budget_epochs])


class _GoalReached(Exception):  # noqa: N818 (nothing went wrong)
    """The hypervolume is there: nothing more is asked of the search."""


class _Watch:
    """Traces a search while it goes on, and ends it at a hypervolume."""

    def __init__(self, worst: Sequence[float], goal: float) -> None:
        self.trace: Trace = [(0, 0.0)]
        accuracy, size = worst
        self._volume = FrontVolume((-accuracy, size))
        self._goal = goal

    def started(self, record: CandidateRecord) -> None:
        """Starting costs no epoch."""

    def reported(self, record: CandidateRecord, verdict: Verdict) -> None:
        self._volume.add(objective_vector(OBJECTIVES, record.curve[-1].metrics, record.costs))
        self._spend_epoch()
        if self._volume.value >= self._goal:
            raise _GoalReached

    def failed(self, record: CandidateRecord, failure: Failure, *, retried: bool) -> None:
        self._spend_epoch()

    def _spend_epoch(self) -> None:
        self.trace.append((self.trace[-1][0] + 1, self._volume.value))


def _finite(value: object) -> object:
    if isinstance(value, tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _row(name: str, spent: list[float], theirs: float) -> Row:
    low, middle, high = quartiles(spent)
    return SpreadRow(
        name=name,
        device=cpu_name(1),
        ours=middle,
        peer=theirs,
        unit="epochs",
        quartiles=(low, high),
        reached=sum(map(math.isfinite, spent)),
        seeds=len(spent),
    )


def _summary(words: str, rows: Sequence[Row]) -> list[Row]:
    """Return the problem in the middle and the worst one (of an even number, the worse middle)."""
    ordered = sorted(rows, key=lambda row: math.inf if math.isnan(row.ratio) else row.ratio)
    picked = {"median": ordered[len(ordered) // 2], "worst": ordered[-1]}
    return [
        EpochsRow(
            name=f"{which} problem, {words}",
            device=row.device,
            ours=row.ours,
            peer=row.peer,
            unit=row.unit,
        )
        for which, row in picked.items()
    ]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return the quartiles, between two values by their shares; infinite beside an infinite one."""
    ordered = sorted(values)

    def at(share: float) -> float:
        place = share * (len(ordered) - 1)
        low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
        return low if low == high else low + (high - low) * (place % 1.0)

    return at(0.25), at(0.5), at(0.75)
