"""`ecgsearch data prepare DATABASE ...`: one parser a database, with the options it has."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.paths import resolve_path
from search.cli.config_flags import add_config_flags, chosen
from search.cli.lazy_parser import LazyParser
from search.cli.progress_line import ProgressLine
from search.errors import ECGSearchError

if TYPE_CHECKING:
    from ecgmodels.data import Database
    from ecgmodels.data.preparation.mappers import Mapper
    from ecgmodels.errors import DataError

INTERRUPTED = 130
SHOWN_HINTS = 3
SHOWN_FAILURES = 5
_OPTION, _SETTING = "option_", "setting_"
Subparsers = Any  # argparse keeps the class of add_subparsers() private


def add_prepare(kinds: Subparsers) -> None:
    """Add `prepare`; the databases are imported when it is used."""
    kinds.add_parser(
        "prepare",
        help="cut recordings into segments and write them as Arrow shards",
        description="Cut recordings into segments and write them as Arrow shards. "
        "`ecgsearch data prepare DATABASE --help` shows the options of a database.",
        fill=_fill_with_databases,
    )


def _fill_with_databases(parser: argparse.ArgumentParser) -> None:
    from ecgmodels.data import DATABASES

    databases = parser.add_subparsers(
        title="databases", required=True, metavar="DATABASE", parser_class=LazyParser
    )
    for name, database in sorted(DATABASES.items()):
        databases.add_parser(
            name,
            help=database.title,
            description=f"{database.title}: {type(database).__doc__ or ''}",
            epilog=f"Tasks: {', '.join(database.tasks)}.",
            fill=partial(_fill_for, database),
        )


def _fill_for(database: Database, parser: argparse.ArgumentParser) -> None:
    from ecgmodels.data import PrepareOptions
    from ecgmodels.data.segmentation.features import FEATURES

    parser.add_argument("--source", type=Path, required=True, help="folder of the recordings")
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    add_config_flags(
        parser.add_argument_group("what is prepared"),
        PrepareOptions,
        prefix=_OPTION,
        aliases={"task": "--mapping"},
        customs={"task": database.tasks[0], **database.defaults},
        notes={"features": f"There are {', '.join(FEATURES)}, and what the recordings bring."},
    )
    if vars(database.settings).get("__annotations__"):
        add_config_flags(
            parser.add_argument_group(f"{database.name} alone"), database.settings, prefix=_SETTING
        )
    where = parser.add_argument_group("how it is done")
    where.add_argument(
        "--strict", action="store_true", help="end at the first record that cannot be prepared"
    )
    where.add_argument(
        "--processes", type=int, help="worker processes (left out: one a core of this machine)"
    )
    where.add_argument(
        "--ray",
        action="store_true",
        help="prepare on the Ray cluster at $RAY_ADDRESS, else on a Ray started here",
    )
    where.add_argument("--address", help="prepare on the Ray cluster at HOST:PORT")
    parser.set_defaults(run=partial(_prepare, database))


def _prepare(database: Database, options: argparse.Namespace) -> int:
    try:
        with _sigterm_as_ctrl_c():
            return _prepare_or_be_interrupted(database, options)
    except KeyboardInterrupt:
        out = resolve_path(options.out, what="the dataset folder")
        whole = (out / "dataset.json").is_file()
        outcome = f"{out} is there, and whole" if whole else "nothing was written"
        print(f"interrupted; {outcome}", file=sys.stderr)
        return INTERRUPTED


def _prepare_or_be_interrupted(database: Database, options: argparse.Namespace) -> int:
    from ecgmodels.data import PrepareOptions, describe_dataset, prepare

    source = resolve_path(options.source, what="the recordings")
    out = resolve_path(options.out, what="the dataset folder")
    wanted = PrepareOptions(**chosen(options, _OPTION))
    settings = database.settings(**chosen(options, _SETTING))
    was_there = (out / "dataset.json").is_file()
    begun_s = time.perf_counter()
    with ProgressLine("record", sys.stderr) as progress, _mapper(options, source) as mapper:
        prepare(
            database.name,
            source,
            out,
            wanted,
            settings=settings,
            processes=options.processes,
            mapper=mapper,
            strict=options.strict,
            progress=progress,
            on_failure=progress.fail,
            command=" ".join(["ecgsearch", *sys.argv[1:]]),
        )
    print(describe_dataset(out))
    _print_failures(progress.failures, progress.total)
    # `prepare` writes over nothing: what was there is this dataset.
    done = "already prepared; found to be the same" if was_there else "prepared"
    print(f"{done} in {time.perf_counter() - begun_s:.1f} s")
    return 0


@contextlib.contextmanager
def _mapper(options: argparse.Namespace, source: Path) -> Iterator[Mapper | None]:
    if not options.ray and options.address is None:
        yield None
        return
    if options.processes is not None:
        raise ECGSearchError(
            "processes has no effect on a Ray cluster, which has as many as it has CPUs",
            hint="leave out --processes, or --ray and --address",
        )
    from search.cli.over_ray import ray_mapper

    with ray_mapper(options.address, source=source, show=print) as mapper:
        yield mapper


def _print_failures(failures: Sequence[tuple[str, DataError]], total: int) -> None:
    """Name the records once more, where nobody overlooks them, and say how they are mended."""
    if not failures:
        return
    names = ", ".join(record_id for record_id, _ in failures[:SHOWN_FAILURES])
    more = f" and {len(failures) - SHOWN_FAILURES} more" if len(failures) > SHOWN_FAILURES else ""
    print(f"{len(failures)} of {total} records failed: {names}{more}")
    for hint in list(dict.fromkeys(error.hint for _, error in failures))[:SHOWN_HINTS]:
        print(f"  fix: {hint}")


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """Have SIGTERM interrupt like Ctrl-C, so that nothing half-written stays behind."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
