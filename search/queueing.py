"""Enqueues candidates for a study from the command line; the study need not have begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna

from cluster.paths import resolve_path
from search.errors import StudyError
from search.problem import Problem
from search.problem_check import require_sound
from search.running import problem_spec
from search.sampling.pinned import shared_params
from search.study.folder import StudyFolder
from search.study.fronts import NO_FRONT, most_accurate
from search.study_file.reading import StudyFile
from search.warm_start import enqueue, open_earlier, require_candidates


@dataclass(frozen=True, kw_only=True)
class Source:
    """Candidates of another study."""

    folder: Path
    top: int
    """So many members of its front, the most accurate first."""
    trials: tuple[int, ...] = ()
    """Or these trials, by number."""


def enqueue_candidates(
    study_file: StudyFile, given: Sequence[Mapping[str, Any]], source: Source | None
) -> list[str]:
    """Write candidates down in a study's storage, all or none; return a line for people on each.

    Raises:
        StudyError: one of them is no candidate of the study's space, or breaks its bounds; another
            process drives the study.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    spec, dataset_hash = problem_spec(study_file)
    problem = spec.build()
    require_sound(problem, study_file.to_objectives(), study_file.to_bounds())
    require_candidates(problem, study_file.to_bounds(), given, study_file.seed)
    named = {f"candidate {i}": dict(params) for i, params in enumerate(given)}
    if source is not None:
        named |= _borrowed(problem, study_file, source)
    folder = StudyFolder(resolve_path(study_file.study, what="the study folder"))
    with folder.driving():
        study = folder.create(study_file, dataset_hash)
        new = enqueue(study, list(named.values()))
        started = sum(record.imported is None for record in study.records.values())
    lines = [
        f"{name}: {_shown(params)}" + ("" if params in new else " (was enqueued before)")
        for name, params in named.items()
    ]
    wanted = study_file.budget.candidates
    if wanted is not None and started >= wanted:
        lines.append(f"all {wanted} candidates are started: raise budget.candidates")
    return lines


def _borrowed(problem: Problem, study_file: StudyFile, source: Source) -> dict[str, dict[str, Any]]:
    """Return of another study's candidates the parameters that this study's space has, too."""
    study = open_earlier(StudyFolder(source.folder))
    unknown = [number for number in source.trials if number not in study.records]
    if unknown:
        raise StudyError(
            f"there is no trial {unknown[0]} in {source.folder}",
            hint=f"`ecgsearch pareto {source.folder}` lists its front",
        )
    chosen = [study.records[n] for n in source.trials] or most_accurate(study, source.top)
    if not chosen:
        raise StudyError(
            f"{source.folder} has no front: {NO_FRONT}",
            hint="search it first",
        )
    found = {}
    for record in chosen:
        name = f"trial {record.number} of {source.folder}"
        params = shared_params(problem, study_file.to_bounds(), record.params, study_file.seed)
        if not params:
            raise StudyError(
                f"{name} has no parameter that a candidate of this study could have",
                hint="widen space and bounds, or take other trials",
            )
        found[name] = params
    return found


def _shown(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in params.items())
