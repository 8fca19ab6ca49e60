"""Beginning a study, or opening it where it is begun."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import BaseStorage
from optuna.study import StudyDirection

from search.objectives import Objective
from search.study.study import Study


def create_study(
    storage: BaseStorage,
    name: str,
    objectives: Sequence[Objective],
    settings: Mapping[str, Any] | None = None,
) -> Study:
    """Create the study in the storage, or open it when it is there."""
    directions = [
        StudyDirection.MAXIMIZE if objective.direction == "max" else StudyDirection.MINIMIZE
        for objective in objectives
    ]
    optuna_study = optuna.create_study(
        storage=storage, study_name=name, directions=directions, load_if_exists=True
    )
    # Each is asked for by itself: a kill can fall between any two of these writes.
    if optuna_study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            optuna_study.set_metric_names([objective.metric for objective in objectives])
    study = Study(storage, name, objectives)
    if settings is not None and not study.settings:
        study.set_settings(settings)
    return study
