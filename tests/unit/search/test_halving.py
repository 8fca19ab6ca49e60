"""Halving by dominance: who leaves a rung, in which order, and who is spared in the end."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.engine.halving import ParetoHalving, Point, Rung
from search.engine.pareto import dominates
from search.errors import StudyError

# (error, size), both minimised.
VALUE = st.integers(0, 9).map(float)
POINTS = st.lists(st.tuples(VALUE, VALUE), max_size=40).map(lambda points: dict(enumerate(points)))
ETA = st.integers(2, 4)


def test_rungs_are_eta_times_apart_and_below_full_length() -> None:
    assert ParetoHalving(eta=3, first_rung=1).rungs(30) == (1, 3, 9, 27)
    assert ParetoHalving(eta=3, first_rung=1).rungs(27) == (1, 3, 9)
    assert ParetoHalving(eta=2, first_rung=3).rungs(24) == (3, 6, 12)


def test_there_is_no_rung_where_the_first_would_be_full_length() -> None:
    assert ParetoHalving(first_rung=5).rungs(5) == ()


# Who leaves -------------------------------------------------------------------------------------


@settings(deadline=None)
@given(POINTS, ETA)
def test_one_in_eta_may_leave(points: dict[int, tuple[float, float]], eta: int) -> None:
    assert len(ParetoHalving(eta=eta).promotable(points)) == len(points) // eta


@settings(deadline=None)
@given(POINTS, ETA)
def test_nobody_leaves_before_one_who_dominates_it(
    points: dict[int, tuple[float, float]], eta: int
) -> None:
    best = ParetoHalving(eta=eta).promotable(points)
    for number in best:
        better = [other for other in points if dominates(points[other], points[number])]
        assert set(better) <= set(best[: best.index(number)])


@settings(deadline=None)
@given(st.lists(st.tuples(VALUE, VALUE), max_size=60), ETA)
def test_however_ranks_change_no_more_than_one_in_eta_ever_left(
    arrivals: list[tuple[float, float]], eta: int
) -> None:
    rung = Rung(ParetoHalving(eta=eta))
    left: list[int] = []
    for number, point in enumerate(arrivals):
        rung.add(number, point)
        for promoted in rung.promotable():
            rung.leave(promoted)
            left.append(promoted)
        assert len(left) <= len(rung.points) // eta
    assert len(left) == len(set(left))
    assert all(rung.has_left(number) for number in left)


@settings(deadline=None)
@given(POINTS, ETA, st.randoms(use_true_random=False))
def test_the_order_in_which_results_came_does_not_matter(
    points: dict[int, tuple[float, float]], eta: int, random
) -> None:
    shuffled = list(points.items())
    random.shuffle(shuffled)
    halving = ParetoHalving(eta=eta)
    assert halving.promotable(dict(shuffled)) == halving.promotable(points)


def test_those_that_left_take_their_place_of_the_quota_even_when_overtaken() -> None:
    points = {0: (5.0, 5.0), 1: (1.0, 1.0), 2: (2.0, 2.0)}
    halving = ParetoHalving(eta=3)
    assert halving.promotable(points) == [1]
    assert halving.promotable(points, left=[0]) == []
    points |= {3: (3.0, 3.0), 4: (4.0, 4.0), 5: (6.0, 6.0)}
    assert halving.promotable(points, left=[0]) == [1]


# In which order ---------------------------------------------------------------------------------


def best_first(points: dict[int, Point]) -> list[int]:
    """All of a rung in order: with as many hopeless ones beside them, a half is everybody."""
    hopeless = {1000 + number: (1e6 + number, 1e6 + number) for number in points}
    return ParetoHalving(eta=2).promotable(points | hopeless)


def test_rank_comes_before_loneliness() -> None:
    front = {0: (0.0, 9.0), 1: (1.0, 8.0), 2: (9.0, 0.0)}
    lonely_but_dominated = {3: (10.0, 100.0)}
    assert best_first(front | lonely_but_dominated)[-1] == 3


def test_within_a_rank_the_loneliest_come_first() -> None:
    #        an end            crowded           lonely           an end
    points = {0: (0.0, 10.0), 1: (0.5, 9.5), 2: (5.0, 5.0), 3: (10.0, 0.0)}
    assert best_first(points) == [0, 3, 2, 1]


def test_equal_candidates_are_taken_in_the_order_of_their_numbers() -> None:
    points = {7: (1.0, 1.0), 3: (1.0, 1.0), 5: (1.0, 1.0)}
    assert ParetoHalving(eta=3).promotable(points) == [3]


def test_a_small_model_at_the_end_of_the_front_is_not_stopped_for_being_small() -> None:
    """Nine models; by error alone the three largest would go on."""
    sizes = [10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0, 5000.0]
    points = {number: (1 / size, size) for number, size in enumerate(sizes)}
    going_on = ParetoHalving(eta=3).promotable(points)
    assert {0, 8} <= set(going_on)  # the smallest and the largest
    by_error = sorted(points, key=lambda number: points[number][0])[:3]
    assert by_error == [8, 7, 6]


def test_a_small_model_that_another_small_one_beats_is_stopped() -> None:
    points = {0: (0.9, 10.0), 1: (0.5, 10.0), 2: (0.1, 1000.0)}
    assert best_first(points)[-1] == 0


# Who is spared in the end -----------------------------------------------------------------------

THREE = {0: (0.5, 5.0), 1: (0.6, 6.0), 2: (0.4, 9.0)}


def test_what_stands_on_the_front_is_spared() -> None:
    halving = ParetoHalving(min_results=1, finish_front=True)
    on_front = {0, 3}  # 3 beats 2 by its last result, from another rung
    assert halving.spared({0: THREE, 1: THREE, 2: THREE}, on_front) == [0]


def test_without_finish_front_the_front_is_not_spared() -> None:
    halving = ParetoHalving(min_results=3, finish_front=False)
    assert halving.spared({0: THREE, 2: THREE}, {0, 2}) == []


def test_a_rung_with_few_results_spares_what_nothing_in_it_dominates() -> None:
    halving = ParetoHalving(min_results=4, finish_front=False)
    assert halving.spared({0: THREE, 1: THREE, 2: THREE}, ()) == [0, 2]


def test_a_small_rung_does_not_spare_what_is_dominated_in_it() -> None:
    halving = ParetoHalving(min_results=4, finish_front=True)
    assert halving.spared({1: THREE}, {0, 2}) == []


@settings(deadline=None)
@given(POINTS)
def test_only_paused_candidates_are_spared(points: dict[int, tuple[float, float]]) -> None:
    paused = {number: points for number in points if number % 2}
    assert set(ParetoHalving().spared(paused, set(points))) <= set(paused)


@pytest.mark.parametrize("options", [{"eta": 1}, {"first_rung": 0}, {"min_results": 0}])
def test_options_that_leave_no_rungs_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(StudyError, match="has no rungs"):
        ParetoHalving(**options)
