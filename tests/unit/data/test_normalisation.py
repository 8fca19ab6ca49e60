from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.storage.normalisation import Moments, moments_of, normalisation_over


def test_mean_and_deviation_are_over_valid_samples_and_known_features_only() -> None:
    signal_uv = np.array([[[10, 20, 999]], [[30, 40, 50]]], dtype=np.int16)
    features = np.array([[1.0, np.nan], [3.0, np.nan]], dtype=np.float32)
    found = normalisation_over([moments_of(signal_uv, np.array([2, 3], np.int32), features)])
    assert found.signal_mean_uv == (30.0,)
    assert found.signal_std_uv == pytest.approx((np.std([10, 20, 30, 40, 50]),))
    assert (found.feature_mean, found.feature_std) == ((2.0, 0.0), (1.0, 1.0))


def test_a_constant_is_divided_by_one() -> None:
    signal_uv = np.full((4, 2, 8), 7, dtype=np.int16)
    valid = np.full(4, 8, dtype=np.int32)
    found = normalisation_over([moments_of(signal_uv, valid, np.empty((4, 0), np.float32))])
    assert found.signal_mean_uv == (7.0, 7.0)
    assert found.signal_std_uv == (1.0, 1.0)


def test_sums_of_the_largest_samples_are_exact() -> None:
    signal_uv = np.full((3, 1, 5000), -32767, dtype=np.int16)
    moments = moments_of(signal_uv, np.full(3, 5000, np.int32), np.empty((3, 0), np.float32))
    assert moments.signal_squares.tolist() == [[15000 * 32767**2]]
    many = Moments.join([moments] * 1000)
    assert normalisation_over([many]).signal_mean_uv == (-32767.0,)


def test_a_record_without_a_segment_adds_nothing() -> None:
    empty = moments_of(
        np.empty((0, 1, 8), np.int16), np.empty(0, np.int32), np.empty((0, 1), np.float32)
    )
    some = moments_of(
        np.arange(16, dtype=np.int16).reshape(2, 1, 8),
        np.array([8, 8], np.int32),
        np.array([[1], [2]], np.float32),
    )
    assert normalisation_over([empty, some]) == normalisation_over([some])


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(1, 6), min_size=1, max_size=8), seed=st.integers(0, 2**32 - 1))
def test_sums_do_not_depend_on_how_records_are_grouped_or_ordered(
    lengths: list[int], seed: int
) -> None:
    random = np.random.default_rng(seed)
    total = sum(lengths)
    signal_uv = random.integers(-32767, 32768, (total, 2, 16)).astype(np.int16)
    valid = random.integers(1, 17, total).astype(np.int32)
    features = (random.normal(size=(total, 3)) * 1e3).astype(np.float32)
    features[random.random((total, 3)) < 0.3] = np.nan
    first = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    together = moments_of(signal_uv, valid, features, first)
    apart = [
        moments_of(signal_uv[start:stop], valid[start:stop], features[start:stop])
        for start, stop in zip(first, first + lengths, strict=True)
    ]
    for name, values in vars(Moments.join(apart)).items():
        np.testing.assert_array_equal(values, vars(together)[name])
    shuffled = [apart[index] for index in random.permutation(len(apart))]
    assert normalisation_over(shuffled) == normalisation_over([together])
