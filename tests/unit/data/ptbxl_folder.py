"""A folder like PTB-XL, made up row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ecgmodels.data.databases import Recordings, open_recordings
from ecgmodels.data.databases.ptbxl import PTBXLSettings

LEADS = ("I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6")

STATEMENTS = """\
,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NDT,non-diagnostic T abnormalities,1.0,1.0,,STTC,STTC
NORM,normal ECG,1.0,,,NORM,NORM
IMI,inferior myocardial infarction,1.0,,,MI,IMI
ABQRS,abnormal QRS,,1.0,,,
SR,sinus rhythm,,,1.0,,
"""
COLUMNS = (
    "ecg_id",
    "patient_id",
    "age",
    "sex",
    "height",
    "weight",
    "scp_codes",
    "strat_fold",
    "filename_lr",
    "filename_hr",
)


def write_recording(path: Path, rate_hz: int, leads: tuple[str, ...] = LEADS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = np.arange(rate_hz * len(leads)).reshape(rate_hz, len(leads)) % 1000
    path.with_suffix(".dat").write_bytes(samples.astype("<i2").tobytes())
    lines = [f"{path.name} {len(leads)} {rate_hz} {rate_hz}"]
    lines += [f"{path.name}.dat 16 1000.0(0)/mV 16 0 0 0 0 {lead.upper()}" for lead in leads]
    path.with_suffix(".hea").write_text("\n".join(lines) + "\n")


class Folder:
    """A folder like PTB-XL, whose table a test writes row by row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, str]] = []
        (path / "scp_statements.csv").write_text(STATEMENTS)

    def add(self, **cells: str) -> Folder:
        """Add a recording; cells that are not given are plain ones."""
        number = len(self.rows) + 1
        name = f"00000/{number:05}"
        plain = dict.fromkeys(COLUMNS, "") | {
            "ecg_id": str(number),
            "patient_id": f"{number}.0",
            "age": "56.0",
            "sex": "1",
            "scp_codes": "{'NORM': 100.0, 'SR': 0.0}",
            "strat_fold": str(number),
            "filename_lr": f"records100/{name}_lr",
            "filename_hr": f"records500/{name}_hr",
        }
        write_recording(self.path / f"records100/{name}_lr", 100)
        self.rows.append(plain | cells)
        return self

    def open(self, task: str = "superclass", **settings: float) -> Recordings:
        pd.DataFrame(self.rows, columns=list(COLUMNS)).to_csv(
            self.path / "ptbxl_database.csv", index=False
        )
        return open_recordings("ptbxl", self.path, task, PTBXLSettings(**settings))
