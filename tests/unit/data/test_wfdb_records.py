from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgmodels.data.recordings.wfdb_header import read_header
from ecgmodels.data.recordings.wfdb_records import age_and_sex, read_wfdb_record
from ecgmodels.errors import DataError

RECORD = "r"
SAMPLES = 14_400


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """A folder with one recording of 40 s: two leads of format 212, a beat each second."""
    stored = np.random.default_rng(0).integers(900, 1100, (SAMPLES, 2))
    wfdb.wrsamp(
        RECORD,
        fs=360,
        units=["mV", "mV"],
        sig_name=["MLII", "V1"],
        d_signal=stored,
        fmt=["212", "212"],
        adc_gain=[200, 200],
        baseline=[1024, 1024],
        comments=["69 M 1085 1629 x1", "Digoxin"],
        write_dir=str(tmp_path),
    )
    beats = np.arange(100, SAMPLES, 360)
    symbols = ["+", *["N"] * (len(beats) - 1)]
    wfdb.wrann(RECORD, "atr", beats, symbol=symbols, write_dir=str(tmp_path))
    return tmp_path


def test_a_recording_is_read_with_its_beats_and_whose_it_is(recordings: Path) -> None:
    record = read_wfdb_record(recordings, RECORD, patient_id="p")
    assert (record.id, record.patient_id, record.rate_hz) == (RECORD, "p", 360.0)
    assert (record.leads, record.age, record.sex) == (("MLII", "V1"), 69.0, "male")
    assert record.labels is None
    assert record.beats is not None
    assert record.beats.sample.tolist() == list(range(460, SAMPLES, 360))
    expected = wfdb.rdrecord(str(recordings / RECORD)).p_signal.T
    np.testing.assert_array_equal(record.signal_mv, expected)
    assert record.signal_mv.flags.c_contiguous
    assert record.signal_mv.dtype == np.float64


def test_a_recording_that_nobody_annotated_has_no_beats(recordings: Path) -> None:
    (recordings / f"{RECORD}.atr").unlink()
    assert read_wfdb_record(recordings, RECORD, patient_id="p", annotations=None).beats is None


def test_beats_may_come_from_a_file_of_another_suffix(recordings: Path) -> None:
    (recordings / f"{RECORD}.atr").rename(recordings / f"{RECORD}.ecg")
    record = read_wfdb_record(recordings, RECORD, patient_id="p", annotations="ecg")
    assert record.beats is not None
    assert len(record.beats) == 39


def test_a_recording_may_lie_in_a_folder_below(recordings: Path) -> None:
    record = read_wfdb_record(recordings.parent, f"{recordings.name}/{RECORD}", patient_id="p")
    assert record.signal_mv.shape == (2, SAMPLES)


@pytest.mark.parametrize("suffix", [".hea", ".dat", ".atr"])
def test_a_missing_file_is_named(recordings: Path, suffix: str) -> None:
    path = recordings / f"{RECORD}{suffix}"
    path.unlink()
    with pytest.raises(DataError, match=f"{path} is missing"):
        read_wfdb_record(recordings, RECORD, patient_id="p")


def test_a_file_that_may_not_be_looked_at_is_not_called_missing(recordings: Path) -> None:
    recordings.chmod(0)
    me = os.geteuid()
    if me == 0:  # who may look at everything
        os.seteuid(65_534)
    try:
        with pytest.raises(DataError, match=r"r\.hea cannot be read: Permission denied"):
            read_wfdb_record(recordings, RECORD, patient_id="p")
    finally:
        os.seteuid(me)
        recordings.chmod(0o700)


def test_a_truncated_signal_file_is_named_with_both_sizes(recordings: Path) -> None:
    path = recordings / f"{RECORD}.dat"
    path.write_bytes(path.read_bytes()[:-999])  # 40 s at 360 Hz, 2 leads of 1.5 bytes: 43,200
    with pytest.raises(
        DataError, match=rf"{path} is cut short: .* promises 43,200 bytes, found 42,201"
    ):
        read_wfdb_record(recordings, RECORD, patient_id="p")


def test_annotations_that_end_early_are_named(recordings: Path) -> None:
    path = recordings / f"{RECORD}.atr"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=f"{path} ends before its end mark"):
        read_wfdb_record(recordings, RECORD, patient_id="p")


def test_annotations_beyond_the_signal_are_refused(recordings: Path) -> None:
    wfdb.wrann(RECORD, "atr", np.array([100, 20_000]), symbol=["N", "N"], write_dir=str(recordings))
    with pytest.raises(DataError, match=r"beats at samples 100 to 20000, the recording has 14400"):
        read_wfdb_record(recordings, RECORD, patient_id="p")


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        (["69 M 1085 1629 x1", "Aldomet"], (69.0, "male")),
        ([" 75 F 1011 654 x1"], (75.0, "female")),
        (["-1 M 742 654 x1"], (None, "male")),
        (["Digoxin"], (None, None)),
        ([], (None, None)),
        (["Age: 74", "Sex: Female", "Dx: 426783006"], (74.0, "female")),
        (["<age>: 51", "<sex>: M"], (51.0, "male")),
        (["Age: 0", "Sex: male"], (0.0, "male")),
        (["Age: NaN", "Sex: Unknown"], (None, None)),
        (["Age: -1", "Sex:"], (None, None)),
        (["Age: 300"], (None, None)),  # PTB-XL's "over 89"
        (["Age: 74.5 years"], (None, None)),
    ],
)
def test_age_and_sex_come_from_the_comments_and_what_is_unknown_is_none(
    tmp_path: Path, comments: list[str], expected: tuple[float | None, str | None]
) -> None:
    path = tmp_path / "r.hea"
    path.write_text("r 1 360 10\nr.dat 16\n" + "".join(f"#{comment}\n" for comment in comments))
    assert age_and_sex(read_header(path)) == expected


def test_reading_needs_neither_wfdb_nor_pandas(recordings: Path) -> None:
    """Each worker process would wait half a second for them."""
    program = f"""
import sys
from pathlib import Path
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record
read_wfdb_record(Path({str(recordings)!r}), {RECORD!r}, patient_id="p")
print(sorted({{"wfdb", "pandas"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
