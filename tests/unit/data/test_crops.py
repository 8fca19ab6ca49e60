from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels.data.databases.base import Task
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.segmentation.crops import bucket_samples, crop_starts
from ecgmodels.data.segmentation.record_segments import RecordSegments
from ecgmodels.data.segmentation.segment import segment_record
from ecgmodels.errors import DataError
from tests.made_recordings import (
    AAMI,
    DIAGNOSES,
    RHYTHM,
    UNLABELLED,
    beats_at,
    made_record,
    resolved,
)


def crop(record: Record, task: Task = RHYTHM, **options: object) -> RecordSegments:
    plain = {"filter_hz": "none", "features": ()}
    return segment_record(record, resolved(task, **(plain | options)), task)


def _record(seconds: float = 10.0, **replaced: object) -> Record:
    noise = np.random.default_rng(1).normal(0, 0.2, (1, round(100 * seconds)))
    return made_record(**({"signal_mv": noise, "labels": ("N",), "beats": None} | replaced))


@settings(deadline=None)
@given(
    length=st.integers(1, 3000),
    samples=st.integers(1, 400),
    data=st.data(),
)
def test_crops_hold_every_sample_of_the_recording_and_end_with_it(
    length: int, samples: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, samples))
    start = crop_starts(length, samples, stride)
    held = np.zeros(max(length, samples), dtype=bool)
    for begin in start.tolist():
        held[begin : begin + samples] = True
    assert held.all()
    assert start[0] == 0
    assert start[-1] + samples == max(length, samples)
    assert (np.diff(start) > 0).all()
    assert (np.diff(start)[:-1] == stride).all()


@settings(deadline=None)
@given(length=st.integers(1, 10**9))
def test_a_bucket_is_at_most_an_eighth_longer_and_there_are_eight_an_octave(length: int) -> None:
    bucket = bucket_samples(length)
    assert length <= bucket <= length * 9 / 8
    octave = 2 ** (length.bit_length() - 1)  # the largest power of 2 that is not above length
    assert bucket in [octave + octave * step / 8 for step in range(9)]


def test_a_crop_is_its_stretch_of_the_recording_in_microvolts() -> None:
    record = _record(9.0)
    segments = crop(record, crop_s=4, stride_s=3)
    expected = np.rint(1000 * record.signal_mv)
    assert segments.start_sample.tolist() == [0, 300, 500]  # the last one is moved back by 1 s
    for start, signal in zip(segments.start_sample, segments.signal_uv, strict=True):
        np.testing.assert_array_equal(signal, expected[:, start : start + 400])
    assert segments.signal_uv.dtype == np.int16
    assert segments.valid_samples.tolist() == [400, 400, 400]
    assert segments.valid_samples.dtype == np.int32
    assert segments.padded == 0


def test_a_short_recording_is_filled_with_0_after_its_end() -> None:
    record = _record(2.5)
    segments = crop(record, crop_s=4)
    np.testing.assert_array_equal(
        segments.signal_uv[0, 0, :250], np.rint(1000 * record.signal_mv[0])
    )
    assert not segments.signal_uv[0, 0, 250:].any()
    assert segments.valid_samples.tolist() == [250]
    assert segments.padded == 1


def test_a_short_recording_is_dropped_on_request_and_counted() -> None:
    assert crop(_record(2.5), crop_s=4, short="drop").rejected == {
        "recording shorter than a crop": 1
    }
    assert len(crop(_record(4.0), crop_s=4, short="drop")) == 1


def test_a_whole_recording_is_filled_up_to_its_bucket() -> None:
    segments = crop(_record(9.01), crop_s="record")
    assert segments.signal_uv.shape == (1, 1, 960)  # 901 lies between 512 and 1024: steps of 64
    assert segments.valid_samples.tolist() == [901]
    assert not segments.signal_uv[0, 0, 901:].any()
    assert segments.signal_uv[0, 0, 900] != 0


def test_valid_samples_are_counted_at_the_segments_rate() -> None:
    noise = np.random.default_rng(2).normal(0, 0.2, (1, 3601))
    segments = crop(_record(rate_hz=360.0, signal_mv=noise), crop_s=12, rate_hz=128)
    assert segments.signal_uv.shape == (1, 1, 1536)
    assert segments.valid_samples.tolist() == [
        1281
    ]  # 3601 * 128 / 360 = 1280.4: a part of one counts


