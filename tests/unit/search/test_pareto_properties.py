"""Fronts, ranks and hypervolume agree with moocore's, which come from the authors of the field's
tools; and laws that hold for any points."""

from __future__ import annotations

import moocore
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.engine.front_volume import FrontVolume
from search.engine.pareto import FloatArray, dominates, front, hypervolume, non_dominated_ranks

OBJECTIVES = st.integers(2, 5)
# Few distinct values, so that ties and repeats are common; and any real ones, of one magnitude.
COARSE = st.integers(0, 4).map(float)
FINE = st.floats(-1e3, 1e3, allow_nan=False, allow_subnormal=False)


@st.composite
def clouds(draw: st.DrawFn, most: int = 30) -> FloatArray:
    """float64 [point, objective]"""
    objectives = draw(OBJECTIVES)
    values = draw(st.sampled_from([COARSE, FINE]))
    rows = st.lists(values, min_size=objectives, max_size=objectives)
    return np.array(draw(st.lists(rows, min_size=1, max_size=most)))


@st.composite
def volumes(draw: st.DrawFn) -> tuple[FloatArray, FloatArray]:
    """Points, and a reference that some of them may not reach."""
    points = draw(clouds(most=15))
    share = draw(st.floats(0.3, 1.2))
    low, high = points.min(axis=0), points.max(axis=0)
    return points, low + share * (high - low) + 0.5


# As moocore has it -------------------------------------------------------------------------------


@settings(deadline=None)
@given(clouds())
def test_the_front_is_moocores(points: FloatArray) -> None:
    theirs = moocore.is_nondominated(points, keep_weakly=True)
    assert sorted(front(points)) == np.flatnonzero(theirs).tolist()


@settings(deadline=None)
@given(clouds())
def test_ranks_are_moocores(points: FloatArray) -> None:
    assert non_dominated_ranks(points) == moocore.pareto_rank(points).tolist()


@settings(deadline=None)
@given(volumes())
def test_hypervolume_is_moocores(made: tuple[FloatArray, FloatArray]) -> None:
    points, reference = made
    theirs = moocore.hypervolume(points, ref=reference)
    assert hypervolume(points, reference) == pytest.approx(theirs, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("objectives", [2, 3, 4])
def test_the_hypervolume_of_a_large_front_is_moocores(objectives: int) -> None:
    """A hundred points on a sphere: none dominates another."""
    points = np.abs(np.random.default_rng(objectives).standard_normal((100, objectives)))
    points = 1.0 - points / np.linalg.norm(points, axis=1, keepdims=True)
    reference = np.ones(objectives)
    theirs = moocore.hypervolume(points, ref=reference)
    assert hypervolume(points, reference) == pytest.approx(theirs, rel=1e-12)


@settings(deadline=None)
@given(volumes())
def test_a_volume_that_grows_point_by_point_ends_as_moocores(
    made: tuple[FloatArray, FloatArray],
) -> None:
    points, reference = made
    volume = FrontVolume(reference.tolist())
    for point in points:
        volume.add(point.tolist())
    theirs = moocore.hypervolume(points, ref=reference)
    assert volume.value == pytest.approx(theirs, rel=1e-9, abs=1e-9)


# Laws --------------------------------------------------------------------------------------------


@given(clouds(most=3))
def test_dominance_is_a_strict_order(points: FloatArray) -> None:
    a, b, c = (points[i % len(points)] for i in range(3))
    assert not dominates(a, a)
    assert not (dominates(a, b) and dominates(b, a))
    assert dominates(a, c) or not (dominates(a, b) and dominates(b, c))


@settings(deadline=None)
@given(clouds())
def test_whatever_is_not_on_the_front_is_dominated_by_something_on_it(points: FloatArray) -> None:
    members = front(points)
    for place in set(range(len(points))) - set(members):
        assert any(dominates(points[member], points[place]) for member in members)


@settings(deadline=None)
@given(clouds(), st.randoms(use_true_random=False))
def test_fronts_and_ranks_do_not_depend_on_the_order_of_the_points(
    points: FloatArray, random
) -> None:
    order = list(range(len(points)))
    random.shuffle(order)
    assert {order[i] for i in front(points[order])} == set(front(points))
    ranks = non_dominated_ranks(points)
    assert non_dominated_ranks(points[order]) == [ranks[i] for i in order]


@settings(deadline=None)
@given(clouds(), st.integers(0, 4))
def test_stretching_an_objective_changes_no_rank(points: FloatArray, place: int) -> None:
    """By a power of two: it changes no order of the numbers."""
    stretched = points.copy()
    stretched[:, place % points.shape[1]] *= 8.0
    assert non_dominated_ranks(stretched) == non_dominated_ranks(points)


@settings(deadline=None)
@given(volumes())
def test_the_front_alone_has_the_whole_volume(made: tuple[FloatArray, FloatArray]) -> None:
    points, reference = made
    alone = hypervolume(points[front(points)], reference)
    assert hypervolume(points, reference) == pytest.approx(alone, rel=1e-9)


@settings(deadline=None)
@given(volumes())
def test_a_further_reference_never_makes_the_volume_smaller(
    made: tuple[FloatArray, FloatArray],
) -> None:
    points, reference = made
    volume = hypervolume(points, reference)
    assert hypervolume(points, reference + 1.0) >= volume * (1.0 - 1e-12)
