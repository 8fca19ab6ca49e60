"""PhysioNet/CinC Challenges 2020 and 2021: 12-lead recordings of eight databases in one format.

Perez Alday et al., "Classification of 12-lead ECGs: the PhysioNet/Computing in Cardiology Challenge
2020", Physiol Meas 41(12), 2020; Reyna et al., "Will Two Do? Varying Dimensions in
Electrocardiography: the PhysioNet/Computing in Cardiology Challenge 2021", CinC 48, 2021;
https://physionet.org/content/challenge-2021/1.0.3/.

Diagnoses are SNOMED CT codes in the header's `#Dx`, any number a recording. A class is the
challenges' abbreviation of its code (`snomed.py`), and a recording with diagnoses of which none is
a class of the task is a negative example of all of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from ecgmodels.configs import Config
from ecgmodels.data.databases.base import Database, Recordings, Task, register, require_source
from ecgmodels.data.databases.snomed import CODINGS, Coding
from ecgmodels.data.recordings.leads import CANONICAL_12, lead_order
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.recordings.wfdb_files import read_bytes
from ecgmodels.data.recordings.wfdb_header import Header, read_header
from ecgmodels.data.recordings.wfdb_records import age_and_sex
from ecgmodels.data.recordings.wfdb_signal import read_signal
from ecgmodels.errors import DataError

_UNLABELLED = "no diagnosis (#Dx is empty)"

_DX = re.compile(r"^[ \t#]*Dx[ \t]*:(.*)$", re.IGNORECASE | re.MULTILINE)
# SNOMED CT identifiers have 6 to 18 digits (SNOMED CT Release File Specifications, "SCTID").
_CODE = re.compile(r"[0-9]{6,18}")

# The headers first released for Georgia (E00001...) state 4880 units a millivolt. The samples are
# microvolts in steps of 4.88, and later releases state 1000 over the same samples and checksums.
_GEORGIA = re.compile(r"E\d{5}")
_FIRST_GAIN, _TRUE_GAIN = 4880.0, 1000.0


@dataclass(frozen=True, kw_only=True)
class CinC2020Settings(Config):
    """How headers are read that are known to be wrong."""

    correct_gain: bool = True
    """Read Georgia's first gain, 4880 units a millivolt, as the 1000 of later releases. As stated,
    those recordings are 4.88 times too small."""


@register
class CinC2020(Database):
    """Up to 88,253 recordings of 5 s to 30 min, at 257, 500 or 1000 Hz, of eight databases."""

    name = "cinc2020"
    title = "PhysioNet/CinC Challenges 2020 and 2021"
    version = "1.0.3"
    tasks = tuple(CODINGS)
    settings = CinC2020Settings
    defaults = MappingProxyType(
        {
            "rate_hz": 100.0,  # one rate for all; it keeps what the filter up to 40 Hz lets through
            "crop_s": 10.0,  # the length of some 9 in 10 recordings
            # A recording is labelled with what any part of it shows, and the benchmark of
            # Strodthoff et al. (IEEE J Biomed Health Inform 25(5), 2021) takes the maximum, too.
            "score": "max",
        }
    )

    def open(self, source: Path, task: str, settings: Config) -> Recordings:
        """Return every recording in the folder and the folders below it."""
        require_source(source, "the .hea and .mat files, itself or in folders below")
        assert isinstance(settings, CinC2020Settings)
        coding = CODINGS[task]
        return _Recordings(
            source,
            Task(
                name=task,
                labels="record",
                classes=coding.classes,
                default_classes=coding.classes,
                # Most of the other codes are too rare for a mean over all of them to say much.
                scored_classes=CODINGS["scored-2021"].classes if task == "all" else coding.classes,
                multi_label=True,
            ),
            coding,
            correct_gain=settings.correct_gain,
        )


class _Recordings(Recordings):
    leads = CANONICAL_12
    patients_known = False

    def __init__(self, source: Path, task: Task, coding: Coding, *, correct_gain: bool) -> None:
        self._source = source
        self.task = task
        self._coding = coding
        self._correct_gain = correct_gain
        self._labels: dict[str, tuple[str, ...] | None] = {}

    @cached_property
    def record_ids(self) -> tuple[str, ...]:
        """The recordings with a diagnosis, by name of their file.

        Raises:
            DataError: two folders have a record of one name, or there is none at all.
        """
        return tuple(record for record in self._folders if record not in self.excluded)

    @cached_property
    def excluded(self) -> Mapping[str, str]:
        """The recordings without a diagnosis; reads every header once."""
        return {
            record: _UNLABELLED for record in self._folders if self._labels_if_sound(record) is None
        }

    @property
    def notes(self) -> tuple[str, ...]:
        """Which recordings' gain was corrected."""
        if not self._correct_gain:
            return ()
        corrected = [
            record
            for record in self._folders
            if _GEORGIA.fullmatch(record) and self._has_first_gain(record)
        ]
        if not corrected:
            return ()
        shown = ", ".join(corrected[:5]) + (", ..." if len(corrected) > 5 else "")
        return (
            f"{len(corrected):,} headers of Georgia's first release state 4880 units a mV where "
            f"the samples have 1000: read as 1000 ({shown}); --no-correct-gain keeps it",
        )

    def patient_of(self, record_id: str) -> str:
        """Return the record id: the challenges do not say whose a recording is."""
        return record_id

    def class_counts(self, record_id: str) -> Mapping[str, int]:
        """Return 1 for each class that the recording has."""
        return dict.fromkeys(self._labels_if_sound(record_id) or (), 1)

    def read(self, record_id: str) -> Record:
        """Read a record with the twelve leads in their customary order."""
        header = self._header(record_id)
        labels = self._labels_in(record_id, "\n".join(header.comments))
        order = lead_order(
            [spec.name for spec in header.signals], CANONICAL_12, where=f"record {record_id}"
        )
        age, sex = age_and_sex(header)
        return Record(
            id=record_id,
            patient_id=record_id,
            signal_mv=read_signal(self._folders[record_id], header)[order],
            rate_hz=header.rate_hz,
            leads=CANONICAL_12,
            age=age,
            sex=sex,
            labels=labels,
            units={
                lead: header.signals[place].unit
                for lead, place in zip(CANONICAL_12, order, strict=True)
            },
        )

    @cached_property
    def _folders(self) -> Mapping[str, Path]:
        """Record id -> the folder of its files, sorted by record id."""
        folders: dict[str, Path] = {}
        for folder, record_id in _scan(self._source):
            if folders.setdefault(record_id, folder) != folder:
                raise DataError(
                    f"record {record_id} is in two folders, {folders[record_id]} and {folder}",
                    hint="keep one of them, or give the folder of one database as the source",
                )
        if not folders:
            raise DataError(
                f"{self._source} holds no record (.hea)",
                hint="give the folder of the challenge's training data",
            )
        return dict(sorted(folders.items()))

    def _path(self, record_id: str) -> Path:
        return self._folders[record_id] / f"{record_id}.hea"

    def _has_first_gain(self, record_id: str) -> bool:
        try:
            return any(
                spec.gain == _FIRST_GAIN for spec in read_header(self._path(record_id)).signals
            )
        except DataError:
            return False  # `read` says what is wrong

    def _header(self, record_id: str) -> Header:
        header = read_header(self._path(record_id))
        if not self._correct_gain or _GEORGIA.fullmatch(record_id) is None:
            return header
        signals = tuple(
            replace(spec, gain=_TRUE_GAIN) if spec.gain == _FIRST_GAIN else spec
            for spec in header.signals
        )
        return replace(header, signals=signals)

    def _labels_in(self, record_id: str, header_text: str) -> tuple[str, ...] | None:
        """Return the classes in the header's `#Dx` in the order of the task; None: unlabelled."""
        codes = diagnoses(_diagnoses_line(header_text), where=f"record {record_id}")
        if not codes:
            return None
        if self.task.name == "all":
            for code in codes:
                if code not in self._coding.class_of:
                    raise DataError(
                        f"record {record_id} has the diagnosis {code}, "
                        "which is in no table of the challenges",
                        hint="tasks scored-2021 and scored-2020 leave other diagnoses out",
                    )
        found = {self._coding.class_of.get(code) for code in codes}
        return tuple(name for name in self.task.classes if name in found)

    def _labels_if_sound(self, record_id: str) -> tuple[str, ...] | None:
        """Return the labels, once read; a header that is wrong has none until `read` says why.

        Only the line of the diagnoses is looked at: of 88,000 headers in 2 s, while parsing them
        takes 16 s.
        """
        if record_id not in self._labels:
            try:
                header = read_bytes(self._path(record_id), at_most=2**20)
                text = header.decode("utf-8", errors="replace").replace("\r", "\n")
                self._labels[record_id] = self._labels_in(record_id, text)
                if self._labels[record_id] is None:
                    self._header(record_id)  # not unlabelled, if it is cut short
            except DataError:
                self._labels[record_id] = ()
        return self._labels[record_id]


