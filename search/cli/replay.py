"""`ecgsearch replay`: whether a search comes out the same when it is carried out again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cluster.paths import resolve_path

Subparsers = Any  # argparse keeps the class of add_subparsers() private


def add_commands(commands: Subparsers) -> None:
    """Add the command to the parser."""
    replay = commands.add_parser(
        "replay",
        help="check that a study's decisions come out the same again",
        description="Feed the recorded results in their order to a search that begins anew, "
        "without training anything, and compare every suggestion, promotion and verdict. Prints "
        "the first difference and exits with 1 if there is one.",
    )
    replay.add_argument("study", type=Path, help="the study's folder")
    replay.set_defaults(run=_replay)


def _replay(options: argparse.Namespace) -> int:
    import optuna

    from search.execution.replay import replay
    from search.running import problem_spec
    from search.study.folder import StudyFolder

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = StudyFolder(resolve_path(options.study, what="the study folder"))
    study = folder.open()
    spec, _ = problem_spec(folder.study_file())
    found = replay(study, spec.build())
    same = f"{found.suggestions:,} suggestions and {found.decisions:,} decisions"
    if found.difference is None:
        print(f"{same} came out the same")
        return 0
    print(f"{same} came out the same, then place {found.difference.place} did not:")
    print(f"  recorded  {found.difference.recorded}")
    print(f"  replayed  {found.difference.replayed}")
    return 1
