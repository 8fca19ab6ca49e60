from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgmodels.data.recordings.wfdb_records import age_and_sex, read_beats, read_wfdb_record
from ecgmodels.errors import DataError

RECORD = "s000a"


@pytest.mark.parametrize("suffix", [".hea", ".dat", ".atr"])
def test_a_missing_file_is_named(recordings: Path, suffix: str) -> None:
    path = recordings / f"{RECORD}{suffix}"
    path.unlink()
    with pytest.raises(DataError, match=f"{path} is missing"):
        read_wfdb_record(recordings, RECORD, patient_id="p")


def test_a_truncated_signal_file_is_named_with_both_sizes(recordings: Path) -> None:
    path = recordings / f"{RECORD}.dat"
    path.write_bytes(path.read_bytes()[:-999])  # 40 s at 360 Hz, 2 leads of 1.5 bytes: 43,200
    with pytest.raises(
        DataError, match=rf"{path} is cut short: .* promises 43,200 bytes, found 42,201"
    ):
        read_wfdb_record(recordings, RECORD, patient_id="p")


@pytest.mark.parametrize(
    "content", [b"\x93\xff\x00\x10garbage", b"", b"s000a two 360 x\n", b"s000a 2 360\n"]
)
def test_a_header_that_is_none_is_named(recordings: Path, content: bytes) -> None:
    path = recordings / f"{RECORD}.hea"
    path.write_bytes(content)
    with pytest.raises(DataError, match=str(path)):
        read_wfdb_record(recordings, RECORD, patient_id="p")


def test_annotations_that_end_early_are_named(recordings: Path) -> None:
    path = recordings / f"{RECORD}.atr"
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(DataError, match=f"{path} ends before its end mark"):
        read_beats(recordings, RECORD)


def test_annotations_beyond_the_signal_are_refused(recordings: Path) -> None:
    wfdb.wrann(RECORD, "atr", np.array([100, 20_000]), symbol=["N", "N"], write_dir=str(recordings))
    with pytest.raises(DataError, match=r"beats at samples 100 to 20000, the recording has 14400"):
        read_wfdb_record(recordings, RECORD, patient_id="p")


def test_a_unit_that_is_no_voltage_is_refused(recordings: Path) -> None:
    header = recordings / f"{RECORD}.hea"
    header.write_text(header.read_text().replace("/mV", "/mmHg"))
    with pytest.raises(DataError, match="'mmHg', expected a voltage"):
        read_wfdb_record(recordings, RECORD, patient_id="p")


def test_microvolts_become_millivolts(recordings: Path) -> None:
    in_mv = read_wfdb_record(recordings, RECORD, patient_id="p").signal_mv
    header = recordings / f"{RECORD}.hea"
    header.write_text(header.read_text().replace("/mV", "/uV"))
    in_uv = read_wfdb_record(recordings, RECORD, patient_id="p").signal_mv
    np.testing.assert_allclose(in_uv * 1000, in_mv)


def test_rhythm_marks_are_no_beats(recordings: Path) -> None:
    annotation = wfdb.rdann(str(recordings / RECORD), "atr")
    beats = read_beats(recordings, RECORD)
    assert "+" in annotation.symbol
    assert len(beats) == sum(symbol != "+" for symbol in annotation.symbol)
    assert (np.diff(beats.sample) > 0).all()


def test_the_invalid_value_of_format_212_is_nan(recordings: Path) -> None:
    stored = wfdb.rdrecord(str(recordings / RECORD), physical=False)
    stored.d_signal[1000:1010, 1] = -2048
    wfdb.wrsamp(
        RECORD,
        fs=360,
        units=stored.units,
        sig_name=stored.sig_name,
        d_signal=stored.d_signal,
        fmt=stored.fmt,
        adc_gain=stored.adc_gain,
        baseline=stored.baseline,
        write_dir=str(recordings),
    )
    signal_mv = read_wfdb_record(recordings, RECORD, patient_id="p").signal_mv
    assert np.flatnonzero(np.isnan(signal_mv[1])).tolist() == list(range(1000, 1010))
    assert not np.isnan(signal_mv[0]).any()


@pytest.mark.parametrize(
    ("comments", "expected"),
    [
        (["69 M 1085 1629 x1", "Aldomet"], (69.0, "male")),
        ([" 75 F 1011 654 x1"], (75.0, "female")),
        (["-1 M 742 654 x1"], (None, "male")),
        (["Digoxin"], (None, None)),
        ([], (None, None)),
    ],
)
def test_age_and_sex_come_from_the_first_comment(
    comments: list[str], expected: tuple[float | None, str | None]
) -> None:
    assert age_and_sex(comments) == expected
