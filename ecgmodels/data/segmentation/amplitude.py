"""Is this an ECG in millivolts? Wrong units are found here, and leads without a signal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.recordings.records import MV_PER_UNIT, Record
from ecgmodels.errors import DataError

# A lead's median distance from its median is 0.005 to 0.71 mV in the recordings at hand of MIT-BIH,
# PTB-XL, LUDB and the Challenges of 2017 and 2020. Microvolts or ADC units read as millivolts are
# above this range, volts read as millivolts below.
PLAUSIBLE_MV = (0.001, 10.0)


def check_amplitude(record: Record) -> None:
    """Raise DataError where the median absolute value around the median is no ECG's in mV.

    One lead above the range is enough. Below it must be every lead that is not flat: a single weak
    lead may be an electrode that came off for most of the time.
    """
    measured = {
        name: _median_absolute_value(lead)
        for name, lead, flat in zip(
            record.leads, record.signal_mv, is_flat(record.signal_mv), strict=True
        )
        if not flat
    }
    if not measured:
        return
    smallest_mv, largest_mv = PLAUSIBLE_MV
    lead = max(measured, key=measured.__getitem__)
    if smallest_mv <= measured[lead] <= largest_mv:
        return
    unit = record.units.get(lead, "mV")
    raise DataError(
        f"record {record.id}, lead {lead}: the median absolute value is "
        f"{_in_unit(measured[lead], unit)} by the unit declared ({unit}), expected "
        f"{smallest_mv:g} to {largest_mv:g} mV",
        hint=f"{_likely_cause(measured[lead], unit)}: correct gain and unit in the record's "
        "header, or leave the record out",
    )


def _in_unit(value_mv: float, unit: str) -> str:
    """Write a value in the unit that was declared, and in millivolts where that is another."""
    mv_per_unit = MV_PER_UNIT.get(unit.lower(), 1.0)
    if mv_per_unit == 1.0:
        return f"{_shown(value_mv)} mV"
    return f"{_shown(value_mv / mv_per_unit)} {unit} = {_shown(value_mv)} mV"


def _shown(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:,.0f}"


def _likely_cause(value_mv: float, unit: str) -> str:
    """Say what such a median absolute value in `unit` usually comes from."""
    if value_mv == 0:
        return "every lead stands still for more than half of the recording"
    if value_mv < PLAUSIBLE_MV[0]:
        if unit.lower() == "mv":
            return "volts read as millivolts are 1000 times too small"
        return f"numbers of a larger unit (mV, say) declared as {unit} are too small"
    if unit.lower() == "mv":
        return "microvolts or ADC units read as millivolts are 1000 times or more too large"
    return f"ADC units or numbers of a smaller unit declared as {unit} are too large"


def is_flat(signal_mv: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return bool [lead]: constant, or without any valid sample."""
    # fmin and fmax pass NaN over, and say nothing where there is nothing else.
    least, most = np.fmin.reduce(signal_mv, axis=1), np.fmax.reduce(signal_mv, axis=1)
    return ~(most > least)


def flat_leads(record: Record, canonical: Sequence[str]) -> tuple[str, ...]:
    """Return those of the canonical names, one a lead of the record, whose lead is flat."""
    flat = is_flat(record.signal_mv).tolist()
    return tuple(name for name, still in zip(canonical, flat, strict=True) if still)


def _median_absolute_value(lead: NDArray[np.float64]) -> float:
    valid = lead[~np.isnan(lead)]
    return float(np.median(np.abs(valid - np.median(valid))))
