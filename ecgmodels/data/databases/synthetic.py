"""Recordings made by `ecgmodels.data.synthetic.recordings`, for demonstrations and tests.

Its files are WFDB like any other: what it teaches a model means nothing, but every step from the
files to the shards is the real one.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ecgmodels.data.databases.base import Database, mapping_from_codes, register, require_source
from ecgmodels.data.preparation.splits import Split
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.recordings.wfdb_records import read_wfdb_record
from ecgmodels.data.synthetic.waveforms import LEADS
from ecgmodels.errors import DataError

# Patients are dealt out in this order; the generator gives every patient S, V and F beats and
# goes through its rhythms in another period, so that each part has patients rich in each.
_DEAL = ("train", "validation", "train", "test", "train")


@register
class Synthetic(Database):
    """A folder written by `write_synthetic_recordings`."""

    name = "synthetic"
    title = "Synthetic ECG recordings"
    version = "1"
    leads = LEADS
    classes = ("N", "S", "V", "F")
    default_classes = classes
    scored_classes = ("N", "S", "V")
    mappings = {  # noqa: RUF012
        "aami": mapping_from_codes({"N": "NLR", "S": "A", "V": "V", "F": "F"})
    }
    split_names = ("patients",)

    def record_ids(self, source: Path) -> tuple[str, ...]:
        """Return the records listed in the folder's RECORDS file."""
        require_source(source)
        listing = source / "RECORDS"
        if not listing.is_file():
            raise DataError(
                f"{listing} is missing",
                hint="give a folder written by write_synthetic_recordings",
            )
        return tuple(sorted(listing.read_text(encoding="utf-8").split()))

    def patient_of(self, record_id: str) -> str:
        """Return the record id without the letter that tells a patient's recordings apart."""
        return record_id[:-1]

    def read(self, source: Path, record_id: str) -> Record:
        """Read a record; its leads are stored in canonical order."""
        return read_wfdb_record(source, record_id, patient_id=self.patient_of(record_id))

    def fixed_split(self, record_ids: Sequence[str], name: str) -> Split:
        """Deal the patients out in order of their names: of five, three train."""
        patients = sorted({self.patient_of(record_id) for record_id in record_ids})
        part_of = {patient: _DEAL[index % len(_DEAL)] for index, patient in enumerate(patients)}
        parts = {
            part: tuple(
                record_id
                for record_id in sorted(record_ids)
                if part_of[self.patient_of(record_id)] == part
            )
            for part in set(_DEAL)
        }
        return Split(**parts)
