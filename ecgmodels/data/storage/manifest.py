"""dataset.json: what is in a prepared dataset, and the hash that identifies it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from ecgmodels.data.preparation.options import ResolvedOptions
from ecgmodels.data.storage.normalisation import Normalisation
from ecgmodels.data.storage.record_table import Part
from ecgmodels.errors import DataError
from ecgmodels.files import write_atomically

FORMAT_VERSION = 2
MANIFEST_NAME = "dataset.json"

AGAIN = "delete the folder and prepare the dataset again"
_FILE_NAME = re.compile(r"records\.arrow|shards/(development|test)-[0-9]{5,}\.arrow")
_STRICT = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True)
class ShardEntry:
    """One Arrow IPC file; its rows are those of its records, one after the other."""

    __pydantic_config__ = _STRICT

    file: str
    part: Part
    samples: int
    """A lead and segment."""
    first_record: int
    """Row in records.arrow."""
    records: int
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class RecordsEntry:
    """The file records.arrow."""

    __pydantic_config__ = _STRICT

    file: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class SplitEntry:
    """One way to divide the records, and the statistics of its training records.

    Which record is where is a column of records.arrow.
    """

    __pydantic_config__ = _STRICT

    normalisation: Normalisation
    records: dict[str, int]
    """Part -> records: train, validation and test."""
    patients: dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Totals:
    """Sums over all records."""

    __pydantic_config__ = _STRICT

    segments: int
    rejected: dict[str, int]
    """Reason -> segments that were not cut."""
    padded: int
    """Segments that reach over an end of their recording."""
    clipped_samples: int
    bridged_samples: int
    """Invalid samples interpolated."""
    flat_leads: dict[str, int]
    """Canonical lead -> records in which it is constant or invalid throughout."""


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that is known about a dataset without opening a shard, but for the single records.

    Those are in records.arrow, development first, then test.
    """

    __pydantic_config__ = _STRICT

    format_version: int
    database: str
    title: str
    database_version: str
    task: str
    multi_label: bool
    """A segment may have several classes at once, or none."""
    options: ResolvedOptions
    leads: tuple[str, ...]
    rate_hz: float
    samples: int
    """A lead and segment; the most that a segment has where shards differ in length."""
    samples_before: int | None
    """Index of the beat in its segment; None where segments are not windows around beats."""
    uv_per_unit: float
    """Microvolts that one unit of the stored integers stands for."""
    classes: tuple[str, ...]
    """Empty where nothing is labelled: then all records are in the test part."""
    scored_classes: tuple[str, ...]
    unscored: dict[str, str]
    """Class that the task scores -> why it is not scored here, such as that a part lacks it."""
    features: tuple[str, ...]
    non_causal_features: tuple[str, ...]
    """Features that need what comes later: not to be had from a live signal in time."""
    patients_known: bool
    """False where the database does not say whose a recording is: each counts as a patient."""
    record_count: int
    patient_count: int
    class_counts: dict[str, dict[str, int]]
    """Part of the fixed split -> class -> segments; only "test" where nothing is labelled."""
    totals: Totals
    excluded: dict[str, str]
    """Record -> why it was left out."""
    failed: dict[str, str]
    """Record -> why it could not be read."""
    duplicates: tuple[tuple[str, ...], ...]
    """Groups of records whose signals are identical."""
    splits: dict[str, SplitEntry]
    """"fixed", then the folds; none where nothing is labelled."""
    shared_patients: tuple[tuple[str, ...], ...]
    """Records of one patient that the customary split has on both sides of the test border."""
    notes: tuple[str, ...]
    """What the database says of its recordings, such as what was corrected in them."""
    records: RecordsEntry
    shards: tuple[ShardEntry, ...]

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON. It covers the files' checksums, hence the data."""
        return hash_of(dataclasses.asdict(self))


def hash_of(values: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of a manifest's values as canonical JSON."""
    canonical = json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


_ADAPTER = TypeAdapter(Manifest)


def write_manifest(folder: Path, manifest: Manifest) -> Path:
    """Write dataset.json, the manifest and its own hash; return its path."""
    path = folder / MANIFEST_NAME
    values = {**dataclasses.asdict(manifest), "hash": manifest.hash}
    text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(path, (text + "\n").encode())
    return path


def read_manifest(folder: Path) -> Manifest:
    """Read dataset.json and check its form.

    Raises:
        DataError: it is missing, of another format, has an unknown or missing field, or is not as
            it was written.
    """
    path = folder / MANIFEST_NAME
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(
            f"{path} is missing: {folder} is not a prepared dataset",
            hint="give a folder written by `ecgsearch data prepare`",
        ) from error
    except OSError as error:
        raise DataError(
            f"{path} cannot be read: {error.strerror}", hint="check the file's permissions"
        ) from error
    return parse_manifest(content, str(path))


def parse_manifest(content: bytes, name: str) -> Manifest:
    """Return the manifest that a file called `name` holds; see `read_manifest`."""
    try:
        values = json.loads(content)
        version = values["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(
            f"{name} is not a dataset's manifest: {type(error).__name__}: {error}", hint=AGAIN
        ) from error
    if version != FORMAT_VERSION:
        newer = isinstance(version, int) and version > FORMAT_VERSION
        raise DataError(
            f"{name} has format version {version}, this program reads version {FORMAT_VERSION}",
            hint="update ecgsearch, or prepare the dataset with this version" if newer else AGAIN,
        )
    stated = values.pop("hash", None)
    try:
        manifest = _ADAPTER.validate_json(json.dumps(values))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(step) for step in first["loc"])
        raise DataError(f"{name}, {where}: {first['msg']}", hint=AGAIN) from error
    except DataError as error:  # the options' own checks
        raise DataError(f"{name}, options: {error}", hint=AGAIN) from error
    _check_options(values["options"], manifest, name)
    if stated != hash_of(values):
        raise DataError(
            f"{name} was changed after it was written: its hash is {hash_of(values)[:12]}, it says "
            f"{str(stated)[:12]}",
            hint="copy the dataset again, or " + AGAIN,
        )
    for file in (manifest.records.file, *(shard.file for shard in manifest.shards)):
        # A manifest from elsewhere must not make this program write or read elsewhere.
        if not _FILE_NAME.fullmatch(file):
            raise DataError(f"{name} names the file '{file}'", hint=AGAIN)
    return manifest


def _check_options(values: dict[str, Any], manifest: Manifest, name: str) -> None:
    known = {field.name for field in dataclasses.fields(manifest.options)}
    for option in values:
        if option not in known:
            raise DataError(f"{name}, options.{option}: Unexpected keyword argument", hint=AGAIN)
