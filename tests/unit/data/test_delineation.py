"""P waves found in made signals where they are known, in damaged ones, and in LUDB."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ecgmodels.data.recordings import delineation
from ecgmodels.data.recordings.delineation import EVIDENCE, find_p_waves, p_wave_evidence
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.recordings.wfdb_annotations import read_annotations
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record
from ecgmodels.data.segmentation.features import FEATURES, FeatureContext
from ecgmodels.errors import DataError

RATE_HZ = 360.0
COUNT = 24
P_PEAK_S, P_SD_S, R_SD_S = -0.16, 0.022, 0.012
NO_P = np.zeros(COUNT, dtype=np.bool_)


@pytest.fixture(scope="module")
def ludb_folder() -> Path:
    default = Path(__file__).parents[4] / "shared" / "data"
    folder = Path(os.environ.get("ECG_DATA_ROOT", default)) / "ludb" / "data"
    if not folder.is_dir():
        pytest.skip(f"no LUDB recordings in {folder} (set ECG_DATA_ROOT)")
    return folder


def _beats(samples: NDArray[np.int64]) -> Beats:
    return Beats(sample=samples, symbol=np.full(len(samples), ""))


def _record(signal_mv: NDArray[np.float64], rate_hz: float = RATE_HZ) -> Record:
    return Record(
        id="made",
        patient_id="p",
        signal_mv=signal_mv,
        rate_hz=rate_hz,
        leads=tuple(f"lead {index}" for index in range(len(signal_mv))),
        age=None,
        sex=None,
    )


def _ecg(
    with_p: NDArray[np.bool_] | None = None,
    *,
    p_peak_s: NDArray[np.float64] | float = P_PEAK_S,
    fibrillating: bool = False,
    seed: int = 0,
) -> tuple[Record, Beats]:
    """Return two leads of beats 0.85 s apart; `with_p` tells which have a P wave, else all."""
    generator = np.random.default_rng(seed)
    rr_sd_s = 0.15 if fibrillating else 0.03
    times = 0.6 + np.cumsum((0.85 + rr_sd_s * generator.standard_normal(COUNT)).clip(0.5))
    time = np.arange(round((times[-1] + 1) * RATE_HZ)) / RATE_HZ
    waves = np.zeros((2, len(time)))
    heights = np.where(np.ones(COUNT, bool) if with_p is None else with_p, 0.15, 0.0)
    peaks = np.broadcast_to(np.asarray(p_peak_s, dtype=float), COUNT)
    for beat, height, peak in zip(times, heights, peaks, strict=True):
        for size, shift, sd in (
            (height, peak, P_SD_S),
            (1.2, 0.0, R_SD_S),
            (-0.25, 0.028, 0.01),
            (0.3, 0.26, 0.045),
        ):
            wave = size * np.exp(-0.5 * ((time - beat - shift) / sd) ** 2)
            waves += wave * np.array([[1.0], [0.6]])
    if fibrillating:
        waves += 0.08 * np.sin(2 * np.pi * np.cumsum(generator.normal(6, 9, len(time))) / RATE_HZ)
    waves += generator.normal(0, 0.015, waves.shape)
    return _record(waves), _beats(np.rint(times * RATE_HZ).astype(np.int64))


def test_p_waves_are_found_with_the_interval_they_were_drawn_at() -> None:
    found = find_p_waves(*_ecg())
    assert found.known.all()
    assert found.present.all()
    # Two standard deviations before their peaks, P and R waves begin.
    drawn_s = (2 * P_SD_S - P_PEAK_S) - 2 * R_SD_S
    np.testing.assert_allclose(found.pr_interval_s, drawn_s, atol=0.02)


def test_a_p_wave_that_comes_60_ms_earlier_lengthens_the_interval_by_as_much() -> None:
    near, far = (
        find_p_waves(*_ecg(p_peak_s=peak_s)).pr_interval_s for peak_s in (P_PEAK_S, P_PEAK_S - 0.06)
    )
    assert np.median(far - near) == pytest.approx(0.06, abs=0.006)


def test_the_interval_follows_a_single_beat() -> None:
    peak_s = np.full(COUNT, P_PEAK_S)
    peak_s[12] -= 0.032
    interval_s = find_p_waves(*_ecg(p_peak_s=peak_s)).pr_interval_s
    assert interval_s[12] - np.median(interval_s) == pytest.approx(0.032, abs=0.009)


def test_beats_without_p_waves_have_none_and_no_interval() -> None:
    found = find_p_waves(*_ecg(NO_P))
    assert found.known.all()
    assert not found.present.any()
    assert np.isnan(found.pr_interval_s).all()


@pytest.mark.parametrize("seed", range(5))
def test_fibrillatory_waves_are_no_p_waves(seed: int) -> None:
    found = find_p_waves(*_ecg(NO_P, fibrillating=True, seed=seed))
    assert found.present.mean() <= 0.15


def test_a_beat_without_a_p_wave_is_told_from_its_neighbours() -> None:
    with_p = np.ones(COUNT, dtype=np.bool_)
    with_p[[7, 15]] = False
    np.testing.assert_array_equal(find_p_waves(*_ecg(with_p)).present, with_p)


def test_p_waves_in_one_lead_are_enough() -> None:
    record, beats = _ecg()
    noise = np.random.default_rng(3).normal(0, 0.3, record.signal_mv.shape[1])
    found = find_p_waves(_record(np.stack([noise, record.signal_mv[0]])), beats)
    assert found.present.mean() > 0.9


def test_an_unconnected_lead_changes_nothing() -> None:
    record, beats = _ecg()
    unconnected = np.full((1, record.signal_mv.shape[1]), np.nan)
    alone = find_p_waves(record, beats)
    together = find_p_waves(_record(np.concatenate([unconnected, record.signal_mv])), beats)
    np.testing.assert_array_equal(together.present, alone.present)
    np.testing.assert_array_equal(together.pr_interval_s, alone.pr_interval_s)


def test_nothing_is_known_before_the_record_begins_and_in_a_gap() -> None:
    record, beats = _ecg()
    signal_mv = record.signal_mv[:, beats.sample[0] - 40 :].copy()
    sample = beats.sample - beats.sample[0] + 40  # 0.11 s before the first beat's R peak
    signal_mv[1, sample[9] - 150 : sample[9] - 60] = np.nan
    found = find_p_waves(_record(signal_mv), _beats(sample))
    assert np.flatnonzero(~found.known).tolist() == [0, 9]
    assert not found.present[[0, 9]].any()
    assert np.isnan(found.pr_interval_s[[0, 9]]).all()


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_nothing_is_known_of_fewer_than_four_beats(count: int) -> None:
    record, beats = _ecg()
    found = find_p_waves(record, _beats(beats.sample[:count]))
    assert len(found.present) == len(found.known) == len(found.pr_interval_s) == count
    assert not found.known.any()


def test_long_records_are_done_in_parts_that_cannot_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = find_p_waves(*_ecg())
    monkeypatch.setattr(delineation, "_BLOCK", 5)
    monkeypatch.setattr(delineation, "_BLOCK_MARGIN", 17)
    parts = find_p_waves(*_ecg())
    np.testing.assert_array_equal(parts.present, whole.present)
    np.testing.assert_array_equal(parts.pr_interval_s, whole.pr_interval_s)


def test_a_rate_too_low_for_a_qrs_complex_is_refused() -> None:
    record, beats = _ecg()
    with pytest.raises(DataError, match=r"sampled at 40 Hz, expected 50 to"):
        find_p_waves(_record(record.signal_mv, 40.0), beats)


@pytest.mark.parametrize("samples", [1, 2, 7, 8, 9])
def test_nothing_is_known_of_a_record_of_some_milliseconds(samples: int) -> None:
    record = _record(np.zeros((2, samples)), 1000.0)
    beats = _beats(np.zeros(4, dtype=np.int64))
    assert not find_p_waves(record, beats).known.any()


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    samples=st.integers(0, 3000),
    rate_hz=st.sampled_from([50.0, 99.5, 1000.0]),
    scale=st.sampled_from([0.0, 1e-9, 1e9]),
    invalid=st.sampled_from([0.0, 0.01, 1.0]),
    data=st.data(),
)
def test_whatever_the_signal_there_is_an_answer_for_each_beat(
    seed: int, samples: int, rate_hz: float, scale: float, invalid: float, data: st.DataObject
) -> None:
    generator = np.random.default_rng(seed)
    signal = generator.normal(0, scale, (2, samples))
    signal[generator.random(signal.shape) < invalid] = np.nan
    places = st.lists(st.integers(0, max(0, samples - 1)), max_size=30 if samples else 0)
    beats = _beats(np.array(sorted(data.draw(places)), dtype=np.int64))
    record = _record(signal, rate_hz)
    found = find_p_waves(record, beats)
    assert found.present.shape == found.known.shape == found.pr_interval_s.shape == (len(beats),)
    assert not (found.present & ~found.known).any()
    assert np.isnan(found.pr_interval_s[~found.present]).all()
    evidence = p_wave_evidence(record, beats)
    assert evidence.shape == (len(beats), len(EVIDENCE))
    assert np.isfinite(evidence[found.known]).all()


def test_features_are_what_was_found() -> None:
    with_p = np.ones(COUNT, dtype=np.bool_)
    with_p[15] = False
    record, beats = _ecg(with_p)
    found = find_p_waves(record, beats)
    context = FeatureContext(
        record=record, beats=beats, start=beats.sample - 100, stop=beats.sample, p_waves=found
    )
    np.testing.assert_array_equal(FEATURES["p_wave"].compute(context), with_p)
    interval_s = FEATURES["pr_interval_s"].compute(context)
    assert np.flatnonzero(np.isnan(interval_s)).tolist() == [15]


def test_features_of_a_crop_are_those_of_its_known_beats() -> None:
    with_p = np.arange(COUNT) < 18
    record, beats = _ecg(with_p)
    found = find_p_waves(record, beats)
    start = np.array([0, beats.sample[15] + 1, beats.sample[-1] + 1])
    stop = np.array([beats.sample[12], beats.sample[21] + 1, beats.sample[-1] + 2])
    context = FeatureContext(record=record, beats=beats, start=start, stop=stop, p_waves=found)
    share = FEATURES["p_wave_share"].compute(context)
    np.testing.assert_allclose(share, [1.0, 1 / 3, np.nan])
    interval_s = FEATURES["median_pr_interval_s"].compute(context)
    assert interval_s[0] == np.median(found.pr_interval_s[:12])
    assert np.isnan(interval_s[2])


# Of LUDB, with the marks of lead II: sinus rhythm (1 to 7), atrial fibrillation (8, 44, 51, 95).
def test_p_waves_that_cardiologists_marked_are_found(ludb_folder: Path) -> None:
    shares = [_share_with_p_waves(ludb_folder, name) for name in ("1", "2", "4", "5", "7")]
    assert np.mean(shares) > 0.95


def test_fibrillating_hearts_have_no_p_waves(ludb_folder: Path) -> None:
    shares = [_share_with_p_waves(ludb_folder, name) for name in ("8", "44", "51", "95")]
    assert np.mean(shares) < 0.1


def _share_with_p_waves(folder: Path, name: str) -> float:
    record = read_wfdb_record(folder, name, patient_id=name, annotations=None)
    sample, symbol = read_annotations(folder, name, "ii")
    return float(find_p_waves(record, _beats(sample[symbol == "N"])).present[1:].mean())
