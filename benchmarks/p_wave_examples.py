"""Beats of LUDB and MIT-BIH of which it is known whether a P wave goes before them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.recordings.beat_matching import TOLERANCE_S, match_beats
from ecgmodels.data.recordings.records import Beats, Record
from ecgmodels.data.recordings.wfdb_annotations import read_annotations
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record

DATA = Path(os.environ.get("ECG_DATA_ROOT", Path(__file__).parents[2] / "shared" / "data"))
LEADS = ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6")


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """What is known of the beats of a record.

    expected: float64 [beat], 1 where there is a P wave, 0 where there is none, NaN where nobody
        says.
    pr_interval_s: float64 [beat], NaN where it is not marked.
    fibrillating: bool [beat], in atrial fibrillation (in MIT-BIH also flutter).
    """

    expected: NDArray[np.float64]
    pr_interval_s: NDArray[np.float64]
    fibrillating: NDArray[np.bool_]

    def only(self, kept: NDArray[np.bool_]) -> Truth:
        """Return the same with nothing expected of the other beats."""
        return replace(self, expected=np.where(kept, self.expected, np.nan))


@dataclass(frozen=True, kw_only=True, eq=False)
class Example:
    """A record, its annotated beats, and what is known of them."""

    record: Record
    beats: Beats
    truth: Truth


def ludb_example(name: int, leads: tuple[str, ...] = LEADS) -> Example:
    folder = DATA / "ludb" / "data"
    record = read_wfdb_record(folder, str(name), patient_id=str(name), annotations=None)
    order = [[lead.lower() for lead in record.leads].index(lead) for lead in leads]
    sample, symbol = read_annotations(folder, str(name), "ii")
    beats = sample[symbol == "N"]
    has_p, pr_interval_s = np.zeros(len(beats)), np.full((len(LEADS), len(beats)), np.nan)
    for row, lead in zip(pr_interval_s, LEADS, strict=True):
        for beat, interval in _marked(*read_annotations(folder, str(name), lead), beats, 500.0):
            has_p[beat] += 1
            row[beat] = interval
    expected = (has_p >= len(LEADS) / 2).astype(float)
    expected[0] = np.nan
    header = (folder / f"{name}.hea").read_text()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # beats without a P wave in any lead
        median_s = np.nanmedian(pr_interval_s, axis=0)
    return Example(
        record=replace(
            record,
            signal_mv=record.signal_mv[order],
            leads=tuple(record.leads[index] for index in order),
        ),
        beats=Beats(sample=beats, symbol=np.full(len(beats), "")),
        truth=Truth(
            expected=expected,
            pr_interval_s=median_s,
            fibrillating=np.full(len(beats), "Atrial fibrillation" in header),
        ),
    )


def _marked(
    sample: NDArray[np.int64],
    symbol: NDArray[np.str_],
    beats: NDArray[np.int64],
    rate_hz: float,
) -> Iterator[tuple[int, float]]:
    """Yield the index of each beat with a marked P wave, and the PR interval in seconds."""
    (places,) = np.nonzero(symbol == "N")
    pairs = zip(*match_beats(sample[places], beats, TOLERANCE_S * rate_hz), strict=True)
    for index, beat in pairs:
        since = places[index - 1] if index else 0
        p_waves = since + np.flatnonzero(symbol[since : places[index]] == "p")
        if len(p_waves):
            starts = [place - 1 for place in (places[index], p_waves[-1])]
            marked = all(symbol[start] == "(" for start in starts)
            seconds = (sample[starts[0]] - sample[starts[1]]) / rate_hz
            yield int(beat), float(seconds) if marked else np.nan


def mitdb_example(name: str) -> Example:
    import wfdb

    folder = DATA / "mitdb"
    record = read_wfdb_record(folder, name, patient_id=name)
    marks = wfdb.rdann(str(folder / name), "atr")
    changes = [place for place, symbol in enumerate(marks.symbol) if symbol == "+"]
    rhythms = np.array([marks.aux_note[place].strip("\0") for place in changes])
    beats = record.beats
    assert beats is not None
    since = np.searchsorted(marks.sample[changes], beats.sample, side="right") - 1
    rhythm = rhythms[since.clip(0)]
    fibrillating = np.isin(rhythm, ("(AFIB", "(AFL"))
    ventricular = beats.symbol == "V"
    sinus = np.isin(rhythm, ("(N", "(SBR", "(BII")) & np.isin(beats.symbol, ("N", "L", "R"))
    expected = np.full(len(beats), np.nan)
    expected[sinus] = 1.0
    expected[fibrillating | ventricular] = 0.0
    return Example(
        record=record,
        beats=beats,
        truth=Truth(
            expected=expected,
            pr_interval_s=np.full(len(beats), np.nan),
            fibrillating=fibrillating,
        ),
    )
