"""Made-up recordings: what is in them, read back from their files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ecgmodels.data import Record, Recordings, write_synthetic_recordings
from ecgmodels.data.databases import open_recordings
from ecgmodels.data.recordings.leads import CANONICAL_12
from ecgmodels.errors import DataError


@pytest.fixture(scope="module")
def twelve_leads(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    folder = tmp_path_factory.mktemp("twelve")
    write_synthetic_recordings(folder, records=14, seconds_per_record=60, leads=12)
    return open_recordings("synthetic", folder, "rhythm")


def of_rhythm(recordings: Recordings, rhythm: str) -> list[Record]:
    return [
        recordings.read(record)
        for record in recordings.record_ids
        if recordings.class_counts(record) == {rhythm: 1}
    ]


def beats_of(record: Record, symbol: str) -> np.ndarray:
    assert record.beats is not None
    return record.beats.sample[record.beats.symbol == symbol]


@pytest.mark.parametrize("leads", [1, 2, 8, 12])
def test_a_recording_has_the_leads_asked_for(leads: int, tmp_path: Path) -> None:
    write_synthetic_recordings(tmp_path, records=8, seconds_per_record=30, leads=leads)
    recordings = open_recordings("synthetic", tmp_path)
    assert len(recordings.leads) == leads
    record = recordings.read(recordings.record_ids[0])
    assert record.signal_mv.shape == (leads, 30 * 360)
    assert (np.ptp(record.signal_mv, axis=1) > 0.2).all()


def test_the_twelve_leads_obey_einthoven_and_goldberger(twelve_leads: Recordings) -> None:
    record = twelve_leads.read(twelve_leads.record_ids[0])
    assert twelve_leads.leads == CANONICAL_12
    lead = dict(zip(CANONICAL_12, record.signal_mv, strict=True))
    least_step_mv = 1 / 200
    np.testing.assert_allclose(lead["III"], lead["II"] - lead["I"], atol=2 * least_step_mv)
    np.testing.assert_allclose(lead["aVR"], -(lead["I"] + lead["II"]) / 2, atol=2 * least_step_mv)
    np.testing.assert_allclose(lead["aVL"] + lead["aVR"] + lead["aVF"], 0.0, atol=3 * least_step_mv)


def test_ventricular_beats_are_wider_than_normal_ones(twelve_leads: Recordings) -> None:
    record = of_rhythm(twelve_leads, "ventricular")[0]
    width = {}
    for symbol in "NV":
        centres = beats_of(record, symbol)[1:-1]
        windows = record.signal_mv[1, centres[:, None] + np.arange(-50, 51)]
        shape = np.abs(np.median(windows - np.median(windows, axis=1, keepdims=True), axis=0))
        width[symbol] = int((shape > shape.max() / 2).sum())
    assert width["V"] > 1.5 * width["N"]


def test_fibrillation_has_no_p_waves_and_irregular_intervals(twelve_leads: Recordings) -> None:
    record = of_rhythm(twelve_leads, "fibrillation")[0]
    assert record.beats is not None
    sample, symbol = record.beats.sample, record.beats.symbol
    third = len(sample) // 3
    parts = [slice(third + 3, 2 * third - 3), slice(3, third - 3)]
    fibrillating, sinus = (sample[part][symbol[part] == "N"] for part in parts)
    spread = []
    for part in parts:
        follows_normal = (symbol[part][1:] == "N") & (symbol[part][:-1] == "N")
        intervals = np.diff(sample[part])[follows_normal]
        spread.append(intervals.std() / intervals.mean())
    assert spread[0] > 1.5 * spread[1]
    before_qrs = np.arange(-72, -43)  # around 160 ms before the R peak
    p_wave = []
    for part in (fibrillating, sinus):
        average = record.signal_mv[1, part[:, None] + before_qrs].mean(axis=0)
        p_wave.append(np.ptp(average - np.linspace(average[0], average[-1], len(average))))
    assert p_wave[1] > 2 * p_wave[0]


def test_equal_seeds_give_equal_files_and_others_do_not(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        write_synthetic_recordings(tmp_path / name, records=8, seconds_per_record=30, seed=seed)
    files = {
        name: {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in "abc"
    }
    assert files["a"] == files["b"]
    assert files["a"] != files["c"]


def test_a_number_of_leads_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="leads is 3, expected one of 1, 2, 8, 12"):
        write_synthetic_recordings(tmp_path, leads=3)


def test_a_header_without_a_rhythm_is_named(tmp_path: Path) -> None:
    write_synthetic_recordings(tmp_path, records=8, seconds_per_record=30)
    header = tmp_path / "s000a.hea"
    header.write_text(header.read_text().replace("Rhythm: sinus", "Rhythm: tango"))
    with pytest.raises(DataError, match=r"s000a\.hea names the rhythm 'tango'"):
        open_recordings("synthetic", tmp_path, "rhythm").class_counts("s000a")
