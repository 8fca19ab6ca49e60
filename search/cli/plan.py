"""`ecgsearch plan`: what a study would cost, before it starts."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from search.cli.numbers import positive

Subparsers = Any  # argparse keeps the class of add_subparsers() private


def add_commands(commands: Subparsers) -> None:
    """Add `plan` to the parser."""
    plan = commands.add_parser(
        "plan",
        help="show what a study would cost, after timing a few candidates",
        description="Check a study file as `run` does, and print the sizes in its space, how many "
        "trials run at a time, what an epoch takes by a short probe, and what the search would "
        "cost with and without halving. The study's folder is not written to.",
    )
    plan.add_argument("study_file", type=Path, metavar="STUDY.toml")
    plan.add_argument(
        "--address", help="a Ray cluster, HOST:PORT (default: $RAY_ADDRESS, else this machine)"
    )
    plan.add_argument("--cpus", type=positive, help="use so many CPUs of this machine")
    plan.add_argument(
        "--probe-seconds",
        type=positive,
        default=60,
        metavar="S",
        help="time candidates for so long at most (default 60)",
    )
    plan.add_argument("--json", action="store_true", help="print every number as JSON")
    plan.set_defaults(run=_plan)


def _plan(options: argparse.Namespace) -> int:
    from search.planning.study_plan import plan_study
    from search.reports.plan_table import plan_table
    from search.study_file.reading import StudyFile

    planned = plan_study(
        StudyFile.from_toml(options.study_file),
        address=options.address,
        cpus=options.cpus,
        probe_seconds=options.probe_seconds,
        show=(lambda line: None) if options.json else print,
    )
    if options.json:
        print(json.dumps(planned.to_dict(), indent=2))
    else:
        print(f"\n{plan_table(planned)}")
    return 0
