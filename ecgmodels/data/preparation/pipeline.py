"""From recordings to a dataset folder: records in parallel, shards in order, all or nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import uuid4

from ecgmodels.configs import Config
from ecgmodels.data.databases import Database, find_database, open_recordings
from ecgmodels.data.preparation.assembly import assemble
from ecgmodels.data.preparation.destination import check_out, put_into_place
from ecgmodels.data.preparation.mappers import (
    Mapper,
    available_cores,
    in_processes,
    prepare_records,
)
from ecgmodels.data.preparation.options import PrepareOptions, ResolvedOptions, resolve
from ecgmodels.data.preparation.planning import Plan, plan_records
from ecgmodels.data.preparation.staging import staging_folder
from ecgmodels.data.preparation.workers import FailedRecord, Job, Outcome
from ecgmodels.data.storage.manifest import Manifest, write_manifest
from ecgmodels.data.storage.provenance import write_provenance
from ecgmodels.data.storage.record_table import RecordEntry
from ecgmodels.data.storage.shard_writer import ShardWriter, Written
from ecgmodels.errors import DataError


def prepare(
    database: str,
    source: Path,
    out: Path,
    options: PrepareOptions,
    *,
    settings: Config | Mapping[str, Any] | None = None,
    processes: int | None = None,
    mapper: Mapper | None = None,
    strict: bool = False,
    progress: Callable[[int, int], None] | None = None,
    on_failure: Callable[[str, DataError], None] | None = None,
    command: str = "",
) -> Manifest:
    """Write the dataset folder `out` from the recordings in `source`.

    Equal recordings and options give byte-identical shards, table and manifest, however they are
    computed. `out` appears whole or not at all. Where it already holds the same dataset it is left
    as it is.

    A record that cannot be read or segmented is told to `on_failure`, listed in the manifest, and
    missing in the splits; the others are not lost for it.

    Args:
        database: a name in `DATABASES`.
        source: the folder of recordings.
        out: the folder to write; its parent folders are made.
        options: see `PrepareOptions`.
        settings: the database's own options; None takes its defaults.
        processes: worker processes; None takes one for each core available, 1 works in this
            process. A script that asks for more needs the usual `if __name__ == "__main__":`.
        mapper: where else records are prepared, such as on a cluster; then without `processes`.
        strict: a record that cannot be prepared ends the preparation.
        progress: called with (records done, records in all) in this process.
        on_failure: called with record id and error in this process.
        command: the command line, for provenance.json.

    Raises:
        DataError: an option is not what it must be, `out` holds something else, nothing is left of
            a part or of a scored class, or (with `strict`) a record cannot be prepared.
    """
    found = find_database(database)
    own = _settings(found, settings)
    try:
        recordings = open_recordings(database, source, options.task, own)
        resolved = resolve(options, recordings, found.defaults, own)
        check_out(out, database, resolved)
        if mapper is None:
            mapper = _local_mapper(processes, len(recordings.record_ids))
        elif processes is not None:
            raise DataError("processes has no effect with a mapper", hint="leave processes out")
        listener = _Listener(len(recordings.record_ids), strict, progress, on_failure)
        plan = plan_records(recordings, resolved)
        for failed in plan.failed:
            listener.hear(failed)
        job = Job(database=database, source=source, settings=own, options=resolved, run=uuid4().hex)
        with (
            staging_folder(out) as staging,
            closing(prepare_records(job, plan.order, mapper)) as outcomes,
        ):
            writer = ShardWriter(
                staging.folder,
                classes=resolved.classes,
                features=resolved.features,
                multi_label=recordings.task.multi_label,
            )
            written = _write_shards(writer, resolved, plan, listener.hears(outcomes))
            if written is None:
                raise _nothing_left(listener.failed)
            manifest = assemble(
                staging.folder,
                found,
                recordings,
                resolved,
                plan,
                written,
                # Relative, so that the same recordings give the same bytes wherever they lie.
                {one.id: str(one.error).replace(f"{source}/", "") for one in listener.failed},
            )
            write_provenance(staging.folder, command)
            write_manifest(staging.folder, manifest)
            put_into_place(staging, out, manifest)
    except OSError as error:
        raise DataError(
            f"the dataset {out} cannot be prepared: {error}",
            hint="check that the recordings can be read, and the folder written to and not full",
        ) from error
    return manifest


class _Listener:
    """Hears of each outcome once, and passes on what the caller wants to know.

    failed: the records that could not be prepared, in the order they were heard of.
    """

    def __init__(
        self,
        records: int,
        strict: bool,
        progress: Callable[[int, int], None] | None,
        on_failure: Callable[[str, DataError], None] | None,
    ) -> None:
        self.failed: list[FailedRecord] = []
        self._records = records
        self._done = 0
        self._strict = strict
        self._progress = progress
        self._on_failure = on_failure

    def hears(self, outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
        """Yield the outcomes, hearing of each when it has been dealt with."""
        for outcome in outcomes:
            yield outcome
            self.hear(outcome)

    def hear(self, outcome: Outcome) -> None:
        """Take note of one.

        Raises:
            DataError: the record failed, and the caller wants none to.
        """
        self._done += 1
        if isinstance(outcome, FailedRecord):
            if self._strict:
                raise outcome.error
            self.failed.append(outcome)
            if self._on_failure is not None:
                self._on_failure(outcome.id, outcome.error)
        if self._progress is not None:
            self._progress(self._done, self._records)


def _write_shards(
    writer: ShardWriter, options: ResolvedOptions, plan: Plan, outcomes: Iterable[Outcome]
) -> Written | None:
    """Write the shards, one record at a time; return None where every record failed."""
    test = set(plan.split.test)
    first: RecordEntry | None = None
    for outcome in outcomes:
        if isinstance(outcome, FailedRecord):
            continue
        entry = outcome.entry
        first = first or entry
        if options.rate_hz is None and entry.rate_hz != first.rate_hz:
            raise DataError(
                f"record {entry.id} has {entry.rate_hz:g} Hz, {first.id} has {first.rate_hz:g} Hz",
                hint="give a rate_hz to resample all recordings to",
            )
        writer.add("test" if entry.id in test else "development", entry, outcome.segments)
    return None if first is None else writer.close()


def _nothing_left(failed: Sequence[FailedRecord]) -> DataError:
    first = failed[0]
    return DataError(
        f"none of the {len(failed)} records can be prepared; {first.id}: {first.error}",
        hint=first.error.hint,
    )


def _settings(database: Database, given: Config | Mapping[str, Any] | None) -> Config:
    if isinstance(given, Config):
        return given
    return database.settings.from_dict(given or {})


def _local_mapper(processes: int | None, records: int) -> Mapper:
    if processes is not None and processes < 1:
        raise DataError(f"processes is {processes}, expected at least 1", hint="give 1 or more")
    return in_processes(max(1, min(processes or available_cores(), records)))
