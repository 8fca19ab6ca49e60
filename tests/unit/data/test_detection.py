"""Beats found in made signals whose beats are known, in damaged ones, and in MIT-BIH."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgmodels.data.recordings.beat_matching import count_detections, match_beats
from ecgmodels.data.recordings.detection import Detector, detect_beats
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record
from ecgmodels.errors import DataError

DETECTORS: tuple[Detector, ...] = ("xqrs", "neurokit")
both = pytest.mark.parametrize("detector", DETECTORS)


def _record(signal_mv: NDArray[np.float64], rate_hz: float = 250.0) -> Record:
    signal_mv = np.atleast_2d(signal_mv)
    return Record(
        id="made",
        patient_id="p",
        signal_mv=signal_mv,
        rate_hz=rate_hz,
        leads=tuple(f"lead {index}" for index in range(len(signal_mv))),
        age=None,
        sex=None,
    )


def _beat_times(seconds: float) -> NDArray[np.float64]:
    intervals = 0.8 + 0.08 * np.sin(np.arange(int(seconds / 0.8)))
    times = np.cumsum(intervals)
    return times[times < seconds - 0.5]


def _ecg(seconds: float = 30.0, rate_hz: float = 250.0, seed: int = 0) -> NDArray[np.float64]:
    """Return float64 [time]: QRS complexes with T and P waves, a wandering baseline, noise."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    noise = np.random.default_rng(seed).normal(0, 0.02, len(time))
    signal = noise + 0.2 * np.sin(2 * np.pi * 0.3 * time)
    waves = ((1.0, 0.0, 0.012), (-0.2, 0.03, 0.01), (0.25, 0.28, 0.05), (0.1, -0.16, 0.022))
    for beat in _beat_times(seconds):
        for height, shift, width in waves:
            signal += height * np.exp(-0.5 * ((time - beat - shift) / width) ** 2)
    return signal


def _beat_samples(seconds: float = 30.0, rate_hz: float = 250.0) -> NDArray[np.int64]:
    return np.rint(_beat_times(seconds) * rate_hz).astype(np.int64)


def _furthest(beats: Beats, expected: NDArray[np.int64]) -> int:
    """Return the largest distance in samples, having paired every beat."""
    assert len(beats) == len(expected)
    i, j = match_beats(beats.sample, expected, 1000)
    return int(np.abs(beats.sample[i] - expected[j]).max())


@both
@pytest.mark.parametrize("rate_hz", [100.0, 128.0, 257.3, 360.0, 1000.0])
def test_every_beat_is_found_at_its_peak_at_any_rate(detector: Detector, rate_hz: float) -> None:
    beats = detect_beats(_record(_ecg(rate_hz=rate_hz), rate_hz), detector)
    assert _furthest(beats, _beat_samples(rate_hz=rate_hz)) <= 0.012 * rate_hz
    assert beats.sample.dtype == np.int64
    assert set(beats.symbol.tolist()) == {""}


@both
def test_beats_that_point_downwards_are_found_at_their_peak(detector: Detector) -> None:
    assert _furthest(detect_beats(_record(-_ecg()), detector), _beat_samples()) <= 3


@both
def test_a_first_lead_of_mere_noise_is_not_believed(detector: Detector) -> None:
    noise = np.random.default_rng(1).normal(0, 0.5, 7500)
    beats = detect_beats(_record(np.stack([noise, _ecg()])), detector)
    assert _furthest(beats, _beat_samples()) <= 3


@both
def test_noise_that_changes_electrodes_costs_no_beat(detector: Detector) -> None:
    signal = np.stack([_ecg(), _ecg(seed=1)])
    noise = np.random.default_rng(2).normal(0, 1.0, 3750)
    signal[0, :3750] += noise
    signal[1, 3750:] += noise
    found = detect_beats(_record(signal), detector).sample
    counts = count_detections(found, _beat_samples(), 250.0)
    assert counts.missed + counts.extra <= 1  # the change falls into a window


@both
def test_a_blocked_p_wave_is_no_beat(detector: Detector) -> None:
    time = np.arange(7500) / 250
    signal = np.random.default_rng(0).normal(0, 0.005, len(time))
    expected = np.arange(1.0, 29.0, 1.6)
    for beat in expected:
        signal += 1.5 * np.exp(-0.5 * ((time - beat) / 0.012) ** 2)
        for p_wave in (beat - 0.16, beat + 0.64):
            signal += 0.2 * np.exp(-0.5 * ((time - p_wave) / 0.022) ** 2)
    beats = detect_beats(_record(signal), detector)
    assert _furthest(beats, np.rint(expected * 250).astype(np.int64)) <= 3


