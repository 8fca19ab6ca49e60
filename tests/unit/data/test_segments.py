from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.segmentation.record_segments import RecordSegments
from ecgmodels.data.segmentation.segment import segment_record
from ecgmodels.errors import DataError
from tests.made_recordings import AAMI, beats_at, made_record, resolved

PLAIN = {"filter_hz": "none", "rate_hz": "native", "window_ms": (200, 300), "features": ()}


def cut(record: Record, detected: Beats | None = None, **options: Any) -> RecordSegments:
    return segment_record(record, resolved(AAMI, **(PLAIN | options)), AAMI, detected)


def test_a_segment_is_the_window_around_its_beat_in_microvolts() -> None:
    record = made_record(beats=beats_at([500], "V"))
    segments = cut(record)
    np.testing.assert_array_equal(
        segments.signal_uv[0, 0], np.rint(1000 * record.signal_mv[0, 480:530])
    )
    assert segments.start_sample.tolist() == [480]
    assert segments.label.tolist() == [2]


def test_128_hz_and_the_default_window_give_exactly_128_samples() -> None:
    segments = segment_record(made_record(rate_hz=360.0), resolved(AAMI), AAMI)
    assert segments.signal_uv.shape == (10, 1, 128)
    assert segments.signal_uv.dtype == np.int16


def test_pad_repeats_the_end_samples_and_counts() -> None:
    record = made_record(beats=beats_at([5, 500, 990], "NNN"))
    segments = cut(record)
    assert segments.padded == 2
    assert segments.start_sample.tolist() == [-15, 480, 970]
    assert set(segments.signal_uv[0, 0, :16].tolist()) == {round(1000 * record.signal_mv[0, 0])}
    assert set(segments.signal_uv[2, 0, 29:].tolist()) == {round(1000 * record.signal_mv[0, -1])}


def test_drop_leaves_out_windows_over_an_end_and_counts() -> None:
    record = made_record(beats=beats_at([5, 20, 500, 970, 990], "NNNNN"))
    segments = cut(record, edges="drop")
    assert segments.start_sample.tolist() == [0, 480, 950]
    assert segments.padded == 0
    assert segments.rejected == {"window over the record's end": 2}


def test_beats_of_no_kept_class_are_counted_by_reason() -> None:
    segments = cut(made_record(beats=beats_at([200, 300, 400, 500], "NQ?Q")))
    assert segments.label.tolist() == [0]
    assert segments.rejected == {"class Q left out": 2, "code ? has no class": 1}


def test_an_annotation_code_stands_for_its_class() -> None:
    segments = cut(made_record(beats=beats_at([200, 300, 400, 500], "VANF")))
    assert segments.label.tolist() == [2, 1, 0, 3]
    segments = cut(made_record(beats=beats_at([200, 300], "VA")), classes=("V", "S"))
    assert segments.label.tolist() == [0, 1]


def test_q_can_be_kept() -> None:
    record = made_record(beats=beats_at([200, 300], "NQ"))
    segments = cut(record, classes=("N", "S", "V", "F", "Q"))
    assert segments.label.tolist() == [0, 4]
    assert segments.rejected == {}


@pytest.mark.parametrize("rate_hz", ["native", 50.0])
def test_segments_that_touch_a_long_gap_are_rejected_and_counted(rate_hz: float | str) -> None:
    signal = made_record().signal_mv.copy()
    signal[0, 430:470] = np.nan
    record = made_record(signal_mv=signal, beats=beats_at([300, 398, 402, 488, 492, 600], "NNNNNN"))
    segments = cut(record, rate_hz=rate_hz)
    assert segments.rejected == {"invalid samples": 2}
    assert len(segments) == 4


@pytest.mark.parametrize("clipped", [1, 2])
def test_up_to_one_clipped_sample_in_ten_thousand_is_let_pass_and_counted(clipped: int) -> None:
    signal = np.random.default_rng(0).normal(0, 0.2, (1, 10_100))
    signal[0, 5_000 : 5_000 + clipped] = -40.0
    spaced = list(range(70, 10_070, 50))  # 200 windows of 50 samples, side by side
    record = made_record(signal_mv=signal, beats=beats_at(spaced, "N" * len(spaced)))
    if clipped == 1:
        segments = cut(record)
        assert segments.clipped_samples == 1
        assert segments.signal_uv.min() == -32_767
    else:
        with pytest.raises(DataError, match=r"r1: 2 of 10,000 samples are beyond 32\.767 mV"):
            cut(record)


def test_beats_from_the_first_seconds_are_left_out_on_request() -> None:
    record = made_record(beats=beats_at([100, 299, 300, 500], "QNNN"))
    segments = cut(record, skip_first_s=3)
    assert segments.start_sample.tolist() == [280, 480]
    assert segments.rejected == {"beat in the first 3 s": 2}


