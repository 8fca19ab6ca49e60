from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ecgmodels.data.recordings.records import MV_PER_UNIT, Record
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record
from ecgmodels.data.segmentation.amplitude import check_amplitude, flat_leads
from ecgmodels.data.segmentation.segment import segment_record
from ecgmodels.errors import DataError
from tests.made_recordings import RHYTHM, made_record, resolved

NAMES = ("I", "II", "V1")


def _record(*leads: NDArray[np.float64]) -> Record:
    return made_record(signal_mv=np.stack(leads), leads=NAMES[: len(leads)], labels=("N",))


def _ecg(scale: float = 1.0) -> NDArray[np.float64]:
    return scale * made_record().signal_mv[0]


def test_microvolts_read_as_millivolts_are_refused_by_name_value_and_unit() -> None:
    with pytest.raises(
        DataError,
        match=r"record r1, lead II: the median absolute value is 1\d\d\.?\d* mV by the unit "
        r"declared \(mV\), expected 0\.001 to 10 mV",
    ) as caught:
        check_amplitude(_record(_ecg(), _ecg(1000)))
    assert "microvolts" in caught.value.hint


@pytest.mark.parametrize(
    ("unit", "scale", "value", "cause"),
    [
        ("uV", 1000, r"1\d\d,\d{3} uV = 1\d\d\.?\d* mV", "a smaller unit declared as uV"),
        ("uV", 0.001, r"0\.1\d+ uV = 0\.0001\d+ mV", "a larger unit .* declared as uV"),
        ("V", 1000, r"0\.1\d+ V = 1\d\d\.?\d* mV", "a smaller unit declared as V"),
    ],
)
def test_the_value_is_told_in_the_unit_that_was_declared_and_in_millivolts(
    unit: str, scale: float, value: str, cause: str
) -> None:
    record = replace(_record(_ecg(scale), _ecg(scale)), units={"I": unit, "II": unit})
    with pytest.raises(
        DataError,
        match=rf"is {value} by the unit declared \({unit}\), expected 0\.001 to 10 mV",
    ) as caught:
        check_amplitude(record)
    assert re.search(cause, caught.value.hint)


def test_leads_that_were_put_in_order_keep_their_units() -> None:
    record = replace(_record(_ecg(), _ecg(1000)), units={"I": "mV", "II": "uV"})
    turned = replace(record, signal_mv=record.signal_mv[::-1], leads=record.leads[::-1])
    with pytest.raises(DataError, match=r"lead II: .* uV = .* mV by the unit declared \(uV\)"):
        check_amplitude(turned)


@pytest.mark.parametrize("unit", ["V", "mV", "MV", "uV", "\u00b5V", "\u03bcV", "nV"])
def test_the_unit_of_a_header_is_that_of_the_message(tmp_path: Path, unit: str) -> None:
    """The one table of units is held against the reading of headers, which has another."""
    stored = (100 * _ecg()).astype(np.int16)
    (tmp_path / "r.dat").write_bytes(stored.astype("<i2").tobytes())
    header = f"r 1 100 {len(stored)}\nr.dat 16 1/{unit} 16 0 0 0 0 II\n"
    (tmp_path / "r.hea").write_text(header, encoding="utf-8")
    record = read_wfdb_record(tmp_path, "r", patient_id="p", annotations=None)
    assert record.units == {"II": unit}
    np.testing.assert_allclose(record.signal_mv[0], stored * MV_PER_UNIT[unit.lower()])


def test_volts_read_as_millivolts_are_refused() -> None:
    with pytest.raises(DataError, match=r"record r1, lead \w+: .* is 0\.000\d+ mV") as caught:
        check_amplitude(_record(_ecg(0.001), _ecg(0.001), np.zeros(1000)))
    assert "volts read as millivolts" in caught.value.hint


def test_a_recording_that_mostly_stands_still_is_refused_as_such() -> None:
    lead = np.zeros(1000)
    lead[:100] = _ecg()[:100]
    with pytest.raises(DataError, match="is 0 mV") as caught:
        check_amplitude(_record(lead))
    assert "stands still for more than half" in caught.value.hint


def test_one_weak_lead_among_good_ones_is_not_an_error() -> None:
    check_amplitude(_record(_ecg(), _ecg(0.001)))


def test_an_offset_is_not_an_amplitude() -> None:
    check_amplitude(_record(_ecg() + 300))


def test_constant_and_invalid_leads_are_reported_and_not_an_error() -> None:
    record = _record(np.full(1000, np.nan), _ecg(), np.full(1000, 0.3))
    check_amplitude(record)
    assert flat_leads(record, ("first", "second", "third")) == ("first", "third")


def test_a_lead_that_is_constant_where_it_is_valid_is_flat() -> None:
    lead = np.full(1000, 0.3)
    lead[200:900] = np.nan
    assert flat_leads(_record(lead, _ecg()), ("I", "II")) == ("I",)


@pytest.mark.parametrize("filter_hz", ["none", (0.5, 40.0)])
def test_an_invalid_lead_is_zero_in_segments_that_are_kept(filter_hz: object) -> None:
    options = resolved(RHYTHM, recorded=NAMES[:2], filter_hz=filter_hz)
    segments = segment_record(_record(np.full(1000, np.nan), _ecg()), options, RHYTHM)
    assert segments.rejected == {}
    assert segments.bridged_samples == 0
    assert not segments.signal_uv[:, 0].any()
    assert segments.signal_uv[:, 1].any()


def test_a_recording_of_flat_leads_alone_is_rejected_whole() -> None:
    record = _record(np.full(1000, np.nan), np.zeros(1000))
    options = resolved(RHYTHM, recorded=NAMES[:2], crop_s=4)
    segments = segment_record(record, options, RHYTHM)
    assert len(segments) == 0
    assert segments.signal_uv.shape == (0, 2, 400)
    assert segments.rejected == {"every lead flat or invalid": 3}
