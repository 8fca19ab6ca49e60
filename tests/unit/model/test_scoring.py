from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgmodels import ConfigError
from ecgmodels.metrics.scoring import record_labels, score_records, scored

PROBABILITIES = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.6, 0.4]], np.float32)
RECORD = np.array([7, 2, 7, 7])


def test_a_records_mean_and_maximum_are_over_its_segments_alone() -> None:
    mean = score_records(PROBABILITIES, RECORD, "mean")
    assert mean.record.tolist() == [2, 7]
    np.testing.assert_allclose(mean.probabilities, [[0.2, 0.8], [2 / 3, 1 / 3]], rtol=1e-6)
    largest = score_records(PROBABILITIES, RECORD, "max")
    np.testing.assert_allclose(largest.probabilities, [[0.2, 0.8], [0.9, 0.5]], rtol=1e-6)
    assert largest.probabilities.dtype == mean.probabilities.dtype == np.float32


@given(
    record=st.lists(st.integers(0, 9), min_size=1, max_size=40),
    how=st.sampled_from(["mean", "max"]),
    seed=st.integers(0, 99),
)
def test_scores_are_those_of_each_record_by_itself_in_any_order_of_segments(
    record: list[int], how: Literal["mean", "max"], seed: int
) -> None:
    random = np.random.default_rng(seed)
    probabilities = random.random((len(record), 3), dtype=np.float32)
    numbers, scores = score_records(probabilities, np.array(record), how)
    assert numbers.tolist() == sorted(set(record))
    for number, score in zip(numbers, scores, strict=True):
        own = probabilities[np.array(record) == number]
        np.testing.assert_allclose(score, getattr(own, how)(axis=0), rtol=1e-6)
    mixed = random.permutation(len(record))
    again = score_records(probabilities[mixed], np.array(record)[mixed], how)
    np.testing.assert_allclose(again.probabilities, scores, rtol=1e-6)


def test_no_segments_make_no_records() -> None:
    numbers, scores = score_records(np.empty((0, 4), np.float32), np.empty(0, np.int32), "mean")
    assert numbers.shape == (0,)
    assert scores.shape == (0, 4)


def test_a_record_has_the_label_of_its_segments() -> None:
    assert record_labels(np.array([1, 0, 1, 1]), RECORD).tolist() == [0, 1]
    several = np.array([[1, 1], [0, 1], [1, 1], [1, 1]], np.uint8)
    assert record_labels(several, RECORD).tolist() == [[0, 1], [1, 1]]


def test_a_record_whose_segments_differ_cannot_be_scored_as_one() -> None:
    with pytest.raises(ConfigError, match="record number 7 has segments of different labels"):
        record_labels(np.array([1, 0, 1, 0]), RECORD)
    with pytest.raises(ConfigError, match="record number 7"):
        record_labels(np.array([[1, 1], [0, 1], [1, 0], [1, 1]], np.uint8), RECORD)


def test_by_segment_nothing_is_put_together() -> None:
    label = np.array([1, 0, 1, 0])
    counted = scored(label, PROBABILITIES, RECORD, "segment")
    assert counted[0].tolist() == label.tolist()
    assert counted[1] is PROBABILITIES
