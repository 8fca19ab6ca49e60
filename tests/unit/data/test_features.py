from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ecgmodels.data.recordings.records import Record
from ecgmodels.data.segmentation.features import (
    FEATURES,
    FeatureContext,
    compute_features,
    needs_beats,
    needs_p_waves,
    non_causal_features,
)
from ecgmodels.data.segmentation.segment import segment_record
from tests.made_recordings import AAMI, RHYTHM, beats_at, made_record, resolved


def _around_beats(record: Record) -> FeatureContext:
    assert record.beats is not None
    sample = record.beats.sample
    return FeatureContext(record=record, beats=record.beats, start=sample - 30, stop=sample + 60)


def test_rr_features_of_a_hand_made_rhythm() -> None:
    record = made_record(beats=beats_at([100, 200, 300, 360, 500], "NNNAN"))
    names = ["rr_previous_s", "rr_next_s", "rr_ratio", "age", "sex"]
    nan = np.nan
    np.testing.assert_allclose(
        compute_features(_around_beats(record), names),
        [
            [nan, 1.0, nan, 60, 1],
            [1.0, 1.0, nan, 60, 1],
            [1.0, 0.6, 1.0, 60, 1],
            [0.6, 1.4, 0.6, 60, 1],
            [1.4, nan, 1.4 / (2.6 / 3), 60, 1],
        ],
        rtol=1e-6,
    )


def test_unknown_age_and_sex_are_missing_not_zero() -> None:
    context = _around_beats(made_record(age=None, sex=None))
    assert np.isnan(compute_features(context, ["age", "sex"])).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_records_with_hardly_a_beat_have_features_too(count: int) -> None:
    record = made_record(beats=beats_at([100, 200][:count], "N" * count))
    features = compute_features(_around_beats(record), ["rr_previous_s", "rr_next_s", "rr_ratio"])
    assert features.shape == (count, 3)
    assert np.isnan(features[:, 2]).all()


def test_the_rhythm_of_a_crop_is_that_of_the_beats_within() -> None:
    beats = beats_at([50, 150, 290, 300, 400, 520, 700, 950])
    options = resolved(RHYTHM, crop_s=3, features=("heart_rate_bpm", "rr_sd_s"), rate_hz="native")
    record = made_record(labels=("N",))
    features = segment_record(record, options, RHYTHM, beats).features
    # Crops begin at 0, 3, 6 and 7 s; the beat at 3 s is in the second, the last two hold two each.
    np.testing.assert_allclose(
        features,
        [
            [60 / 1.2, np.std([1.0, 1.4], ddof=1)],
            [60 / 1.1, np.std([1.0, 1.2], ddof=1)],
            [np.nan, np.nan],
            [np.nan, np.nan],
        ],
        rtol=1e-6,
        atol=1e-6,
    )


def test_beats_of_a_crop_are_found_at_the_recordings_own_rate() -> None:
    record = made_record(rate_hz=250.0, labels=("N",))
    options = resolved(RHYTHM, crop_s=5, features=("heart_rate_bpm",), beats="annotations")
    features = segment_record(record, options, RHYTHM).features
    np.testing.assert_allclose(features[:, 0], [60.0, 60.0], rtol=1e-6)


def test_beats_at_one_instant_give_no_heart_rate() -> None:
    options = resolved(RHYTHM, features=("heart_rate_bpm",))
    record = made_record(labels=("N",))
    assert np.isnan(segment_record(record, options, RHYTHM, beats_at([5, 5, 5])).features).all()


def test_a_recordings_own_feature_is_in_each_segment_and_unknown_where_absent() -> None:
    options = resolved(RHYTHM, own=("height", "weight"), crop_s=5, features=("weight", "height"))
    record = made_record(labels=("N",), extra={"height": 1.7, "shoe_size": 43.0})
    features = segment_record(record, options, RHYTHM).features
    np.testing.assert_array_equal(features, np.float32([[np.nan, 1.7]] * 2))


def test_rr_features_count_beats_that_get_no_segment() -> None:
    record = made_record(beats=beats_at([200, 300, 400], "NQN"))
    options = resolved(AAMI, features=("rr_previous_s",))
    assert segment_record(record, options, AAMI).features[1, 0] == 1.0


def test_options_tell_what_must_be_found_before() -> None:
    crops = resolved(RHYTHM)
    assert not needs_beats(crops)
    assert needs_beats(replace(crops, features=("rr_sd_s",)))
    assert needs_beats(resolved(RHYTHM, segments="beats", features=()))
    assert not needs_p_waves(resolved(AAMI))


def test_only_features_that_look_ahead_are_not_causal() -> None:
    assert non_causal_features([*FEATURES, "height"]) == (
        "rr_next_s",
        "p_wave",
        "pr_interval_s",
        "p_wave_share",
        "median_pr_interval_s",
    )
