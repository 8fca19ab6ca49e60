"""Expected gains of hypervolume, held against drawing results and measuring."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.engine.front_volume import FrontVolume
from search.engine.pareto import hypervolume
from search.sampling.gain import expected_gain, sampled_gain

FRONT = np.array([[1.0, 0.9], [2.0, 0.5], [3.0, 0.2], [2.5, 0.7]])
REFERENCE = (4.0, 1.0)
unit = st.floats(0, 1, width=32)


def drawn_gain(size: float, mean: float, deviation: float) -> float:
    rng = np.random.default_rng(0)
    before = hypervolume(FRONT, REFERENCE)
    results = rng.normal(mean, deviation, 4000)
    return float(
        np.mean([hypervolume([*FRONT, [size, result]], REFERENCE) - before for result in results])
    )


@pytest.mark.parametrize("size", [0.2, 1.0, 2.2, 3.9, 4.5])
@pytest.mark.parametrize(("mean", "deviation"), [(0.4, 0.1), (1.2, 0.3), (0.1, 0.01)])
def test_the_expected_gain_is_what_drawn_results_add(
    size: float, mean: float, deviation: float
) -> None:
    one = [np.array([x]) for x in (size, mean, deviation)]
    (found,) = expected_gain(FRONT, *one, REFERENCE)
    assert found == pytest.approx(drawn_gain(size, mean, deviation), abs=0.012)


def test_without_a_front_everything_below_the_reference_is_gain() -> None:
    gain = expected_gain(
        np.zeros((0, 2)), np.array([1.0]), np.array([0.25]), np.array([1e-9]), REFERENCE
    )
    assert gain[0] == pytest.approx(3.0 * 0.75)


def test_a_larger_candidate_that_is_expected_to_be_worse_gains_nothing() -> None:
    gain = expected_gain(FRONT, np.array([2.6]), np.array([0.6]), np.array([1e-9]), REFERENCE)
    assert gain[0] == pytest.approx(0.0, abs=1e-12)


def test_sampled_gains_rank_candidates_like_exact_ones() -> None:
    rng = np.random.default_rng(1)
    mean = np.column_stack([rng.uniform(0, 4, 30), rng.uniform(0, 1, 30)])
    deviation = np.column_stack([np.zeros(30), np.full(30, 0.1)])
    exact = expected_gain(FRONT, mean[:, 0], mean[:, 1], deviation[:, 1], REFERENCE)
    sampled = sampled_gain(
        FRONT, mean, deviation, np.array(REFERENCE), rng, directions=2000, draws=64
    )
    ranks = [np.argsort(np.argsort(values)) for values in (exact, sampled)]
    assert np.corrcoef(*ranks)[0, 1] > 0.9


def test_three_objectives_gain_where_the_front_has_a_gap() -> None:
    front = np.array([[0.1, 0.9, 0.9], [0.9, 0.1, 0.9], [0.9, 0.9, 0.1]])
    mean = np.array([[0.3, 0.3, 0.3], [0.95, 0.95, 0.2]])
    gain = sampled_gain(
        front, mean, np.zeros((2, 3)), np.ones(3), np.random.default_rng(0), draws=1
    )
    assert gain[0] > 0.1
    assert gain[1] == 0.0


@settings(max_examples=50)
@given(points=st.lists(st.tuples(unit, unit, unit), max_size=12))
def test_a_growing_fronts_volume_is_that_of_all_its_points(
    points: list[tuple[float, float, float]],
) -> None:
    reference = (0.9, 0.8, 1.1)
    volume = FrontVolume(reference)
    seen: list[tuple[float, float, float]] = []
    for point in points:
        volume.add(point)
        seen.append(point)
        assert volume.value == pytest.approx(hypervolume(seen, reference))
