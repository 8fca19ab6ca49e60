"""Matching detected with annotated beats, held against every possible pairing."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgmodels.data.recordings.beat_matching import (
    DetectionCounts,
    count_detections,
    match_beats,
)

BEATS = st.lists(st.integers(0, 60), max_size=6).map(lambda values: _samples(*sorted(values)))


def _samples(*values: int) -> NDArray[np.int64]:
    return np.array(values, dtype=np.int64)


def _best(
    detected: NDArray[np.int64], annotated: NDArray[np.int64], tolerance: float
) -> tuple[int, int]:
    """Return most pairs and least distance by trying every pairing that does not cross."""
    best = (0, 0)
    for size in range(1, min(len(detected), len(annotated)) + 1):
        for some in combinations(detected.tolist(), size):
            for others in combinations(annotated.tolist(), size):
                apart = [abs(a - b) for a, b in zip(some, others, strict=True)]
                if max(apart) <= tolerance:
                    best = max(best, (size, -sum(apart)))
    return best


@settings(max_examples=150, deadline=None)
@given(BEATS, BEATS, st.sampled_from([0, 3, 7.5, 20]))
def test_no_pairing_has_more_pairs_or_with_as_many_is_closer(
    detected: NDArray[np.int64], annotated: NDArray[np.int64], tolerance: float
) -> None:
    i, j = match_beats(detected, annotated, tolerance)
    apart = np.abs(detected[i] - annotated[j])
    assert (apart <= tolerance).all()
    assert len(i) == len(j)
    assert (np.diff(i) > 0).all()  # ascending, hence each used once
    assert (np.diff(j) > 0).all()
    assert (len(i), -int(apart.sum())) == _best(detected, annotated, tolerance)


@given(BEATS, st.integers(0, 9))
def test_beats_match_themselves(beats: NDArray[np.int64], tolerance: int) -> None:
    i, j = match_beats(beats, beats, tolerance)
    assert i.tolist() == j.tolist() == list(range(len(beats)))


def test_the_nearer_of_two_detections_is_taken() -> None:
    i, j = match_beats(_samples(60, 98), _samples(100), 54)
    assert (i.tolist(), j.tolist()) == ([1], [0])


def test_a_detection_goes_to_a_beat_further_off_where_that_finds_another_beat() -> None:
    i, j = match_beats(_samples(90, 140), _samples(50, 100), 54)
    assert (i.tolist(), j.tolist()) == ([0, 1], [0, 1])


def test_the_tolerance_itself_still_matches() -> None:
    assert len(match_beats(_samples(46), _samples(100), 54)[0]) == 1
    assert len(match_beats(_samples(45), _samples(100), 54)[0]) == 0


def test_150_ms_count_as_found() -> None:
    annotated = _samples(100, 500, 900)
    detected = _samples(46, 555, 700, 900)  # 54, 55 samples off, none there, exact
    assert count_detections(detected, annotated, 360.0) == DetectionCounts(
        found=2, missed=1, extra=2
    )


def test_gross_figures_count_all_beats_alike() -> None:
    gross = DetectionCounts(found=90, missed=10, extra=0) + DetectionCounts(
        found=9, missed=1, extra=11
    )
    assert gross.sensitivity == pytest.approx(99 / 110)
    assert gross.positive_predictivity == pytest.approx(99 / 110)


def test_figures_without_any_beat_are_nan() -> None:
    nothing = count_detections(_samples(), _samples(), 360.0)
    assert np.isnan(nothing.sensitivity)
    assert np.isnan(nothing.positive_predictivity)


def test_a_day_of_beats_takes_linear_time() -> None:
    generator = np.random.default_rng(0)
    annotated = np.cumsum(generator.integers(100, 400, 100_000))
    detected = np.sort(annotated + generator.integers(-50, 50, len(annotated)))
    i, _ = match_beats(detected, annotated, 54)
    assert len(i) > 0.999 * len(annotated)
