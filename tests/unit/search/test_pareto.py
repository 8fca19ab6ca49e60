"""Fronts, ranks, crowding and hypervolume: worked examples, and laws against brute force."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.engine.pareto import (
    crowding_distances,
    dominates,
    front,
    hypervolume,
    non_dominated_ranks,
)

# Few distinct values, so that ties and repeats are common.
VALUE = st.integers(0, 6).map(float)


def clouds(objectives: int, most: int = 25) -> st.SearchStrategy[list[list[float]]]:
    return st.lists(
        st.lists(VALUE, min_size=objectives, max_size=objectives), min_size=1, max_size=most
    )


ANY_CLOUD = st.integers(1, 4).flatmap(clouds)


def peeled_ranks(points: list[list[float]]) -> list[int]:
    """The definition of a rank, by brute force."""
    ranks: dict[int, int] = {}
    for rank in itertools.count():
        left = [i for i in range(len(points)) if i not in ranks]
        if not left:
            return [ranks[i] for i in range(len(points))]
        ranks |= {i: rank for i in left if not any(dominates(points[j], points[i]) for j in left)}
    raise AssertionError


def counted_cells(points: list[list[float]], reference: list[float]) -> float:
    """Volume of whole numbers, by counting the unit cells that some point dominates."""
    cells = itertools.product(*(range(int(r)) for r in reference))
    return float(
        sum(
            any(all(p <= c for p, c in zip(point, cell, strict=True)) for point in points)
            for cell in cells
        )
    )


def test_a_point_dominates_when_it_is_better_somewhere_and_worse_nowhere() -> None:
    assert dominates([1, 2], [1, 3])
    assert not dominates([1, 3], [1, 2])
    assert not dominates([1, 3], [2, 2])


def test_equal_points_do_not_dominate_each_other() -> None:
    assert not dominates([1, 2], [1, 2])


def test_points_of_unequal_length_cannot_be_compared() -> None:
    with pytest.raises(ValueError, match="1 objectives with 2"):
        dominates([1], [1, 2])


def test_ranks_of_a_worked_example() -> None:
    points = [[1, 5], [2, 3], [4, 1], [2, 5], [5, 5], [4, 4]]
    assert non_dominated_ranks(points) == [0, 0, 0, 1, 2, 1]


def test_repeats_share_their_rank_and_are_all_on_the_front() -> None:
    points = [[3, 3], [1, 2], [2, 1], [1, 2]]
    assert non_dominated_ranks(points) == [1, 0, 0, 0]
    assert front(points) == [1, 3, 2]


@given(ANY_CLOUD)
def test_ranks_are_those_of_peeling_fronts_off_one_by_one(points: list[list[float]]) -> None:
    assert non_dominated_ranks(points) == peeled_ranks(points)


@given(ANY_CLOUD)
def test_the_front_is_what_none_dominates_in_the_order_of_the_objectives(
    points: list[list[float]],
) -> None:
    members = front(points)
    undominated = [i for i, p in enumerate(points) if not any(dominates(q, p) for q in points)]
    assert sorted(members) == undominated
    assert [points[i] for i in members] == sorted(points[i] for i in members)


def test_ten_thousand_points_are_ranked_in_well_under_a_second() -> None:
    points = np.random.default_rng(0).random((10_000, 2))
    begin = time.perf_counter()
    ranks = non_dominated_ranks(points)
    assert time.perf_counter() - begin < 0.5
    assert min(ranks) == 0


@pytest.mark.parametrize(
    "function", [non_dominated_ranks, front, crowding_distances, lambda p: hypervolume(p, [9, 9])]
)
def test_nan_is_refused(function) -> None:
    with pytest.raises(ValueError, match="NaN"):
        function([[1.0, math.nan], [2.0, 1.0]])


def test_no_points_have_no_ranks_no_front_and_no_volume() -> None:
    assert non_dominated_ranks([]) == []
    assert front([]) == []
    assert crowding_distances([]) == []
    assert hypervolume([], [1.0, 1.0]) == 0.0


def test_crowding_is_the_sides_of_the_box_between_neighbours() -> None:
    # The second point's neighbours are the ends: (4 - 0) / 4 + (8 - 0) / 8.
    assert crowding_distances([[0, 8], [1, 4], [4, 0]]) == [math.inf, 2.0, math.inf]
    four = crowding_distances([[0, 8], [1, 4], [2, 2], [4, 0]])
    assert four == [math.inf, 2 / 4 + 6 / 8, 3 / 4 + 4 / 8, math.inf]


def test_an_objective_without_a_range_does_not_make_a_point_lonely() -> None:
    distances = crowding_distances([[0, 2, 5], [1, 1, 5], [2, 0, 5]])
    assert distances == [math.inf, 2.0, math.inf]


def test_of_equal_points_only_the_first_is_lonely() -> None:
    assert crowding_distances([[0, 1], [0, 1], [1, 0]]) == [math.inf, 0.0, math.inf]


@given(clouds(2), st.randoms())
def test_crowding_does_not_depend_on_the_order_of_distinct_points(
    points: list[list[float]], random
) -> None:
    distinct = sorted({tuple(point) for point in points})
    shuffled = random.sample(distinct, len(distinct))
    known = dict(zip(distinct, crowding_distances(distinct), strict=True))
    assert crowding_distances(shuffled) == [known[point] for point in shuffled]


def test_hypervolume_of_a_staircase() -> None:
    assert hypervolume([[1, 3], [2, 2], [3, 1]], [4, 4]) == 6.0


def test_points_on_or_beyond_the_reference_add_nothing() -> None:
    assert hypervolume([[1, 4], [5, 0], [2, 2]], [4, 4]) == 4.0


def test_a_reference_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 objectives, the reference has 3"):
        hypervolume([[1, 2]], [3, 3, 3])


@settings(deadline=None)
@given(ANY_CLOUD)
def test_hypervolume_is_the_number_of_unit_cells_dominated(points: list[list[float]]) -> None:
    reference = [5.0] * len(points[0])
    assert hypervolume(points, reference) == pytest.approx(counted_cells(points, reference))


@settings(deadline=None)
@given(clouds(3), st.lists(VALUE, min_size=3, max_size=3))
def test_hypervolume_never_falls_when_a_point_joins(
    points: list[list[float]], newcomer: list[float]
) -> None:
    reference = [6.0, 6.0, 6.0]
    assert hypervolume([*points, newcomer], reference) >= hypervolume(points, reference) - 1e-9


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_hypervolume_of_real_numbers_agrees_with_monte_carlo(objectives: int) -> None:
    rng = np.random.default_rng(objectives)
    points = rng.random((20, objectives))
    draws = rng.random((100_000, objectives))
    hit = np.zeros(len(draws), dtype=bool)
    for point in points:
        hit |= np.all(point <= draws, axis=1)
    share = float(hit.mean())
    assert hypervolume(points, np.ones(objectives)) == pytest.approx(share, abs=0.006)
