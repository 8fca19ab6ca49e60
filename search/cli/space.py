"""`ecgsearch space`: what a study would propose, before anything is trained."""

from __future__ import annotations

import argparse
import dataclasses
import json
from pathlib import Path
from typing import Any

from search.cli.numbers import positive, seed

Subparsers = Any  # argparse keeps the class of add_subparsers() private


def add_commands(commands: Subparsers) -> None:
    """Add `space` to the parser."""
    space = commands.add_parser(
        "space",
        help="show what a study would propose, without training",
        description="Draw candidates at random from the space of a study file and print their "
        "sizes, and how many are refused or out of bounds. Nothing is trained or written down.",
    )
    space.add_argument("study_file", type=Path, metavar="STUDY.toml")
    space.add_argument(
        "--candidates", type=positive, default=2000, metavar="N", help="how many (default 2000)"
    )
    space.add_argument("--seed", type=seed, default=0, help="draws others (default 0)")
    space.add_argument(
        "--figure", type=Path, metavar="FILE.png", help="draw parameters against MACs"
    )
    space.add_argument("--json", action="store_true", help="print every number as JSON")
    space.set_defaults(run=_space)


def _space(options: argparse.Namespace) -> int:
    from search.reports.space_survey import Surveyed, draw, groups, survey_table
    from search.study_file.reading import StudyFile

    study_file = StudyFile.from_toml(options.study_file)
    surveyed = Surveyed.of(study_file)
    samples = draw(surveyed, options.candidates, options.seed)
    if options.figure is not None:
        from search.reports.space_figure import draw_figure

        title = f"{len(samples):,} candidates of '{study_file.name}'\n{surveyed.name}"
        draw_figure(samples, surveyed.bounds, options.figure, title=title)
    found = groups(samples)
    if options.json:
        print(json.dumps([dataclasses.asdict(group) for group in found], indent=2))
        return 0
    print(f"{len(samples):,} candidates of '{study_file.name}' at random, {surveyed.name}\n")
    print(survey_table(found, bounded=bool(surveyed.bounds)))
    if surveyed.unmeasured:
        names = ", ".join(f"bounds.{bound.name}" for bound in surveyed.unmeasured)
        print(f"\nleft out: {names} (a study measures what it proposes)")
    if options.figure is not None:
        print(f"\nfigure: {options.figure}")
    return 0