def diagnoses(text: str, *, where: str) -> tuple[str, ...]:
    """Return the SNOMED CT codes of a `#Dx`, each once, in their order.

    Codes are between commas, with spaces or none; some headers have a comma too many, or a code
    twice. "Unknown", as in the challenges' hidden data, is none.

    Raises:
        DataError: something else than codes is there; `where` names the recording.
    """
    codes = [code.strip() for code in text.split(",")]
    codes = [code for code in codes if code and code.lower() != "unknown"]
    for code in codes:
        if _CODE.fullmatch(code) is None:
            raise DataError(
                f"{where} has '{code[:40]}' in #Dx, expected SNOMED CT codes",
                hint="correct #Dx in the record's header: codes of digits, between commas",
            )
    return tuple(dict.fromkeys(codes))


def _diagnoses_line(header_text: str) -> str:
    """Return what follows `#Dx:` (or `# Dx:`) in a header; empty where there is no such line."""
    found = _DX.search(header_text)
    return found[1] if found else ""


def _scan(source: Path) -> Iterator[tuple[Path, str]]:
    """Yield folder and name of every record below the source, in a fixed order.

    A record that a folder's RECORDS file lists, and whose header is missing, is one of them:
    reading it tells what is missing.

    Raises:
        DataError: a RECORDS file cannot be read.
    """
    for folder, folders, files in os.walk(source):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        here = Path(folder)
        if "RECORDS" in files:
            yield from _missing_records(here / "RECORDS")
        for file in sorted(files):
            stem, suffix = os.path.splitext(file)
            if suffix == ".hea" and not stem.startswith("."):
                yield here, stem


def _missing_records(listing: Path) -> Iterator[tuple[Path, str]]:
    """Yield folder and name of the records in a listing that have no header."""
    try:
        lines = listing.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{listing} cannot be read: {error}", hint="copy it again from its source"
        ) from error
    for line in lines:
        # A line that ends in "/" is a folder, which may have been left out on purpose.
        if not line.endswith("/") and not os.path.isfile(listing.parent / f"{line}.hea"):
            path = listing.parent / line
            yield path.parent, path.name
