"""MIT-BIH Arrhythmia Database 1.0.0 (Moody & Mark 2001, https://physionet.org/content/mitdb/).

Labels and split follow de Chazal, O'Dwyer & Reilly, "Automatic classification of heartbeats using
ECG morphology and heartbeat interval features", IEEE Trans Biomed Eng 51(7), 2004.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from ecgmodels.configs import Config
from ecgmodels.data.databases.base import (
    Database,
    Recordings,
    Task,
    beat_task,
    count_codes,
    register,
    require_source,
)
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.recordings.wfdb_records import read_beats, read_wfdb_record
from ecgmodels.errors import DataError

# fmt: off
DS1 = (
    "101", "106", "108", "109", "112", "114", "115", "116", "118", "119", "122",
    "124", "201", "203", "205", "207", "208", "209", "215", "220", "223", "230",
)
DS2 = (
    "100", "103", "105", "111", "113", "117", "121", "123", "200", "202", "210",
    "212", "213", "214", "219", "221", "222", "228", "231", "232", "233", "234",
)
# fmt: on

# Six of DS1's 22 patients. One record can be a class: 209 has 383 of DS1's 944 S beats and 208 has
# 373 of its 415 F, so both stay in training, and validation takes the S of three other patients:
#        114   118   119   122   207   223    validation   DS1     share
#   N   1820  2166  1543  2476  1543  2045      11,593    45,866    25%
#   S     12    96     0     0   107    73         288       944    31%
#   V     43    16   444     0   210   473       1,186     3,788    31%
#   F      4     0     0     0     0    14          18       415     4%
# Training keeps the S-rich 209 (383), 201 (128), 220 (94) and 124 (31), and with 201 nearly all
# aberrated beats. Both sides have left (109; 207) and right (124; 118) bundle branch block.
VALIDATION = ("114", "118", "119", "122", "207", "223")

_PACED = "paced rhythm, left out of AAMI evaluation (ANSI/AAMI EC57)"
_SAME_MAN = ("201", "202")


# de Chazal's mapping; WFDB's own variant counts escape beats from above the ventricles as S.
AAMI_CODES = {"N": "NLRej", "S": "AaJS", "V": "VE", "F": "F", "Q": "/fQ"}
_WFDB = {"N": "NLR", "S": "AaJSejn", "V": "VE", "F": "F", "Q": "/fQ"}
_TASKS = {
    "de-chazal": (AAMI_CODES, "NSVF"),
    "de-chazal-5": (AAMI_CODES, "NSVFQ"),
    "wfdb": (_WFDB, "NSVF"),
    "wfdb-5": (_WFDB, "NSVFQ"),
}


@register
class MITBIH(Database):
    """48 half-hour recordings of 47 people with every beat annotated; four are paced."""

    name = "mitdb"
    title = "MIT-BIH Arrhythmia Database"
    version = "1.0.0"
    tasks = tuple(_TASKS)

    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return the 44 recordings of DS1 and DS2, each beat one of N, S, V, F (and Q)."""
        require_source(source)
        codes, kept = _TASKS[task]
        return _Recordings(
            source,
            beat_task(task, codes, kept),
        )


class _Recordings(Recordings):
    # The second electrode position differs between records (V1, V2, V4, V5); the manifest says.
    leads = ("MLII", "second")
    official_splits = ("de-chazal", "de-chazal-strict")

    def __init__(self, source: Path, task: Task) -> None:
        self._source = source
        self.task = task

    @property
    def record_ids(self) -> tuple[str, ...]:
        """All 44 records of DS1 and DS2; DataError names the first file that is missing."""
        records = tuple(sorted(DS1 + DS2))
        for record_id in records:
            for suffix in (".hea", ".dat", ".atr"):
                path = self._source / f"{record_id}{suffix}"
                if not path.is_file():
                    raise DataError(
                        f"record {record_id} is incomplete: {path} is missing",
                        hint="de Chazal's split needs all 44 records of DS1 and DS2; "
                        "download the whole database from https://physionet.org/content/mitdb/",
                    )
        return records

    @property
    def excluded(self) -> Mapping[str, str]:
        """The four records with paced beats."""
        return dict.fromkeys(("102", "104", "107", "217"), _PACED)

    def patient_of(self, record_id: str) -> str:
        """Return the record id, except that 201 and 202 are the same man."""
        return _SAME_MAN[0] if record_id in _SAME_MAN else record_id

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return class -> annotated beats."""
        return count_codes(read_beats(self._source, record_id), self.task.codes)

    def read(self, record_id: str) -> Record:
        """Read a record with MLII first; record 114 stores it second."""
        record = read_wfdb_record(self._source, record_id, patient_id=self.patient_of(record_id))
        if len(record.leads) != 2 or "MLII" not in record.leads:
            raise DataError(
                f"record {record_id} has the leads {', '.join(record.leads)}, "
                "expected MLII and another",
                hint="read the original files of MIT-BIH 1.0.0",
            )
        order = sorted(range(2), key=lambda index: record.leads[index] != "MLII")
        return replace(
            record,
            signal_mv=record.signal_mv[order],
            leads=tuple(record.leads[index] for index in order),
        )

    def official_split(self, name: str) -> Split:
        """Return DS1 less `VALIDATION`, `VALIDATION`, DS2; the strict split trains on 202, too."""
        moved = {"202"} if name == "de-chazal-strict" else set()
        train = (set(DS1) - set(VALIDATION)) | moved
        return Split(
            train=tuple(sorted(train)),
            validation=VALIDATION,
            test=tuple(sorted(set(DS2) - moved)),
        )

    def shared_patients(self, split_name: str) -> tuple[tuple[str, ...], ...]:
        """Return 201 (DS1) and 202 (DS2), unless the split is strict."""
        return (_SAME_MAN,) if split_name == "de-chazal" else ()
