"""What a study's space and cluster come to: sizes, trials at a time, whom a probe times."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from cluster.resources import Capacity, NodeCapacity, Resources
from search.errors import StudyError
from search.objectives import Bound
from search.planning.outline import DRAWS, Outline, Slots, fit_together, spread
from search.planning.probe import chosen
from search.problem import Context, Epoch
from spaces import CandidateRefused
from tests.toy import ToyProblem

NARROW, WIDE = Resources(), Resources(workers=2)


def cluster(*nodes: tuple[float, float]) -> Capacity:
    return Capacity(
        tuple(NodeCapacity(node_id=str(n), cpus=c, gpus=g) for n, (c, g) in enumerate(nodes))
    )


class Timed(ToyProblem):
    """The toy, with a cost that nobody may measure here."""

    def measured_costs(self) -> tuple[str, ...]:
        return ("latency_ms",)

    def measure(self, candidate: Mapping[str, float]) -> Mapping[str, float]:
        raise AssertionError("measured")


class Picky:
    """Every second number cannot be built."""

    def suggest(self, trial: Any) -> dict[str, int]:
        number = trial.suggest_int("number", 0, 999)
        if number % 2:
            raise CandidateRefused("odd", hint="even")
        return {"number": number}

    def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
        return {"macs": float(candidate["number"])}

    def learn(self, candidate: Any, context: Context) -> Iterator[Epoch]:
        raise NotImplementedError


def test_what_is_drawn_is_counted_and_its_costs_ranked() -> None:
    outline = Outline.of(Picky(), [Bound("macs", 100, 899)], seed=0)
    assert outline.drawn == DRAWS
    assert 0.4 * DRAWS < outline.refused < 0.6 * DRAWS
    assert 0.3 * DRAWS < outline.within < 0.5 * DRAWS
    macs = outline.costs()["macs"]
    assert list(macs.values()) == sorted(macs.values())
    assert 100 <= macs["least"] < 200 < 350 < macs["50%"] < 650 < 800 < macs["most"] <= 899


def test_the_same_candidate_is_one_draft_and_counts_as_often_as_it_came() -> None:
    outline = Outline.of(ToyProblem(finite=3), [], seed=0)
    assert len(outline.drafts) == 3
    assert outline.within == DRAWS


def test_bounds_that_nothing_keeps_are_refused_with_the_numbers() -> None:
    with pytest.raises(StudyError, match=f"of {DRAWS} candidates .* none keeps the bounds") as told:
        Outline.of(ToyProblem(), [Bound("parameters", 5000, None)], seed=0)
    assert "[bounds]" in told.value.hint


def test_measured_costs_are_not_measured_and_their_bounds_are_named() -> None:
    bound = Bound("log10_latency_ms", None, 1.0)
    outline = Outline.of(Timed(), [bound], seed=0)
    assert outline.unmeasured == (bound,)
    assert list(outline.costs()) == ["parameters"]


@pytest.mark.parametrize(
    ("nodes", "shape", "count", "limit"),
    [
        ([(4, 0)], NARROW, 4, "CPUs"),
        ([(4, 0), (3, 0)], WIDE, 3, "CPUs"),
        ([(16, 2)], Resources(cpus=1, gpus=0.25), 8, "GPUs"),
        ([(4, 2)], Resources(cpus=1, gpus=0.25), 4, "CPUs"),
        ([(4, 4)], Resources(cpus=1, gpus=1), 4, "CPUs and GPUs"),
        ([(4, 0)], Resources(workers=9), 0, "CPUs"),
    ],
)
def test_trials_at_a_time_and_what_limits_them(
    nodes: list[tuple[float, float]], shape: Resources, count: int, limit: str
) -> None:
    found = Slots.of(cluster(*nodes), shape)
    assert (found.count, found.limit) == (count, limit)


def test_a_spread_goes_from_small_to_large_within_one_shape() -> None:
    outline = Outline.of(ToyProblem(wide_above=500), [], seed=0)
    narrow = [each.costs["parameters"] for each in spread(outline, NARROW, 4)]
    assert narrow == sorted(narrow)
    assert len(narrow) == 4
    assert narrow[0] < 5 < 100 < narrow[-1] <= 500
    assert all(each.costs["parameters"] > 500 for each in spread(outline, WIDE, 3))
    assert len(spread(Outline.of(ToyProblem(finite=2), [], seed=0), NARROW, 4)) == 2


def test_a_probe_times_every_shape_the_largest_first() -> None:
    outline = Outline.of(ToyProblem(wide_above=500), [], seed=0)
    sizes = [each.costs["parameters"] for each in chosen(outline, cluster((5, 0)), [NARROW, WIDE])]
    assert len(sizes) == 5 + 3
    assert sizes[:5] == sorted(sizes[:5], reverse=True)
    assert min(sizes[5:]) > 500
    assert len(chosen(outline, cluster((64, 0)), [NARROW])) == 8
    assert len(chosen(outline, cluster((1, 0)), [NARROW])) == 3


def test_trials_of_several_shapes_fit_together_or_not() -> None:
    assert fit_together(cluster((4, 0)), [WIDE, NARROW, NARROW])
    assert not fit_together(cluster((4, 0)), [WIDE, WIDE, NARROW])
