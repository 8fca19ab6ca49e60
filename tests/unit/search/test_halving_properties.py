"""Halving in whole searches, whatever is learned and in whatever order it arrives.

What depends on the order of arrival, and what does not:

- Who may leave a rung depends on which results reached it and on who left before; not on the order
  in which they came (`test_halving.py`).
- How many have left by the quota, once all who may have left: one in `eta` of the results, rounded
  down, in any order; in a rung of more than 200 results, of those without the last hundredth.
- Whoever leaves belongs, when it leaves, to the best 1/`eta` of the results that are there, and
  keeps its place though later ones overtake it. That is all that the order changes: had all results
  been there before anybody left, the best 1/`eta` of them would have gone.
- In the end, in any order, unless a budget ended the search before: nothing is stopped that no
  result in its rung dominates where the rung has fewer than `min_results`, and with `finish_front`
  nothing that stands on the study's front.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from search.engine.halving import ParetoHalving, Point, Rung
from search.engine.pareto import dominates
from search.execution.simulator import SimulatedTrial, SimulationResult, simulate
from search.objectives import Objective
from search.problem import Context
from tests.toy import ToyEpoch

MAX_EPOCHS = 9
ERROR_AND_SIZE = [Objective("error", "min"), Objective("size", "min", exact=True)]
VALUE = st.integers(0, 6).map(float)
SECONDS = st.integers(1, 40).map(float)


@dataclass(frozen=True)
class Entry:
    """A candidate: its size, its error after each epoch, and how long an epoch of it takes."""

    size: float
    errors: tuple[float, ...]
    seconds: float


class Tabulated:
    """A problem whose every candidate is written in a table."""

    def __init__(self, entries: list[Entry]) -> None:
        self.entries = entries

    def suggest(self, trial: Any) -> dict[str, int]:
        return {"entry": trial.suggest_int("entry", 0, len(self.entries) - 1)}

    def cost(self, candidate: Mapping[str, int]) -> dict[str, float]:
        return {"size": self.entries[candidate["entry"]].size}

    def learn(self, candidate: Mapping[str, int], context: Context) -> Iterator[ToyEpoch]:
        entry = self.entries[candidate["entry"]]
        for number in range(1, context.max_epochs + 1):
            yield ToyEpoch(number, {"error": entry.errors[number - 1]}, entry.seconds)


ENTRIES = st.lists(
    st.builds(
        Entry,
        size=VALUE,
        errors=st.lists(VALUE, min_size=MAX_EPOCHS, max_size=MAX_EPOCHS).map(tuple),
        seconds=SECONDS,
    ),
    min_size=1,
    max_size=14,
)
HALVING = st.builds(
    ParetoHalving,
    eta=st.integers(2, 4),
    first_rung=st.integers(1, 3),
    min_results=st.integers(1, 6),
    finish_front=st.booleans(),
)
WORKERS = st.integers(1, 5)


def search(
    entries: list[Entry], halving: ParetoHalving, workers: int, sampler: str
) -> SimulationResult:
    """Search the whole table; workers and seconds decide in which order results arrive."""
    return simulate(
        Tabulated(entries),
        ERROR_AND_SIZE,
        max_epochs=MAX_EPOCHS,
        candidates=len(entries),
        workers=workers,
        sampler=sampler,
        startup=4,
        halving=halving,
        optimism=None,
    )


def point(trial: SimulatedTrial, epoch: int) -> Point:
    return trial.curve[epoch - 1].metrics["error"], trial.costs["size"]


whole_searches = pytest.mark.parametrize(
    ("sampler", "examples"), [("random", 60), ("front", 8)], ids=["random", "front"]
)


@whole_searches
def test_a_rung_with_few_results_stops_nothing_that_none_of_them_dominates(
    sampler: str, examples: int
) -> None:
    @settings(deadline=None, max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(ENTRIES, HALVING, WORKERS)
    def holds(entries: list[Entry], halving: ParetoHalving, workers: int) -> None:
        trials = search(entries, halving, workers, sampler).trials
        assert {trial.state for trial in trials} <= {"done", "stopped"}
        for stopped in (trial for trial in trials if trial.state == "stopped"):
            epoch = stopped.epochs
            assert epoch in halving.rungs(MAX_EPOCHS)
            results = [point(trial, epoch) for trial in trials if trial.epochs >= epoch]
            own = point(stopped, epoch)
            assert len(results) >= halving.min_results or any(dominates(p, own) for p in results)

    holds()


@whole_searches
def test_with_finish_front_nothing_on_the_front_is_stopped(sampler: str, examples: int) -> None:
    @settings(deadline=None, max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(ENTRIES, WORKERS)
    def holds(entries: list[Entry], workers: int) -> None:
        trials = search(entries, ParetoHalving(min_results=1), workers, sampler).trials
        last = [point(trial, trial.epochs) for trial in trials]
        for stopped in (trial for trial in trials if trial.state == "stopped"):
            assert any(dominates(p, point(stopped, stopped.epochs)) for p in last)

    holds()


# One rung, and all orders of arrival -------------------------------------------------------------

POINTS = st.lists(st.tuples(VALUE, VALUE), min_size=1, max_size=40)
ETA = st.integers(2, 4)


@settings(deadline=None)
@given(POINTS, ETA, st.randoms(use_true_random=False))
def test_in_any_order_of_arrival_exactly_one_in_eta_leaves(
    points: list[tuple[float, float]], eta: int, random
) -> None:
    arrivals = list(enumerate(points))
    random.shuffle(arrivals)
    assert len(leave_at_once(arrivals, eta)) == len(points) // eta


@settings(deadline=None)
@given(POINTS, ETA, st.randoms(use_true_random=False))
def test_whoever_leaves_is_then_among_the_best_of_those_that_have_arrived(
    points: list[tuple[float, float]], eta: int, random
) -> None:
    arrivals = list(enumerate(points))
    random.shuffle(arrivals)
    for number, arrived in leave_at_once(arrivals, eta):
        so_far = dict(arrivals[:arrived])
        assert number in ParetoHalving(eta=eta).promotable(so_far)


@settings(deadline=None)
@given(POINTS, ETA, st.randoms(use_true_random=False))
def test_when_all_have_arrived_before_anybody_leaves_the_best_leave_in_any_order(
    points: list[tuple[float, float]], eta: int, random
) -> None:
    arrivals = list(enumerate(points))
    random.shuffle(arrivals)
    rung = Rung(ParetoHalving(eta=eta))
    for number, at in arrivals:
        rung.add(number, at)
    left = []
    while promotable := rung.promotable():
        left.append(promotable[0])
        rung.leave(promotable[0])
    assert left == ParetoHalving(eta=eta).promotable(dict(enumerate(points)))


@pytest.mark.parametrize("seed", range(4))
def test_a_large_rung_lets_go_of_one_in_eta_but_for_its_latest_results(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rung = Rung(ParetoHalving(eta=3))
    left = 0
    for number, at in enumerate(rng.random((900, 2)).tolist()):
        rung.add(number, at)
        while promotable := rung.promotable():
            rung.leave(promotable[0])
            left += 1
        arrived = number + 1
        settled = arrived if arrived <= 200 else arrived - arrived // 100
        assert settled // 3 <= left <= arrived // 3


def test_the_first_to_come_keep_their_places_though_better_ones_follow() -> None:
    improving = [(float(9 - number), 1.0) for number in range(6)]
    assert [number for number, _ in leave_at_once(list(enumerate(improving)), 3)] == [2, 5]
    worsening = list(enumerate(improving))[::-1]
    assert [number for number, _ in leave_at_once(worsening, 3)] == [5, 4]


def leave_at_once(
    arrivals: list[tuple[int, tuple[float, float]]], eta: int
) -> list[tuple[int, int]]:
    """Let everybody leave as soon as it may; return who left, and how many had arrived then."""
    rung = Rung(ParetoHalving(eta=eta))
    left = []
    for arrived, (number, at) in enumerate(arrivals, start=1):
        rung.add(number, at)
        while promotable := rung.promotable():
            rung.leave(promotable[0])
            left.append((promotable[0], arrived))
    return left
