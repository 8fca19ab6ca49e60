"""`ecgsearch data ...`: from recordings to a dataset, and looking at one."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from cluster.paths import resolve_location, resolve_path
from search.cli.lazy_parser import LazyParser
from search.cli.prepare import add_prepare
from search.cli.progress_line import ProgressLine

Subparsers = Any  # argparse keeps the class of add_subparsers() private


def add_commands(commands: Subparsers) -> None:
    """Add `data` and its commands to the parser."""
    data = commands.add_parser("data", help="prepare, describe and check datasets")
    kinds = data.add_subparsers(
        title="commands", required=True, metavar="COMMAND", parser_class=LazyParser
    )
    add_prepare(kinds)
    kinds.add_parser(
        "databases",
        help="list the databases that can be prepared",
        description="List the databases that can be prepared, and what each can be labelled by.",
        fill=_fill_databases,
    )
    kinds.add_parser(
        "fetch",
        help="download an open database from PhysioNet",
        description="Download an open database from PhysioNet, or what is still missing of it. "
        "Every file is compared with the database's SHA-256 sums.",
        fill=_fill_fetch,
    )
    kinds.add_parser(
        "synthesise",
        help="write made-up recordings in WFDB format, to try things on",
        description="Write made-up recordings with age, sex and rhythm in WFDB format. "
        "Prepare them with `ecgsearch data prepare synthetic`.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        fill=_fill_synthesise,
    )
    kinds.add_parser(
        "describe",
        help="print what a dataset holds",
        description="Print what a dataset holds.",
        fill=lambda parser: _fill_with_dataset(parser, _describe),
    )
    kinds.add_parser(
        "check",
        help="verify every byte of a dataset",
        description="Verify every byte of a dataset.",
        fill=lambda parser: _fill_with_dataset(parser, _check),
    )


def _fill_databases(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=_databases)


def _fill_fetch(parser: argparse.ArgumentParser) -> None:
    from ecgmodels.data.databases.fetch import OPEN_DATABASES

    parser.add_argument(
        "name",
        metavar="NAME",
        choices=sorted(OPEN_DATABASES),
        help=", ".join(sorted(OPEN_DATABASES)),
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="PATTERN",
        help='further files, such as "records500/*" of ptbxl (repeats)',
    )
    parser.add_argument(
        "--index-url", metavar="URL", help="a mirror of https://physionet.org/files/ to ask instead"
    )
    parser.set_defaults(run=_fetch)


def _fill_synthesise(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--records", type=int, default=40, help="how many recordings")
    parser.add_argument("--seconds", type=float, default=300.0, help="length of each")
    parser.add_argument("--leads", type=int, default=2, help="1, 2, 8 or 12")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is random")
    parser.set_defaults(run=_synthesise)


def _fill_with_dataset(parser: argparse.ArgumentParser, run: Any) -> None:
    parser.add_argument(
        "dataset", help="folder that `data prepare` wrote, or its address (s3://bucket/folder)"
    )
    parser.set_defaults(run=run)


def _databases(options: argparse.Namespace) -> int:
    from ecgmodels.data import DATABASES
    from ecgmodels.data.databases.fetch import OPEN_DATABASES

    for name, database in sorted(DATABASES.items()):
        version = f" ({database.version})" if database.version else ""
        print(f"{name:<14}{database.title}{version}")
        print(f"{'':<14}tasks: {', '.join(database.tasks)}")
        if own := list(database.settings().to_dict()):
            flags = ", ".join(f"--{field.replace('_', '-')}" for field in own)
            print(f"{'':<14}options of its own: {flags}")
        if name in OPEN_DATABASES:
            print(f"{'':<14}get it with `ecgsearch data fetch {name} --out DIR`")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from ecgmodels.data.databases.fetch import fetch

    out = resolve_path(options.out, what="the recordings")
    with ProgressLine("file", sys.stderr) as progress:
        fetched = fetch(
            options.name,
            out,
            include=options.include,
            progress=progress,
            index_url=options.index_url,
        )
    print(
        f"{fetched.files} files of {options.name} in {fetched.folder}, {fetched.downloaded} of "
        "them downloaded now, all verified"
    )
    return 0


def _synthesise(options: argparse.Namespace) -> int:
    from ecgmodels.data import write_synthetic_recordings

    out = resolve_path(options.out, what="the recordings")
    write_synthetic_recordings(
        out,
        records=options.records,
        seconds_per_record=options.seconds,
        leads=options.leads,
        seed=options.seed,
    )
    print(f"{options.records} synthetic recordings of {options.seconds:g} s: {out}")
    return 0


def _describe(options: argparse.Namespace) -> int:
    from ecgmodels.data import describe_dataset

    print(describe_dataset(resolve_location(options.dataset, what="the dataset")))
    return 0


def _check(options: argparse.Namespace) -> int:
    from ecgmodels.data import check_dataset

    print(check_dataset(resolve_location(options.dataset, what="the dataset")))
    return 0