def test_a_crop_that_touches_a_long_gap_is_rejected_alone() -> None:
    signal = _record(12.0).signal_mv.copy()
    signal[0, 399:420] = np.nan  # one sample of the first crop, twenty of the second
    signal[0, 900:905] = np.nan
    segments = crop(_record(signal_mv=signal), crop_s=4)
    assert segments.start_sample.tolist() == [800]
    assert segments.rejected == {"invalid samples": 2}
    assert segments.bridged_samples == 5


@pytest.mark.parametrize("max_bridged_s", [0.05, 0.2])
def test_how_long_a_gap_may_be_is_an_option(max_bridged_s: float) -> None:
    signal = _record().signal_mv.copy()
    signal[0, 400:410] = np.nan
    segments = crop(_record(signal_mv=signal), crop_s=2, max_bridged_s=max_bridged_s)
    assert len(segments) == (5 if max_bridged_s == 0.2 else 4)
    assert segments.bridged_samples == (10 if max_bridged_s == 0.2 else 0)


def test_every_crop_has_the_recordings_label() -> None:
    segments = crop(_record(labels=("A",)), crop_s=3)
    assert segments.label.tolist() == [1, 1, 1, 1]
    assert segments.label.dtype == np.int64


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (("O",), "class O left out"),
        ((), "recording of no class"),
        (None, "recording without a label"),
    ],
)
def test_recordings_of_no_kept_class_are_rejected_with_the_reason(
    labels: tuple[str, ...] | None, reason: str
) -> None:
    segments = crop(_record(labels=labels), crop_s=5)
    assert len(segments) == 0
    assert segments.rejected == {reason: 2}


def test_two_labels_where_one_is_allowed_are_refused() -> None:
    with pytest.raises(DataError, match="record r1 has the labels N, A; task 'rhythm' allows one"):
        crop(_record(labels=("N", "A")))


@given(labels=st.sets(st.sampled_from(DIAGNOSES.classes)))
@settings(deadline=None, max_examples=16)
def test_a_multi_label_row_is_the_set_of_the_recordings_kept_classes(labels: set[str]) -> None:
    segments = crop(_record(labels=tuple(sorted(labels))), DIAGNOSES, crop_s=5)
    assert segments.label.dtype == np.uint8
    assert segments.label.shape == (2, 3)
    for row in segments.label:
        kept = {name for name, has in zip(("MI", "CD", "NORM"), row, strict=True) if has}
        assert kept == labels - {"HYP"}
    assert segments.rejected == {}


def test_where_nothing_is_labelled_labels_are_minus_1() -> None:
    segments = crop(_record(labels=None), UNLABELLED, crop_s=5)
    assert segments.label.tolist() == [-1, -1]
    assert segments.rejected == {}


def test_a_recordings_label_goes_to_windows_around_its_beats() -> None:
    detected = beats_at([120, 220, 330])
    options = resolved(RHYTHM, segments="beats", features=("rr_previous_s",))
    segments = segment_record(_record(labels=("A",)), options, RHYTHM, detected)
    assert segments.label.tolist() == [1, 1, 1]
    np.testing.assert_allclose(segments.features[:, 0], [np.nan, 1.0, 1.1], rtol=1e-6)


def test_a_recording_in_which_no_beat_is_found_is_counted() -> None:
    options = resolved(RHYTHM, segments="beats")
    segments = segment_record(_record(), options, RHYTHM, beats_at([]))
    assert len(segments) == 0
    assert segments.rejected == {"no beat found": 1}


def test_annotated_beats_that_are_missing_are_asked_for_by_name() -> None:
    with pytest.raises(DataError, match="record r1 has no annotated beats") as caught:
        segment_record(_record(), resolved(AAMI), AAMI)
    assert "xqrs" in caught.value.hint


def test_a_recording_without_samples_is_refused() -> None:
    with pytest.raises(DataError, match="record r1 holds no samples"):
        crop(_record(signal_mv=np.empty((1, 0))))


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_a_recording_of_hardly_a_sample_is_cut_too(samples: int) -> None:
    record = _record(signal_mv=np.array([[0.3, -0.4, 0.5, -0.6, 0.7, -0.8, 0.9]])[:, :samples])
    segments = crop(record, filter_hz=(0.5, 40.0), rate_hz=128)
    assert len(segments) + sum(segments.rejected.values()) == 1
