"""Synthetic recordings in WFDB files with beat and rhythm annotations, age and sex.

With two leads they have MIT-BIH's form. Every recording also says its rhythm or conduction in its
header, so that whole recordings can be told apart, not beats alone.

Age and sex shape rate, amplitude, QRS width, QT and the number of premature beats as they do in
people, roughly: a QRS as wide as is usual at 85 is not at 30, so a model that is told age and sex
has something to gain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from ecgmodels.data.recordings.leads import (
    CANONICAL_12,
    INDEPENDENT_8,
    with_derived_limb_leads,
)
from ecgmodels.data.recordings.records import Sex
from ecgmodels.data.synthetic.waveforms import (
    DRAWN_LEADS,
    RATE_HZ,
    Waveform,
    draw_beats,
    draw_noise,
    fibrillatory_waves,
)
from ecgmodels.errors import DataError

LEAST_SECONDS = 30.0
LEAST_RECORDS = 8

_ADC_UNITS_PER_MV, _ADC_ZERO = 200, 1024  # MIT-BIH's own
LEADS: Mapping[int, tuple[str, ...]] = {
    1: ("MLII",),
    2: ("MLII", "V1"),
    8: INDEPENDENT_8,
    12: CANONICAL_12,
}
"""How many leads a recording may have -> their names; MLII is drawn as II."""

RHYTHMS = ("sinus", "atrial", "ventricular", "fibrillation", "block", "fusion")

# RR before the beat and after it, as fractions of the patient's mean: a ventricular premature beat
# is followed by a compensatory pause, an atrial one resets the sinus node.
_PREMATURITY = {"A": (0.72, 1.08), "V": (0.62, 1.38), "F": (0.90, 1.08)}


@dataclass(frozen=True, kw_only=True)
class _Patient:
    name: str
    age: float
    sex: Sex
    rhythm: str
    rr_s: float
    """Mean RR interval in sinus rhythm."""
    waveform: Waveform


def write_synthetic_recordings(
    folder: Path,
    *,
    records: int = 30,
    seconds_per_record: float = 300.0,
    leads: int = 2,
    seed: int = 0,
) -> tuple[str, ...]:
    """Write recordings for `DATABASES["synthetic"]`; return their names, as listed in RECORDS.

    Every recording has N, S (A), V and F beats, at 360 Hz. Every eighth patient has two recordings.
    Equal arguments give equal files.

    Args:
        folder: made if need be, must be empty.
        records: number of recordings, at least 8.
        seconds_per_record: at least 30.
        leads: 1, 2, 8 or 12, see `LEADS`.
        seed: a whole number of at least 0.

    Raises:
        DataError: an argument is out of range, or the folder is not empty.
    """
    if records < LEAST_RECORDS or seconds_per_record < LEAST_SECONDS or seed < 0:
        raise DataError(
            f"records {records}, seconds_per_record {seconds_per_record:g}, seed {seed}: expected "
            f"at least {LEAST_RECORDS}, {LEAST_SECONDS:g} and 0",
            hint="ask for more or longer recordings: each split needs patients with every class",
        )
    if leads not in LEADS:
        raise DataError(
            f"leads is {leads}, expected one of {', '.join(map(str, LEADS))}",
            hint="12 are the standard leads, 8 those that the others follow from",
        )
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise DataError(
            f"the folder {folder} is not empty", hint="choose another folder, or empty this one"
        )
    names: list[str] = []
    while len(names) < records:
        number = _patient_number(len(names))
        patient = _draw_patient(number, leads, np.random.default_rng([seed, number]))
        recording = sum(name.startswith(patient.name) for name in names)
        name = patient.name + "ab"[recording]
        generator = np.random.default_rng([seed, number, recording])
        _write_recording(folder, name, patient, seconds_per_record, leads, generator)
        names.append(name)
    (folder / "RECORDS").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    return tuple(names)


def _patient_number(recording: int) -> int:
    """Return the patient of a recording by its number: patients 3, 11, 19 ... have two."""
    eight_patients, rest = divmod(recording, 9)
    return 8 * eight_patients + (rest if rest <= 3 else rest - 1)


def _draw_patient(number: int, leads: int, generator: Generator) -> _Patient:
    drawn = min(leads, len(DRAWN_LEADS))
    age = float(generator.integers(22, 90))
    sex: Sex = "female" if generator.random() < 0.5 else "male"
    female = sex == "female"
    rhythm = RHYTHMS[number % len(RHYTHMS)]
    amplitude = 1.2 - 0.2 * female - 0.004 * (age - 50)
    waveform = Waveform(
        block=rhythm == "block",
        gain=amplitude * generator.uniform(0.7, 1.3, drawn),
        ventricular_gain=generator.uniform(0.5, 1.1, drawn) * generator.choice([1, 1, -1], drawn),
        ventricular_width=generator.uniform(0.7, 1.1),
        qrs_width=(1.0 - 0.08 * female + 0.008 * (age - 50)) * generator.uniform(0.95, 1.05),
        qt=(1.0 + 0.06 * female + 0.001 * (age - 50)) * generator.uniform(0.97, 1.03),
        muscle_mv=generator.uniform(0.015, 0.05),
    )
    return _Patient(
        name=f"s{number:03d}",
        age=age,
        sex=sex,
        rhythm=rhythm,
        rr_s=60 / (generator.normal(70, 7) + 5 * female),
        waveform=waveform,
    )


def _write_recording(
    folder: Path,
    name: str,
    patient: _Patient,
    seconds: float,
    leads: int,
    generator: Generator,
) -> None:
    import wfdb

    drawn = len(patient.waveform.gain)
    samples = round(seconds * RATE_HZ)
    symbols, rr_s, fibrillating = _rhythm(patient, seconds, generator)
    beats = np.round(np.cumsum(rr_s) * RATE_HZ).astype(np.int64)
    kept = beats < samples - RATE_HZ // 10
    symbols, rr_s = symbols[kept], rr_s[kept]
    fibrillating, beats = fibrillating[kept], beats[kept]

    signal_mv = draw_beats(patient.waveform, symbols, rr_s, fibrillating, beats, samples, generator)
    signal_mv += draw_noise(drawn, samples, patient.waveform.muscle_mv, generator)
    if fibrillating.any():
        start, stop = beats[fibrillating][[0, -1]]
        signal_mv[:, start:stop] += fibrillatory_waves(drawn, stop - start, generator)
    digital = np.clip(
        np.round(_in_leads(signal_mv, leads) * _ADC_UNITS_PER_MV) + _ADC_ZERO, -2047, 2047
    )

    # One patient in twelve has no age, as 2 of MIT-BIH's 48 records.
    age = -1 if patient.name.endswith(("05", "17")) else round(patient.age)
    wfdb.wrsamp(
        name,
        fs=RATE_HZ,
        units=["mV"] * leads,
        sig_name=list(LEADS[leads]),
        d_signal=digital.T.astype(np.int64),
        fmt=["212"] * leads,
        adc_gain=[_ADC_UNITS_PER_MV] * leads,
        baseline=[_ADC_ZERO] * leads,
        comments=[
            f"{age} {patient.sex[0].upper()} 0 0 x1",
            "Synthetic",
            f"Rhythm: {patient.rhythm}",
        ],
        write_dir=str(folder),
    )
    _write_annotations(folder, name, symbols, beats, fibrillating)


def _in_leads(drawn_mv: NDArray[np.float64], leads: int) -> NDArray[np.float64]:
    """Return float64 [lead, time] of `LEADS[leads]` from [drawn lead, time]."""
    if leads <= 2:
        return drawn_mv
    eight = drawn_mv[[DRAWN_LEADS.index(lead) for lead in INDEPENDENT_8]]
    return with_derived_limb_leads(eight) if leads == 12 else eight


def _write_annotations(
    folder: Path,
    name: str,
    symbols: NDArray[np.str_],
    beats: NDArray[np.int64],
    fibrillating: NDArray[np.bool_],
) -> None:
    """Write the beats, and a rhythm mark wherever the rhythm changes."""
    import wfdb

    changes = np.flatnonzero(np.diff(fibrillating, prepend=not fibrillating[0]))
    # A mark stands a few samples before its first beat; two may not share a sample.
    marks = [(int(beats[i]) - 3, "+", "(AFIB" if fibrillating[i] else "(N") for i in changes]
    rows = sorted(marks + [(int(b), str(s), "") for b, s in zip(beats, symbols, strict=True)])
    wfdb.wrann(
        name,
        "atr",
        np.array([sample for sample, _, _ in rows]),
        symbol=[symbol for _, symbol, _ in rows],
        aux_note=[note for _, _, note in rows],
        write_dir=str(folder),
    )


def _rhythm(
    patient: _Patient, seconds: float, generator: Generator
) -> tuple[NDArray[np.str_], NDArray[np.float64], NDArray[np.bool_]]:
    """Return symbol, RR interval before [s] and "in atrial fibrillation", each [beat]."""
    count = int(seconds / patient.rr_s)
    symbols = np.full(count, "R" if patient.rhythm == "block" else "N")
    number = np.arange(count)
    fibrillating = (patient.rhythm == "fibrillation") & (abs(number - count // 2) < count // 6)

    # Every third beat may be premature, so that each has a normal one on either side.
    places = generator.permutation(np.arange(3, count - 2, 3))
    sinus_places = places[~fibrillating[places]]
    with_age = 0.5 + patient.age / 100
    atrial = _how_many(0.10 if patient.rhythm == "atrial" else 0.02, with_age, count, 2, places)
    symbols[sinus_places[:atrial]] = "A"
    places = np.setdiff1d(places, sinus_places[:atrial])
    generator.shuffle(places)
    for symbol, rate, least in (
        ("V", 0.10 if patient.rhythm == "ventricular" else 0.02, 2),
        ("F", 0.05 if patient.rhythm == "fusion" else 0.008, 1),
    ):
        chosen = places[: _how_many(rate, with_age, count, least, places)]
        symbols[chosen] = symbol
        places = places[len(chosen) :]

    breathing = 0.04 * np.sin(2 * np.pi * 0.25 * patient.rr_s * number)
    fraction = 1 + breathing * (1 - patient.age / 120) + generator.normal(0, 0.015, count)
    fraction[fibrillating] = 0.8 * generator.lognormal(0, 0.22, fibrillating.sum()).clip(0.5, 1.9)
    for symbol, (before, after) in _PREMATURITY.items():
        premature = np.flatnonzero(symbols == symbol)
        fraction[premature] = before * generator.normal(1, 0.06, len(premature))
        fraction[premature + 1] = after * generator.normal(1, 0.02, len(premature))
    fraction[0] = generator.uniform(0.25, 0.5)
    return symbols, fraction * patient.rr_s, fibrillating


def _how_many(rate: float, factor: float, beats: int, least: int, places: NDArray[np.int64]) -> int:
    return min(max(least, round(rate * factor * beats)), max(least, len(places) // 2))
