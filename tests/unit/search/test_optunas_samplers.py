"""Samplers of Optuna's, as they are set up here."""

from __future__ import annotations

from typing import Any

import optuna
import pytest

from search.engine.conductor import Plan
from search.engine.goal import Goal
from tests.toy import ToyProblem, searched


class Conditional(ToyProblem):
    """The rate has another name in every other candidate."""

    def suggest(self, trial: Any) -> dict[str, float]:
        kind = trial.suggest_categorical("kind", ["a", "b"])
        return {
            "size": trial.suggest_int("size", 1, 1000, log=True),
            "rate": trial.suggest_float(f"rate_{kind}", 1e-3, 1e-1, log=True),
        }


def test_gp_is_silent_where_parameters_come_and_go(caplog: pytest.LogCaptureFixture) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    optuna.logging.enable_propagation()
    goal = Goal(candidates=6, max_epochs=1)
    study = searched(Conditional(), Plan(goal=goal, sampler="gp", startup=2))
    optuna.logging.disable_propagation()
    assert len(study.records) == 6
    assert "independently" not in caplog.text
