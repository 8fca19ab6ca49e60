"""A prepared dataset, opened: segments as arrays, without a copy where that can be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ecgmodels.configs import nearest_hint
from ecgmodels.data.storage.manifest import Manifest, SplitEntry, read_manifest
from ecgmodels.data.storage.normalisation import Normalisation
from ecgmodels.data.storage.shards import open_shard
from ecgmodels.data.storage.verification import check_checksums, check_sizes
from ecgmodels.errors import DataError


@dataclass(frozen=True, kw_only=True, eq=False)
class Segments:
    """Segments of some records, in the order of the shards.

    signal_uv: int16 [segment, lead, time], microvolts; a read-only view of the shard where the
        records lie next to each other in one, else a copy.
    label: int64 [segment], index into the dataset's classes.
    features: float32 [segment, feature], NaN = missing.
    record_id, patient_id: str [segment].
    start_sample: int64 [segment], in the record at the dataset's rate; negative where padded.
    """

    signal_uv: NDArray[np.int16]
    label: NDArray[np.int64]
    features: NDArray[np.float32]
    record_id: NDArray[np.str_]
    patient_id: NDArray[np.str_]
    start_sample: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset folder; see `open_dataset`."""

    path: Path
    manifest: Manifest
    hash: str
    """SHA-256 of the manifest's canonical JSON: the same data and options, the same hash."""
    verify: bool

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
        """Samples a lead and segment."""
        return self.manifest.samples

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the labels."""
        return self.manifest.classes

    @property
    def scored_classes(self) -> tuple[str, ...]:
        """The classes whose mean F1 is searched for."""
        return self.manifest.scored_classes

    @property
    def features(self) -> tuple[str, ...]:
        """Feature names, in the order of the feature axis."""
        return self.manifest.features

    @property
    def splits(self) -> list[str]:
        """Names of the splits: "fixed", then "fold-0", "fold-1", ..."""
        return list(self.manifest.splits)

    def development(self, split: str = "fixed") -> tuple[Segments, Segments]:
        """Return the training and validation segments of a split; opens no test shard."""
        entry = self._split(split)
        self._verify("development")
        return self._segments(entry.train), self._segments(entry.validation)

    def verify_test(self) -> None:
        """Check the test shards' bytes without looking at what they hold.

        Raises:
            DataError: a test shard is missing or damaged.
        """
        self._verify("test")

    def test(self) -> Segments:
        """Return the test segments. Callers log that they looked."""
        self.verify_test()
        return self._segments(self.manifest.test)

    def normalisation(self, split: str = "fixed") -> Normalisation:
        """Return the statistics of the split's training patients."""
        return self._split(split).normalisation

    def _split(self, name: str) -> SplitEntry:
        if name not in self.manifest.splits:
            raise DataError(
                f"{self.path} has no split called '{name}'",
                hint=nearest_hint(name, self.manifest.splits),
            )
        return self.manifest.splits[name]

    def _verify(self, part: str) -> None:
        if self.verify:
            shards = [shard for shard in self.manifest.shards if shard.part == part]
            check_checksums(self.path, shards)

    def _segments(self, records: Iterable[str]) -> Segments:
        wanted = set(records)
        shape = (len(self.leads), self.samples)
        pieces = []
        for shard in self.manifest.shards:
            ranges = self._ranges(shard.records, wanted)
            if ranges:
                batch = open_shard(self.path / shard.file, shard.rows)
                pieces += [
                    _read(batch.slice(start, stop - start), shape, self.features)
                    for start, stop in ranges
                ]
        return pieces[0] if len(pieces) == 1 else _concatenate(pieces)

    def _ranges(self, shard_records: Sequence[str], wanted: set[str]) -> list[tuple[int, int]]:
        """Return the half-open row ranges of the wanted records, neighbours merged."""
        segments = {record.id: record.segments for record in self.manifest.records}
        ranges: list[tuple[int, int]] = []
        row = 0
        for record in shard_records:
            start, row = row, row + segments[record]
            if record in wanted:
                if ranges and ranges[-1][1] == start:
                    ranges[-1] = (ranges[-1][0], row)
                else:
                    ranges.append((start, row))
        return ranges


def open_dataset(path: str | Path, *, verify: bool = True) -> Dataset:
    """Open a folder written by `prepare`.

    The manifest and the shards' sizes are checked at once. With `verify`, so are the SHA-256 of the
    development shards; those of the test shards when the test part is read. Checksums are
    remembered (see `ecgmodels.data.storage.verification`), so a machine pays for them once.

    Raises:
        DataError: the manifest is not valid, or a shard is missing, cut short or damaged.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    dataset = Dataset(path=folder, manifest=manifest, hash=manifest.hash, verify=verify)
    check_sizes(folder, manifest.shards)
    dataset._verify("development")
    return dataset


def _read(batch: pa.RecordBatch, shape: tuple[int, int], features: Sequence[str]) -> Segments:
    signal = batch.column("signal_uv").flatten().to_numpy(zero_copy_only=True)
    columns = np.empty((batch.num_rows, len(features)), dtype=np.float32)
    for index, name in enumerate(features):
        columns[:, index] = batch.column(name).to_numpy(zero_copy_only=False)
    return Segments(
        signal_uv=signal.reshape(batch.num_rows, *shape),
        label=batch.column("label").to_numpy(),
        features=columns,
        record_id=_strings(batch.column("record_id")),
        patient_id=_strings(batch.column("patient_id")),
        start_sample=batch.column("start_sample").to_numpy(),
    )


def _strings(column: pa.StringArray) -> NDArray[np.str_]:
    encoded = column.dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=np.str_)
    return names[encoded.indices.to_numpy()]


def _concatenate(pieces: Sequence[Segments]) -> Segments:
    return Segments(
        signal_uv=np.concatenate([piece.signal_uv for piece in pieces]),
        label=np.concatenate([piece.label for piece in pieces]),
        features=np.concatenate([piece.features for piece in pieces]),
        record_id=np.concatenate([piece.record_id for piece in pieces]),
        patient_id=np.concatenate([piece.patient_id for piece in pieces]),
        start_sample=np.concatenate([piece.start_sample for piece in pieces]),
    )