@both
def test_no_beat_is_found_in_a_long_gap_and_every_one_around_it(detector: Detector) -> None:
    signal = _ecg()
    signal[3000:4000] = np.nan
    expected = _beat_samples()
    expected = expected[(expected < 2950) | (expected > 4050)]
    found = detect_beats(_record(signal), detector).sample
    assert not ((found >= 3000) & (found < 4000)).any()
    assert len(match_beats(found, expected, 5)[0]) == len(expected)


@both
def test_a_gap_in_one_lead_leaves_the_other(detector: Detector) -> None:
    signal = np.stack([_ecg(), _ecg(seed=1)])
    signal[0, 3000:4000] = np.nan
    assert _furthest(detect_beats(_record(signal), detector), _beat_samples()) <= 3


@both
def test_short_gaps_between_beats_change_nothing(detector: Detector) -> None:
    signal = _ecg()
    for beat in _beat_samples():
        signal[beat + 100 : beat + 110] = np.nan
    assert _furthest(detect_beats(_record(signal), detector), _beat_samples()) <= 3


@both
@pytest.mark.parametrize(
    "signal_mv",
    [
        np.zeros((2, 5000)),
        np.full((1, 5000), 3.3),
        np.full((2, 5000), np.nan),
        np.zeros((1, 0)),
        np.zeros((0, 5000)),
        _ecg(0.9)[None],
    ],
    ids=["flat", "constant", "invalid", "no samples", "no leads", "less than a second"],
)
def test_nothing_is_found_where_nothing_is(
    detector: Detector, signal_mv: NDArray[np.float64]
) -> None:
    beats = detect_beats(_record(signal_mv), detector)
    assert len(beats) == 0
    assert beats.sample.dtype == np.int64


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    detector=st.sampled_from(DETECTORS),
    samples=st.integers(0, 9000),
    leads=st.integers(1, 3),
    rate_hz=st.sampled_from([50.0, 99.5, 360.0, 2000.0]),
    scale=st.sampled_from([1e-9, 1.0, 1e9]),
    kind=st.sampled_from(["noise", "steps", "spikes", "wave"]),
    invalid=st.sampled_from([0.0, 0.01, 0.6, 1.0]),
)
def test_whatever_the_signal_beats_are_in_order_inside_and_never_twice(
    seed: int,
    detector: Detector,
    samples: int,
    leads: int,
    rate_hz: float,
    scale: float,
    kind: str,
    invalid: float,
) -> None:
    generator = np.random.default_rng(seed)
    noise = generator.normal(0, scale, (leads, samples))
    signal = {
        "noise": noise,
        "steps": np.sign(noise).cumsum(axis=1) * scale,
        "spikes": np.where(generator.random(noise.shape) < 0.01, noise, 0),
        "wave": scale * np.sin(np.arange(samples) * generator.uniform(0, 1, (leads, 1))),
    }[kind]
    signal[generator.random(signal.shape) < invalid] = np.nan
    found = detect_beats(_record(signal, rate_hz), detector).sample
    assert (np.diff(found) > 0).all()
    assert ((found >= 0) & (found < samples)).all()


def test_an_unknown_detector_is_refused_by_its_nearest_name() -> None:
    with pytest.raises(DataError, match="no detector called 'xqr'") as caught:
        detect_beats(_record(_ecg()), "xqr")  # type: ignore[arg-type]
    assert "xqrs" in caught.value.hint


def test_an_absent_neurokit_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "neurokit2", None)
    with pytest.raises(DataError, match="neurokit2, which is not installed") as caught:
        detect_beats(_record(_ecg()), "neurokit")
    assert "pip install neurokit2" in caught.value.hint


@pytest.mark.parametrize("rate_hz", [49.0, 0.0, float("nan"), 1e6])
def test_a_rate_at_which_nobody_records_is_refused(rate_hz: float) -> None:
    with pytest.raises(DataError, match=r"record made is sampled at .* Hz, expected 50 to"):
        detect_beats(_record(_ecg(), rate_hz), "xqrs")


# Of MIT-BIH: an easy one, P waves higher than the QRS complex (108), blocked P waves (231).
@both
@pytest.mark.parametrize(("name", "most_errors"), [("100", 1), ("108", 12), ("231", 0)])
def test_few_beats_of_five_minutes_of_mitdb_are_missed(
    mitdb_source: Path, detector: Detector, name: str, most_errors: int
) -> None:
    record = read_wfdb_record(mitdb_source, name, patient_id=name)
    assert record.beats is not None
    stop = round(300 * record.rate_hz)
    excerpt = Record(
        id=name,
        patient_id=name,
        signal_mv=record.signal_mv[:, :stop],
        rate_hz=record.rate_hz,
        leads=record.leads,
        age=None,
        sex=None,
    )
    annotated = record.beats.sample[record.beats.sample < stop]
    counts = count_detections(detect_beats(excerpt, detector).sample, annotated, record.rate_hz)
    assert counts.missed + counts.extra <= most_errors
