"""`ecgsearch data ...`: from recordings to a dataset, and looking at one."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cluster.paths import resolve_path

Subparsers = Any  # argparse keeps the class of add_subparsers() private


def add_commands(commands: Subparsers) -> None:
    """Add `data` and its commands to the parser."""
    data = commands.add_parser("data", help="prepare, describe and check datasets")
    kinds = data.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_prepare(kinds)
    _add_synthesise(kinds)
    for name, run, text in (
        ("describe", _describe, "print what a dataset holds"),
        ("check", _check, "verify every byte of a dataset"),
    ):
        command = kinds.add_parser(name, help=text, description=f"{text.capitalize()}.")
        command.add_argument("dataset", type=Path, help="folder that `data prepare` wrote")
        command.set_defaults(run=run)


def _add_prepare(kinds: Subparsers) -> None:
    command = kinds.add_parser(
        "prepare",
        help="cut recordings into segments and write them as Arrow shards",
        description="Cut recordings into beat-centred segments and write them as Arrow shards.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("database", help="mitdb or synthetic")
    command.add_argument("--source", type=Path, required=True, help="folder of the recordings")
    command.add_argument("--out", type=Path, required=True, help="folder to write")
    command.add_argument(
        "--window-ms",
        type=_numbers(2),
        default=(375.0, 625.0),
        metavar="BEFORE,AFTER",
        help="window around the beat",
    )
    command.add_argument(
        "--rate-hz",
        type=_number_or_none,
        default=128.0,
        metavar="HZ",
        help="sampling rate of the segments; none keeps the recordings' own",
    )
    command.add_argument(
        "--filter-hz",
        type=_numbers_or_none(2),
        default=(0.5, 40.0),
        metavar="LOW,HIGH",
        help="zero-phase band-pass over each record; none leaves the signal as it is",
    )
    for name, text in (
        ("leads", "leads to keep, in this order"),
        ("classes", "classes to keep, in this order"),
        ("features", "features to keep; none for none"),
    ):
        command.add_argument(
            f"--{name}",
            type=_names,
            default=None,
            metavar="A,B,...",
            help=f"{text} (default: the database's)",
        )
    command.add_argument(
        "--mapping", default=None, help="mapping from annotation codes to classes, by name"
    )
    command.add_argument("--split", default=None, help="official split, by name")
    command.add_argument("--folds", type=int, default=4, help="patient-grouped folds")
    command.add_argument(
        "--edges",
        default="pad",
        choices=("pad", "drop"),
        help="windows that reach over an end of their record",
    )
    command.add_argument(
        "--processes", type=int, default=None, help="worker processes (default: one a core)"
    )
    command.set_defaults(run=_prepare)


def _add_synthesise(kinds: Subparsers) -> None:
    command = kinds.add_parser(
        "synthesise",
        help="write made-up recordings in WFDB format, to try things on",
        description="Write made-up two-lead recordings with age, sex and rhythm in WFDB format. "
        "Prepare them with `ecgsearch data prepare synthetic`.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("--out", type=Path, required=True, help="folder to write")
    command.add_argument("--records", type=int, default=40, help="how many recordings")
    command.add_argument("--seconds", type=float, default=300.0, help="length of each")
    command.add_argument("--seed", type=int, default=0, help="of everything that is random")
    command.set_defaults(run=_synthesise)


def _prepare(options: argparse.Namespace) -> int:
    from ecgmodels.data import PrepareOptions, describe_dataset, prepare

    chosen = {
        name: getattr(options, name)
        for name in ("window_ms", "rate_hz", "filter_hz", "edges", "folds", "mapping", "split")
    }
    for name in ("leads", "classes", "features"):
        if (names := getattr(options, name)) is not None:
            chosen[name] = names
    out = resolve_path(options.out, what="the dataset folder")
    begun_s = time.perf_counter()
    prepare(
        options.database,
        resolve_path(options.source, what="the recordings"),
        out,
        PrepareOptions(**chosen),
        processes=options.processes,
        progress=_progress_on_terminal("record"),
        command=" ".join(["ecgsearch", *sys.argv[1:]]),
    )
    print(describe_dataset(out))
    print(f"prepared in {time.perf_counter() - begun_s:.1f} s")
    return 0


def _synthesise(options: argparse.Namespace) -> int:
    from ecgmodels.data import write_synthetic_recordings

    out = resolve_path(options.out, what="the recordings")
    write_synthetic_recordings(
        out, records=options.records, seconds_per_record=options.seconds, seed=options.seed
    )
    print(f"{options.records} synthetic recordings of {options.seconds:g} s: {out}")
    return 0


def _describe(options: argparse.Namespace) -> int:
    from ecgmodels.data import describe_dataset

    print(describe_dataset(resolve_path(options.dataset, what="the dataset")))
    return 0


def _check(options: argparse.Namespace) -> int:
    from ecgmodels.data import check_dataset

    print(check_dataset(resolve_path(options.dataset, what="the dataset")))
    return 0


def _progress_on_terminal(unit: str) -> Callable[[int, int], None] | None:
    """Return a progress callback that rewrites one line; None where nobody watches."""
    if not sys.stderr.isatty():
        return None

    def show(done: int, total: int) -> None:
        end = "\n" if done == total else ""
        print(f"\r{unit} {done}/{total}", end=end, file=sys.stderr, flush=True)

    return show


def _names(text: str) -> tuple[str, ...]:
    if text == "none":
        return ()
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _number_or_none(text: str) -> float | None:
    return None if text == "none" else float(text)


def _numbers(count: int) -> Callable[[str], tuple[float, ...]]:
    def numbers(text: str) -> tuple[float, ...]:
        values = tuple(float(part) for part in text.split(","))
        if len(values) != count:
            raise argparse.ArgumentTypeError(f"expected {count} numbers, got '{text}'")
        return values

    return numbers


def _numbers_or_none(count: int) -> Callable[[str], tuple[float, ...] | None]:
    numbers = _numbers(count)

    def numbers_or_none(text: str) -> tuple[float, ...] | None:
        return None if text == "none" else numbers(text)

    return numbers_or_none
