"""A prepared dataset, opened: segments as arrays, without a copy where that can be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgmodels.configs import nearest_hint
from ecgmodels.data.storage.consistency import check_consistency, check_splits
from ecgmodels.data.storage.files import DatasetFiles, open_files
from ecgmodels.data.storage.manifest import MANIFEST_NAME, Manifest, ShardEntry, SplitEntry
from ecgmodels.data.storage.normalisation import Normalisation
from ecgmodels.data.storage.record_table import (
    SIDES,
    Part,
    RecordTable,
    open_record_table,
)
from ecgmodels.data.storage.segments import Segments, read_segments
from ecgmodels.data.storage.shards import open_shard, shard_schema
from ecgmodels.data.storage.verification import Memory, evidence_of
from ecgmodels.errors import DataError
from ecgmodels.metrics.challenges import Challenge, challenge_of


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A dataset folder; see `open_dataset`."""

    location: str
    """What it was opened by: a folder, or an address such as s3://bucket/key."""
    manifest: Manifest
    hash: str
    """SHA-256 of the manifest's canonical JSON: the same data and options, the same hash."""
    records: RecordTable
    files: DatasetFiles

    @property
    def path(self) -> Path:
        """The folder on this machine."""
        return self.files.folder

    @property
    def leads(self) -> tuple[str, ...]:
        """Canonical lead names, in the order of the signal's lead axis."""
        return self.manifest.leads

    @property
    def rate_hz(self) -> float:
        """Sampling rate of the segments."""
        return self.manifest.rate_hz

    @property
    def samples(self) -> int:
        """Samples a lead and segment; the most, where they differ."""
        return self.manifest.samples

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels; empty where nothing is labelled."""
        return self.manifest.classes

    @property
    def scored_classes(self) -> tuple[str, ...]:
        """The classes whose mean F1 is searched for."""
        return self.manifest.scored_classes

    @property
    def multi_label(self) -> bool:
        """Whether a segment may have several classes at once, or none."""
        return self.manifest.multi_label

    @property
    def score(self) -> Literal["segment", "mean", "max"]:
        """How the answers to a record's segments become one answer."""
        return self.manifest.options.score

    @property
    def challenge(self) -> Challenge | None:
        """The PhysioNet/CinC Challenge whose score can be computed on this dataset.

        None where its task is none of a challenge's, a class of the challenge was left out, or
        what is counted is not whole recordings, as it was in the challenges.
        """
        manifest, options = self.manifest, self.manifest.options
        whole = options.segments == "crops" and options.crop_s is None
        if self.score == "segment" and not whole:
            return None
        return challenge_of(manifest.database, manifest.task, manifest.classes)

    @property
    def aligned(self) -> bool:
        """Whether segments are windows around beats, which have the beat in the same place."""
        return self.manifest.samples_before is not None

    @property
    def features(self) -> tuple[str, ...]:
        """Feature names, in the order of the feature axis."""
        return self.manifest.features

    @property
    def splits(self) -> list[str]:
        """Names of the splits: "fixed", then "fold-0", "fold-1", ..."""
        return list(self.manifest.splits)

    def development(self, split: str = "fixed") -> tuple[Segments, Segments]:
        """Return the training and validation segments of a split; opens no test shard.

        Raises:
            DataError: no such split, no labels at all, or a shard is damaged.
        """
        self._split(split)
        self.require("development")
        side = self.records.side(split)
        return (
            self._segments("development", side == SIDES.index("train")),
            self._segments("development", side == SIDES.index("validation")),
        )

    def verify_test(self) -> None:
        """Check the test shards' bytes without looking at what they hold.

        Raises:
            DataError: a test shard is missing or damaged.
        """
        self.require("test")

    def test(self) -> Segments:
        """Return the test segments. Callers log that they looked."""
        self.verify_test()
        return self._segments("test", self.records.is_test)

    def normalisation(self, split: str = "fixed") -> Normalisation:
        """Return the statistics of the split's training patients."""
        return self._split(split).normalisation

    def shards(self, part: Part) -> tuple[ShardEntry, ...]:
        """Return the shards of a part, in the order of their rows."""
        return tuple(shard for shard in self.manifest.shards if shard.part == part)

    def require(self, part: Part) -> None:
        """Have the shards of a part on this machine, sound, without looking at what they hold.

        Raises:
            DataError: a shard is missing or damaged.
        """
        self.files.require(self.shards(part))

    def _split(self, name: str) -> SplitEntry:
        if not self.classes:
            raise DataError(
                f"{self.files.name} holds no labels: it has a test part alone, nothing to train on",
                hint="predict on it, or prepare it with a task that labels it",
            )
        if name not in self.manifest.splits:
            raise DataError(
                f"{self.files.name} has no split called '{name}'",
                hint=nearest_hint(name, self.manifest.splits),
            )
        return self.manifest.splits[name]

    def _segments(self, part: Part, chosen: NDArray[np.bool_]) -> Segments:
        shards = [
            (shard, self.open_shard(shard))
            for shard in self.shards(part)
            if chosen[shard.first_record : shard.first_record + shard.records].any()
        ]
        if not shards:
            nothing = ShardEntry(
                file="",
                part=part,
                samples=self.samples,
                first_record=0,
                records=0,
                rows=0,
                bytes=0,
                sha256="",
            )
            shards = [(nothing, pa.RecordBatch.from_pylist([], self._schema(self.samples)))]
        return read_segments(self.manifest, self.records, shards, chosen)

    def open_shard(self, shard: ShardEntry) -> pa.RecordBatch:
        """Memory-map one of the dataset's shards, without looking at its checksum.

        Raises:
            DataError: it is missing, or does not have the rows and columns that it should.
        """
        return open_shard(self.path / shard.file, shard.rows, self._schema(shard.samples))

    def _schema(self, samples: int) -> pa.Schema:
        several = len(self.classes) if self.multi_label else None
        return shard_schema(len(self.leads), samples, self.features, classes=several)


def open_dataset(path: str | Path, *, verify: bool = True) -> Dataset:
    """Open a folder written by `prepare`, here or on a remote file system.

    The manifest, the table of records and the shards' sizes are checked at once, and that no
    patient is on two sides of a split. With `verify`, so are the SHA-256 of the development
    shards; those of the test shards when the test part is read. Checksums are remembered (see
    `ecgmodels.data.storage.verification`), so a machine pays for them once.

    Args:
        path: a folder, or an address with a scheme (s3://bucket/key, gs://, file://): then what is
            needed is copied to this machine first (see `ecgmodels.data.storage.remote`).
        verify: False takes the shards' content on trust.

    Raises:
        DataError: the manifest is not valid, or a file is missing, cut short or damaged.
    """
    return open_dataset_in(open_files(path, verify=verify), str(path))


def open_dataset_in(files: DatasetFiles, location: str) -> Dataset:
    """Return the dataset that has these files; see `open_dataset`."""
    manifest, digest = files.manifest, files.manifest.hash
    files.require([manifest.records], always=True)
    records = open_record_table(files.folder / manifest.records.file)
    memory = Memory(files.folder)
    evidence = [digest, *evidence_of(files.folder, manifest.records)]
    if not memory.recalls(MANIFEST_NAME, evidence):
        check_consistency(manifest, records, files.folder)
        memory.keep({MANIFEST_NAME: evidence})
    check_splits(records, manifest.shared_patients, files.name)
    files.check_sizes(manifest.shards)
    dataset = Dataset(
        location=location, manifest=manifest, hash=digest, records=records, files=files
    )
    dataset.require("development")
    return dataset
