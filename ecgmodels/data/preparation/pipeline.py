"""From recordings to a dataset folder: records in parallel, shards in order, all or nothing."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from ecgmodels.data.databases import Database, find_database
from ecgmodels.data.preparation.options import (
    PrepareOptions,
    ResolvedOptions,
    resolve,
    window_samples,
)
from ecgmodels.data.preparation.splits import Split, check_split, grouped_folds
from ecgmodels.data.preparation.workers import PreparedRecord, RecordSummary, prepare_records
from ecgmodels.data.segmentation.features import FEATURES
from ecgmodels.data.storage.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    Manifest,
    ShardEntry,
    SplitEntry,
    check_manifest,
    count_classes,
    read_manifest,
    write_manifest,
)
from ecgmodels.data.storage.normalisation import normalisation_over
from ecgmodels.data.storage.provenance import write_provenance
from ecgmodels.data.storage.shards import SHARD_FOLDER, ShardWriter, sync_to_disk
from ecgmodels.data.storage.verification import check_checksums
from ecgmodels.errors import DataError

_log = logging.getLogger(__name__)


def prepare(
    database: str,
    source: Path,
    out: Path,
    options: PrepareOptions,
    *,
    processes: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    command: str = "",
) -> Manifest:
    """Write the dataset folder `out` from the recordings in `source`.

    Equal recordings and options give byte-identical shards and manifest, whatever the number of
    processes. `out` appears whole or not at all. Where it already holds the same dataset it is
    left as it is.

    Args:
        database: a name in `DATABASES`.
        source: the folder of recordings.
        out: the folder to write; its parent folders are made.
        options: see `PrepareOptions`.
        processes: worker processes; None takes one for each core available, 1 works in this
            process. A script that asks for more needs the usual `if __name__ == "__main__":`.
        progress: called with (records done, records in all) in this process.
        command: the command line, for provenance.json.

    Raises:
        DataError: a recording or an option is not what it must be, or `out` holds something else.
    """
    if processes is not None and processes < 1:
        raise DataError(f"processes is {processes}, expected at least 1", hint="give 1 or more")
    found = find_database(database)
    resolved = resolve(options, found)
    _check_out(out)
    records = found.record_ids(source)
    split = found.fixed_split(records, resolved.split)
    check_split(
        resolved.split,
        split,
        {record: found.patient_of(record) for record in records},
        found.shared_patients(resolved.split),
    )
    in_order = split.train + split.validation + split.test
    try:
        with (
            _staging_folder(out) as staging,
            closing(prepare_records(database, source, in_order, resolved, processes)) as prepared,
        ):
            manifest = _write_dataset(staging, found, resolved, split, prepared, progress)
            write_provenance(staging, command)
            sync_to_disk(write_manifest(staging, manifest))
            check_manifest(manifest, staging / MANIFEST_NAME)
            _move_into_place(staging, out, manifest)
    except OSError as error:
        raise DataError(
            f"the dataset {out} cannot be prepared: {error}",
            hint="check that the recordings can be read, and the folder written to and not full",
        ) from error
    return manifest


def _write_dataset(
    folder: Path,
    database: Database,
    options: ResolvedOptions,
    split: Split,
    prepared: Iterable[PreparedRecord],
    progress: Callable[[int, int], None] | None,
) -> Manifest:
    """Write the shards, one record at a time; return the manifest."""
    writer = ShardWriter(folder, options.features)
    summaries: list[RecordSummary] = []
    for done, record in enumerate(prepared, start=1):
        summaries.append(record.summary)
        _check_rate(record.summary, summaries[0])
        entry = record.summary.entry
        writer.add("test" if entry.id in split.test else "development", entry, record.segments)
        if progress is not None:
            progress(done, sum(map(len, split.parts.values())))
    return _manifest(database, options, split, summaries, writer.close())


def _manifest(
    database: Database,
    options: ResolvedOptions,
    split: Split,
    summaries: Sequence[RecordSummary],
    shards: tuple[ShardEntry, ...],
) -> Manifest:
    rate_hz = summaries[0].rate_hz
    before, after = window_samples(options.window_ms, rate_hz)
    entries = {summary.entry.id: summary.entry for summary in summaries}
    scored = tuple(name for name in database.scored_classes if name in options.classes)
    splits = {"fixed": split}
    if options.folds:
        splits |= grouped_folds(
            {record: entries[record].classes for record in split.train + split.validation},
            {record: entry.patient_id for record, entry in entries.items()},
            folds=options.folds,
            classes=scored,
            test=split.test,
        )
    return Manifest(
        format_version=FORMAT_VERSION,
        database=database.name,
        title=database.title,
        database_version=database.version,
        options=options,
        leads=options.leads,
        rate_hz=rate_hz,
        samples=before + after,
        samples_before=before,
        uv_per_unit=1.0,
        classes=options.classes,
        scored_classes=scored,
        features=options.features,
        non_causal_features=tuple(name for name in options.features if not FEATURES[name].causal),
        class_counts={
            part: count_classes(options.classes, (entries[record] for record in records))
            for part, records in split.parts.items()
        },
        records=tuple(entries.values()),
        test=split.test,
        splits={name: _split_entry(one, summaries) for name, one in splits.items()},
        shared_patients=database.shared_patients(options.split),
        excluded=dict(database.excluded),
        shards=shards,
    )


def _split_entry(split: Split, summaries: Sequence[RecordSummary]) -> SplitEntry:
    training = [summary.moments for summary in summaries if summary.entry.id in split.train]
    return SplitEntry(
        train=split.train,
        validation=split.validation,
        normalisation=normalisation_over(training),
    )


def _check_rate(record: RecordSummary, first: RecordSummary) -> None:
    if record.rate_hz != first.rate_hz:
        raise DataError(
            f"record {record.entry.id} has {record.rate_hz:g} Hz, "
            f"{first.entry.id} has {first.rate_hz:g} Hz",
            hint="give a rate_hz to resample all recordings to",
        )


def _check_out(out: Path) -> None:
    if not out.exists() or (out / MANIFEST_NAME).is_file():
        return
    if not out.is_dir() or any(out.iterdir()):
        raise DataError(
            f"{out} exists and is not a dataset",
            hint="choose another folder: nothing is ever written over",
        )


@contextmanager
def _staging_folder(out: Path) -> Iterator[Path]:
    """Yield a hidden folder next to `out`; remove it unless it was moved into place."""
    target = out.resolve()  # so that the name is right for "." too
    made = [folder for folder in target.parents if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    # On the same file system as its destination, so that the rename is one step.
    staging = Path(
        tempfile.mkdtemp(prefix=f".{target.name}-", suffix=".partial", dir=target.parent)
    )
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)
        with suppress(OSError):  # not empty: the dataset is there, or something of others
            for folder in made:
                folder.rmdir()


def _move_into_place(staging: Path, out: Path, manifest: Manifest) -> None:
    if (out / MANIFEST_NAME).is_file():
        present = read_manifest(out).hash
        if present != manifest.hash:
            raise DataError(
                f"{out} holds another dataset (hash {present[:12]}, this one {manifest.hash[:12]})",
                hint="choose another folder, or delete it first",
            )
        check_checksums(out, manifest.shards, remember=False)
        _log.info("%s already holds this dataset (hash %s)", out, present[:12])
        return
    staging.chmod(0o755)  # mkdtemp makes folders that nobody else can read
    sync_to_disk(staging / SHARD_FOLDER)
    sync_to_disk(staging)
    target = out.resolve()
    staging.rename(target)
    sync_to_disk(target.parent)
