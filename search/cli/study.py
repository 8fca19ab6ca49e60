"""`ecgsearch run`, `pareto`, `retrain`: searching, looking at the front, taking a model home."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.paths import resolve_path
from search.cli.numbers import positive, seed, whole_number

if TYPE_CHECKING:
    from search.study.study import Study

Subparsers = Any  # argparse keeps the class of add_subparsers() private


def add_commands(commands: Subparsers) -> None:
    """Add the commands to the parser."""
    run = commands.add_parser(
        "run",
        help="start a study, or go on with it",
        description="Start the study that a TOML file describes, or go on where it stands.",
    )
    run.add_argument("study_file", type=Path, metavar="STUDY.toml")
    _add_cluster_options(run)
    run.set_defaults(run=_run)

    pareto = commands.add_parser(
        "pareto",
        help="print the front of a study",
        description="Print the candidates that no other beats in all objectives at once.",
    )
    pareto.add_argument("study", type=Path, help="the study's folder")
    pareto.add_argument("--json", action="store_true", help="print every detail as JSON")
    pareto.set_defaults(run=_pareto)

    retrain = commands.add_parser(
        "retrain",
        help="train members of the front to full length and test them",
        description="Train members of the front to full length, save them, and report validation "
        "and test metrics per class. Every reading of the test part is logged in the study.",
    )
    retrain.add_argument("study", type=Path, help="the study's folder")
    which = retrain.add_mutually_exclusive_group()
    which.add_argument(
        "--top",
        type=positive,
        metavar="K",
        help="the K best of the front by the first learned objective (default 1)",
    )
    which.add_argument(
        "--trial",
        type=whole_number(0),
        action="append",
        default=[],
        metavar="N",
        help="this trial (repeats)",
    )
    retrain.add_argument(
        "--workers", type=positive, default=1, help="data-parallel workers (default 1)"
    )
    retrain.add_argument(
        "--epochs", type=positive, help="length of the training (default: the study's)"
    )
    retrain.add_argument(
        "--seed", type=seed, default=0, help="other weights and order than in the search"
    )
    _add_cluster_options(retrain)
    retrain.set_defaults(run=_retrain)


def _add_cluster_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--address", help="a Ray cluster, HOST:PORT (default: $RAY_ADDRESS, else this machine)"
    )
    command.add_argument("--cpus", type=positive, help="use so many CPUs of this machine")


def _run(options: argparse.Namespace) -> int:
    from search.running import run_study
    from search.study.fronts import front_records
    from search.study_file.reading import StudyFile

    outcome = run_study(
        StudyFile.from_toml(options.study_file), address=options.address, cpus=options.cpus
    )
    if outcome.interrupted:
        raise KeyboardInterrupt
    print()
    print(_shown(outcome.study))
    if outcome.limit is not None:
        print(f"ended: {outcome.limit}")
    if outcome.reason is not None:
        print(f"\nended early: {outcome.reason}")
        return 1
    return 0 if front_records(outcome.study) else 1  # a script must see that nothing came of it


def _pareto(options: argparse.Namespace) -> int:
    from search.study.folder import StudyFolder
    from search.study.fronts import front_rows

    study = StudyFolder(resolve_path(options.study, what="the study folder")).open()
    print(json.dumps(front_rows(study), indent=2) if options.json else _shown(study))
    return 0


def _retrain(options: argparse.Namespace) -> int:
    from search.retraining.retrain import RetrainOptions, retrain

    retrain(
        resolve_path(options.study, what="the study folder"),
        RetrainOptions(
            top=options.top,
            trials=tuple(options.trial),
            workers=options.workers,
            epochs=options.epochs,
            seed=options.seed,
        ),
        address=options.address,
        cpus=options.cpus,
    )
    return 0


def _shown(study: Study) -> str:
    from search.reports.front_table import front_table
    from search.reports.optimism_audit import optimism_line
    from search.reports.time_ledger import time_ledger

    parts = front_table(study), optimism_line(study), time_ledger(study)
    return "\n".join(part for part in parts if part)
