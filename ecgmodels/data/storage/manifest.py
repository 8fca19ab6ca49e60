"""dataset.json: what is in a prepared dataset, and the hash that identifies it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ecgmodels.data.preparation.options import ResolvedOptions
from ecgmodels.data.preparation.splits import Split, check_split
from ecgmodels.data.recordings.records import Sex
from ecgmodels.data.storage.normalisation import Normalisation
from ecgmodels.errors import DataError

FORMAT_VERSION = 1
MANIFEST_NAME = "dataset.json"

Part = Literal["development", "test"]
_AGAIN = "delete the folder and prepare the dataset again"
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One Arrow IPC file; its rows are those of its records, one after the other."""

    __pydantic_config__ = _STRICT

    file: str
    part: Part
    records: tuple[str, ...]
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class RecordEntry:
    """One recording and what became of its beats."""

    __pydantic_config__ = _STRICT

    id: str
    patient_id: str
    leads: tuple[str, ...]
    """The recording's own names of the dataset's leads."""
    age: float | None
    sex: Sex | None
    classes: dict[str, int]
    """Class -> segments."""
    missing: dict[str, int]
    """Feature -> segments that lack it."""
    rejected: dict[str, int]
    """Reason -> annotated beats without a segment."""
    padded: int
    """Segments that reach over an end of the recording."""
    clipped_samples: int
    bridged_samples: int
    """Invalid samples interpolated, in the whole recording."""

    @property
    def segments(self) -> int:
        """Number of segments of the recording."""
        return sum(self.classes.values())


@dataclass(frozen=True, kw_only=True)
class SplitEntry:
    """One way to divide the development records, and the statistics of its training records."""

    __pydantic_config__ = _STRICT

    train: tuple[str, ...]
    validation: tuple[str, ...]
    normalisation: Normalisation


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that is known about a dataset without opening a shard.

    `records` are in the order of the shards' rows: development first, then test.
    """

    __pydantic_config__ = _STRICT

    format_version: int
    database: str
    title: str
    database_version: str
    options: ResolvedOptions
    leads: tuple[str, ...]
    rate_hz: float
    samples: int
    """A lead and segment; the beat is at index `samples_before`."""
    samples_before: int
    uv_per_unit: float
    """Microvolts that one unit of the stored integers stands for."""
    classes: tuple[str, ...]
    scored_classes: tuple[str, ...]
    features: tuple[str, ...]
    non_causal_features: tuple[str, ...]
    """Features that need beats that come later: not to be had from a live signal in time."""
    class_counts: dict[str, dict[str, int]]
    """Part of the fixed split -> class -> segments."""
    records: tuple[RecordEntry, ...]
    test: tuple[str, ...]
    splits: dict[str, SplitEntry]
    shared_patients: tuple[tuple[str, ...], ...]
    """Records of one patient that the customary split has on both sides of the test border."""
    excluded: dict[str, str]
    """Record -> why it was left out."""
    shards: tuple[ShardEntry, ...]

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON. It covers the shards' checksums, hence the data."""
        canonical = json.dumps(
            dataclasses.asdict(self), sort_keys=True, separators=(",", ":"), allow_nan=False
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    @property
    def patient_of(self) -> dict[str, str]:
        """Return record id -> patient id."""
        return {record.id: record.patient_id for record in self.records}

    def split(self, name: str) -> Split:
        """Return the records of each part of a split."""
        entry = self.splits[name]
        return Split(train=entry.train, validation=entry.validation, test=self.test)


def count_classes(classes: Iterable[str], records: Iterable[RecordEntry]) -> dict[str, int]:
    """Return class -> segments over the records."""
    counts = dict.fromkeys(classes, 0)
    for record in records:
        for name, segments in record.classes.items():
            counts[name] += segments
    return counts


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write dataset.json; return its path."""
    path = folder / MANIFEST_NAME
    text = json.dumps(dataclasses.asdict(manifest), indent=1, ensure_ascii=False, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")
    return path


def read_manifest(folder: Path) -> Manifest:
    """Read and check dataset.json: its form, and that its numbers agree with each other.

    Raises:
        DataError: it is missing, of a newer format, has an unknown or missing field, or contradicts
            itself (a patient on two sides, a record without a shard, counts that do not add up).
    """
    path = folder / MANIFEST_NAME
    try:
        text = path.read_text(encoding="utf-8")
        values = json.loads(text)
        version = values["format_version"]
    except FileNotFoundError as error:
        raise DataError(
            f"{path} is missing: {folder} is not a prepared dataset",
            hint="give a folder written by `ecgsearch data prepare`",
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a dataset's manifest: {error}", hint=_AGAIN) from error
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        raise DataError(
            f"{path} has format version {version}, this program reads version {FORMAT_VERSION}",
            hint="update ecgsearch, or prepare the dataset with this version" if newer else _AGAIN,
        )
    try:
        manifest = _adapter().validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise DataError(f"{path}, {where}: {first['msg']}", hint=_AGAIN) from error
    check_manifest(manifest, path)
    return manifest


def check_manifest(manifest: Manifest, path: Path) -> None:
    """Raise DataError naming `path` where the manifest contradicts itself."""
    known = [record.id for record in manifest.records]
    in_shards = [record for shard in manifest.shards for record in shard.records]
    parts = {
        part: [
            record for shard in manifest.shards if shard.part == part for record in shard.records
        ]
        for part in ("development", "test")
    }
    segments = {record.id: record.segments for record in manifest.records}
    contradictions = {
        "a record is listed twice": len(set(known)) < len(known),
        "records and shards list different records": in_shards != known,
        "test and the test shards list different records": sorted(manifest.test)
        != sorted(parts["test"]),
        "there is no fixed split": "fixed" not in manifest.splits,
        "a split is not over the development records": any(
            sorted(split.train + split.validation) != sorted(parts["development"])
            for split in manifest.splits.values()
        ),
        "a shard's rows are not its records' segments": any(
            shard.rows != sum(segments.get(record, 0) for record in shard.records)
            for shard in manifest.shards
        ),
        "a record counts other classes than the dataset's": any(
            tuple(record.classes) != manifest.classes for record in manifest.records
        ),
    }
    for contradiction, found in contradictions.items():
        if found:
            raise DataError(f"{path} contradicts itself: {contradiction}", hint=_AGAIN)
    for part, records in manifest.split("fixed").parts.items():
        entries = (record for record in manifest.records if record.id in records)
        if manifest.class_counts.get(part) != count_classes(manifest.classes, entries):
            raise DataError(
                f"{path} contradicts itself: class_counts of {part} are not its records'",
                hint=_AGAIN,
            )
    for name in manifest.splits:
        check_split(name, manifest.split(name), manifest.patient_of, manifest.shared_patients)


@cache
def _adapter() -> TypeAdapter[Manifest]:
    return TypeAdapter(Manifest)
