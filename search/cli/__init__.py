"""The `ecgsearch` command.

Errors of the user's are two lines (what is wrong, how to mend it) and exit status 2; an
interruption is 130. Modules that do the work are imported by the command that needs them, so that
help and mistakes show at once.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from cluster.errors import ClusterError
from ecgmodels.errors import ECGModelsError
from search.cli import data, enqueue, export, plan, replay, space, study
from search.cli.lazy_parser import TwoLineParser
from search.errors import ECGSearchError

USER_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status."""
    options = _parser().parse_args(arguments)
    if os.getcwd() not in sys.path:
        # As `python -m search` has it: a user's own problem or space lies where they start.
        sys.path.insert(0, os.getcwd())
    try:
        return options.run(options)
    except (ECGModelsError, ECGSearchError, ClusterError) as error:
        if options.debug:
            raise
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        print(f"fix: {_one_line(error.hint)}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of a pipe had enough (`ecgsearch pareto ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        if options.debug:
            raise
        print(f"error: {_one_line(str(error))}", file=sys.stderr)
        print(
            "fix: check that the path is there and writable, and the disk not full", file=sys.stderr
        )
        return USER_ERROR


def _parser() -> argparse.ArgumentParser:
    parser = TwoLineParser(
        prog="ecgsearch",
        description="Find the best accuracy an ECG model of each size can reach.",
        epilog="Paths of data and studies are absolute or relative to $ECGSEARCH_HOME, which is "
        "the current folder unless it is set.",
    )
    parser.add_argument("--debug", action="store_true", help="show where an error came from")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    data.add_commands(commands)
    space.add_commands(commands)
    plan.add_commands(commands)
    study.add_commands(commands)
    replay.add_commands(commands)
    enqueue.add_commands(commands)
    export.add_commands(commands)
    return parser


def _one_line(text: str) -> str:
    return " ".join(text.split())
