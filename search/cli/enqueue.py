"""`ecgsearch enqueue`: candidates that a study is to try first."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

from search.cli.numbers import positive, whole_number

Subparsers = Any  # argparse keeps the class of add_subparsers() private


def add_commands(commands: Subparsers) -> None:
    """Add `enqueue` to the parser."""
    enqueue = commands.add_parser(
        "enqueue",
        help="have a study try known-good candidates first",
        description="Write down candidates that the study of a TOML file tries before any other, "
        "when it is run the next time. What is left out of their parameters is drawn by chance.",
    )
    enqueue.add_argument("study_file", type=Path, metavar="STUDY.toml")
    enqueue.add_argument(
        "--params",
        type=_assignment,
        nargs="+",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="the parameters of one candidate (repeats)",
    )
    enqueue.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar="STUDY",
        help="the folder of another study: members of its front, as far as this space has them",
    )
    which = enqueue.add_mutually_exclusive_group()
    which.add_argument(
        "--top", type=positive, metavar="K", help="with --from: the K most accurate (default 1)"
    )
    which.add_argument(
        "--trial",
        type=whole_number(0),
        action="append",
        default=[],
        metavar="N",
        help="with --from: this trial (repeats)",
    )
    enqueue.set_defaults(run=_enqueue)


def _enqueue(options: argparse.Namespace) -> int:
    from cluster.paths import resolve_path
    from search.errors import StudyError
    from search.queueing import Source, enqueue_candidates
    from search.study_file.reading import StudyFile

    if options.source is None and (options.top or options.trial):
        raise StudyError("--top and --trial choose from a study", hint="name it: --from STUDY")
    source = None
    if options.source is not None:
        folder = resolve_path(options.source, what="the other study's folder")
        source = Source(folder=folder, top=options.top or 1, trials=tuple(options.trial))
    elif not options.params:
        raise StudyError("there is nothing to enqueue", hint="give --params or --from")
    given = [dict(assignments) for assignments in options.params]
    study_file = StudyFile.from_toml(options.study_file)
    for line in enqueue_candidates(study_file, given, source):
        print(line)
    return 0


def _assignment(text: str) -> tuple[str, Any]:
    """Return name and value of `phi=-1.5`; what is no TOML value is text."""
    name, equals, value = text.partition("=")
    if not (name and equals and value):
        raise argparse.ArgumentTypeError(f"expected NAME=VALUE, got {text}")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value