def test_a_detected_beat_takes_the_label_of_the_annotation_within_150_ms() -> None:
    record = made_record(beats=beats_at([200, 300, 400, 500, 600], "NVAQN"))
    detected = beats_at([204, 285, 416, 502, 601])
    segments = cut(record, detected, beats="xqrs")
    assert segments.start_sample.tolist() == [184, 265, 581]
    assert segments.label.tolist() == [0, 2, 0]
    assert segments.rejected == {
        "annotated beat not detected": 1,
        "class Q left out": 1,
        "no annotation within 150 ms": 1,
    }


def test_an_annotation_labels_one_detected_beat_at_most() -> None:
    record = made_record(beats=beats_at([200, 700], "VN"))
    segments = cut(record, beats_at([195, 202, 700]), beats="neurokit")
    assert segments.start_sample.tolist() == [182, 680]
    assert segments.rejected == {"no annotation within 150 ms": 1}


def test_rr_intervals_of_detected_beats_are_those_that_a_device_would_see() -> None:
    record = made_record(beats=beats_at([200, 300, 400], "NNN"))
    detected = beats_at([202, 350, 405])
    segments = cut(record, detected, beats="xqrs", features=("rr_previous_s",))
    assert segments.start_sample.tolist() == [182, 385]
    np.testing.assert_allclose(segments.features[:, 0], [np.nan, 0.55], rtol=1e-6)


def test_what_nothing_found_in_the_seconds_left_out_is_not_counted() -> None:
    record = made_record(beats=beats_at([100, 500, 600], "NNN"))
    segments = cut(record, beats_at([500]), beats="xqrs", skip_first_s=3)
    assert segments.rejected == {"annotated beat not detected": 1}


def test_a_rate_that_does_not_fit_names_the_record() -> None:
    with pytest.raises(DataError, match=r"record r1: filter_hz 0\.5 to 40 reaches half"):
        cut(made_record(rate_hz=60.0), filter_hz=(0.5, 40))
    with pytest.raises(DataError, match=r"record r1: 99\.998\d* Hz cannot be resampled"):
        cut(made_record(rate_hz=99.99812), rate_hz=128)


@settings(deadline=None, max_examples=100)
@given(
    rate_hz=st.integers(100, 1000),
    target_hz=st.integers(64, 500),
    filter_hz=st.sampled_from(["none", (0.5, 25.0)]),
    first_s=st.floats(0.4, 0.6),
    rr_s=st.floats(0.5, 1.2),
)
def test_beats_stay_in_the_middle_of_their_windows_at_any_rate(
    rate_hz: int, target_hz: int, filter_hz: Any, first_s: float, rr_s: float
) -> None:
    """The peak of a QRS-like bump is within one sample of the window's beat index."""
    time_s = np.arange(12 * rate_hz) / rate_hz
    beats = np.rint(np.arange(first_s, 11.6, rr_s) * rate_hz).astype(np.int64)
    away_s = np.abs(time_s - beats[:, None] / rate_hz).min(axis=0)
    record = made_record(
        rate_hz=float(rate_hz),
        signal_mv=np.exp(-0.5 * (away_s / 0.02) ** 2)[None] + 0.01 * np.sin(time_s),
        beats=beats_at(beats.tolist(), "N" * len(beats)),
    )
    segments = cut(record, window_ms=(200, 200), rate_hz=target_hz, filter_hz=filter_hz)
    assert len(segments) == len(beats)
    before = round(0.2 * target_hz)
    assert np.abs(segments.signal_uv[:, 0].argmax(axis=1) - before).max() <= 1


@settings(deadline=None, max_examples=100)
@given(
    rate_hz=st.integers(100, 1000),
    target_hz=st.integers(64, 500),
    gap_s=st.floats(1.0, 9.0),
    beat_s=st.floats(0.5, 9.5),
)
def test_a_window_is_rejected_exactly_where_it_meets_a_long_gap(
    rate_hz: int, target_hz: int, gap_s: float, beat_s: float
) -> None:
    signal = made_record(rate_hz=float(rate_hz)).signal_mv.copy()
    gap = round(gap_s * rate_hz)
    signal[0, gap : gap + round(0.2 * rate_hz)] = np.nan
    beat = round(beat_s * rate_hz)
    record = made_record(rate_hz=float(rate_hz), signal_mv=signal, beats=beats_at([beat], "N"))
    kept = len(cut(record, window_ms=(200, 300), rate_hz=target_hz)) == 1
    begin_s, end_s = beat / rate_hz - 0.2, beat / rate_hz + 0.3
    nearest_s = max(gap / rate_hz - end_s, begin_s - (gap / rate_hz + 0.2))
    tolerance_s = 1 / target_hz + 2 / rate_hz
    if nearest_s > tolerance_s:
        assert kept
    if nearest_s < -tolerance_s:
        assert not kept
