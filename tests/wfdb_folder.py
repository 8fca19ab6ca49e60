"""A small folder of WFDB records with a table, as a user might bring it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb

RATE_HZ = 250
HEADER = "record,patient,label,age,sex,site,height_cm"
LINES = (
    "ward1/a01,P1,AF,71,female,A,160",
    "ward1/a02,P1,normal,72,F,A,160",
    "ward1/a03,P2,normal,,male,B,",
    "ward2/b01,P3,AF,55,m,B,181.5",
    "ward2/b02,P4,normal,60,,A,170",
    "ward2/b03,P5,normal,34,female,,165",
    "ward2/b04,P6,AF,80,male,A,175",
    "ward2/b05,P7,normal,41,female,B,158",
)


def write_wfdb_folder(folder: Path, lines: tuple[str, ...] = LINES, header: str = HEADER) -> Path:
    """Write records of two leads and 12 s, one with its leads the other way round, and a table."""
    (folder / "records.csv").write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    for number, line in enumerate(lines):
        record = line.split(",")[0]
        write_record(folder, record, seed=number, leads=("II", "V1") if number else ("V1", "II"))
    return folder


def write_record(
    folder: Path, record: str, *, seed: int, leads: tuple[str, ...] = ("II", "V1")
) -> None:
    """Write one record with a beat a second; lead II is twice as large as the others."""
    path = folder / f"{record}.hea"
    path.parent.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    samples = 12 * RATE_HZ
    beats = np.arange(RATE_HZ // 2, samples - RATE_HZ // 4, RATE_HZ)
    shape = np.exp(-0.5 * ((np.arange(samples)[:, None] - beats) / (0.02 * RATE_HZ)) ** 2).sum(1)
    signal = [
        (2.0 if lead == "II" else 1.0) * shape + generator.normal(0, 0.02, samples)
        for lead in leads
    ]
    wfdb.wrsamp(
        path.stem,
        fs=RATE_HZ,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        p_signal=np.stack(signal, axis=1),
        fmt=["16"] * len(leads),
        adc_gain=[1000.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(path.parent),
    )
    symbols = [
        "V" if index % 5 == 4 else "S" if index % 7 == 3 else "N" for index in range(len(beats))
    ]
    wfdb.wrann(path.stem, "atr", beats, symbol=symbols, write_dir=str(path.parent))
