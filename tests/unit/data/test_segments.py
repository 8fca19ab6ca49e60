from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from ecgmodels.data import DATABASES, Beats, PrepareOptions, Record
from ecgmodels.data.preparation.options import ResolvedOptions, resolve
from ecgmodels.data.segmentation.beats import RecordSegments, segment_record
from ecgmodels.data.segmentation.features import compute_features
from ecgmodels.errors import DataError

MITDB = DATABASES["mitdb"]
PLAIN = PrepareOptions(filter_hz=None, rate_hz=None, window_ms=(200, 300), features=())


def cut(record: Record, options: PrepareOptions = PLAIN) -> RecordSegments:
    resolved: ResolvedOptions = resolve(options, MITDB)
    return segment_record(record, resolved, MITDB.mappings[resolved.mapping])


def beats(samples: list[int], symbols: str) -> Beats:
    return Beats(sample=np.array(samples, dtype=np.int64), symbol=np.array(list(symbols)))


def test_a_segment_is_the_window_around_its_beat_in_microvolts(
    make_record: Callable[..., Record],
) -> None:
    record = make_record(beats=beats([500], "V"))
    segments = cut(record)
    np.testing.assert_array_equal(
        segments.signal_uv[0, 0], np.rint(1000 * record.signal_mv[0, 480:530])
    )
    assert segments.start_sample.tolist() == [480]
    assert segments.label.tolist() == [2]


def test_128_hz_and_the_default_window_give_exactly_128_samples(
    make_record: Callable[..., Record],
) -> None:
    segments = cut(make_record(rate_hz=360.0), PrepareOptions())
    assert segments.signal_uv.shape == (10, 1, 128)
    assert segments.signal_uv.dtype == np.int16


def test_pad_repeats_the_end_samples_and_counts(make_record: Callable[..., Record]) -> None:
    record = make_record(beats=beats([5, 500, 990], "NNN"))
    segments = cut(record)
    assert segments.padded == 2
    assert segments.start_sample.tolist() == [-15, 480, 970]
    assert set(segments.signal_uv[0, 0, :16].tolist()) == {round(1000 * record.signal_mv[0, 0])}
    assert set(segments.signal_uv[2, 0, 29:].tolist()) == {round(1000 * record.signal_mv[0, -1])}


def test_drop_leaves_out_windows_over_an_end_and_counts(make_record: Callable[..., Record]) -> None:
    record = make_record(beats=beats([5, 20, 500, 970, 990], "NNNNN"))
    segments = cut(record, replace(PLAIN, edges="drop"))
    assert segments.start_sample.tolist() == [0, 480, 950]
    assert segments.padded == 0
    assert segments.rejected == {"window over the record's end": 2}


def test_beats_of_no_kept_class_are_counted_by_reason(make_record: Callable[..., Record]) -> None:
    segments = cut(make_record(beats=beats([200, 300, 400, 500], "NQ?Q")))
    assert segments.label.tolist() == [0]
    assert segments.rejected == {"class Q left out": 2, "code ? has no class": 1}


def test_q_can_be_kept(make_record: Callable[..., Record]) -> None:
    options = replace(PLAIN, classes=("N", "S", "V", "F", "Q"))
    segments = cut(make_record(beats=beats([200, 300], "NQ")), options)
    assert segments.label.tolist() == [0, 4]
    assert segments.rejected == {}


def test_wfdbs_mapping_counts_escape_beats_as_s(make_record: Callable[..., Record]) -> None:
    record = make_record(beats=beats([200, 300], "je"))
    assert cut(record).label.tolist() == [0, 0]
    assert cut(record, replace(PLAIN, mapping="wfdb")).label.tolist() == [1, 1]


@pytest.mark.parametrize("rate_hz", [None, 50.0])
def test_segments_that_touch_a_long_gap_are_rejected_and_counted(
    make_record: Callable[..., Record], rate_hz: float | None
) -> None:
    signal = make_record().signal_mv.copy()
    signal[0, 430:470] = np.nan
    record = make_record(signal_mv=signal, beats=beats([300, 398, 402, 488, 492, 600], "NNNNNN"))
    segments = cut(record, replace(PLAIN, rate_hz=rate_hz))
    assert segments.rejected == {"invalid samples": 2}
    assert len(segments) == 4


def test_microvolts_read_as_millivolts_are_refused(make_record: Callable[..., Record]) -> None:
    record = make_record(signal_mv=1000 * make_record().signal_mv)
    with pytest.raises(
        DataError, match=r"record r1, lead MLII: the median absolute value is 1\d\d\.?\d* mV"
    ):
        cut(record)


def test_a_flat_lead_is_refused(make_record: Callable[..., Record]) -> None:
    with pytest.raises(DataError, match=r"record r1, lead MLII: .* is 0 mV"):
        cut(make_record(signal_mv=np.zeros((1, 1000))))


def test_few_clipped_samples_are_counted(make_record: Callable[..., Record]) -> None:
    signal = np.random.default_rng(0).normal(0, 0.2, (1, 20_000))
    signal[0, 10_000] = -40.0
    spaced = list(range(1_000, 19_950, 50))
    record = make_record(signal_mv=signal, beats=beats(spaced, "N" * len(spaced)))
    segments = cut(record)
    assert segments.clipped_samples == 1
    assert segments.signal_uv.min() == -32_767


def test_many_clipped_samples_are_refused(make_record: Callable[..., Record]) -> None:
    signal = make_record().signal_mv.copy()
    signal[0, 440:460] = 40.0
    with pytest.raises(DataError, match=r"record r1: 20 of 500 samples are beyond 32\.767 mV"):
        cut(make_record(signal_mv=signal))


def test_rr_features_of_a_hand_made_rhythm(make_record: Callable[..., Record]) -> None:
    record = make_record(beats=beats([100, 200, 300, 360, 500], "NNNAN"))
    names = ["rr_previous_s", "rr_next_s", "rr_ratio", "age", "sex"]
    nan = np.nan
    np.testing.assert_allclose(
        compute_features(record, names),
        [
            [nan, 1.0, nan, 60, 1],
            [1.0, 1.0, nan, 60, 1],
            [1.0, 0.6, 1.0, 60, 1],
            [0.6, 1.4, 0.6, 60, 1],
            [1.4, nan, 1.4 / (2.6 / 3), 60, 1],
        ],
        rtol=1e-6,
    )


def test_unknown_age_and_sex_are_missing_not_zero(make_record: Callable[..., Record]) -> None:
    record = make_record(age=None, sex=None)
    assert np.isnan(compute_features(record, ["age", "sex"])).all()


@pytest.mark.parametrize("count", [0, 1, 2])
def test_records_with_hardly_a_beat_have_features_too(
    make_record: Callable[..., Record], count: int
) -> None:
    record = make_record(beats=beats([100, 200][:count], "N" * count))
    features = compute_features(record, ["rr_previous_s", "rr_next_s", "rr_ratio"])
    assert features.shape == (count, 3)
    assert np.isnan(features[:, 2]).all()
