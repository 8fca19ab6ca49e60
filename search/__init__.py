"""Searching for accuracy at every size; see `search.problem` for what can be searched.

from search import Objective, ParetoHalving, simulate
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.engine.conductor import Plan
    from search.engine.goal import Goal
    from search.engine.halving import ParetoHalving
    from search.execution.simulator import simulate
    from search.objectives import Bound, Objective
    from search.problem import Context, Problem
    from search.study.study import Study

__all__ = [
    "Bound",
    "Context",
    "Goal",
    "Objective",
    "ParetoHalving",
    "Plan",
    "Problem",
    "Study",
    "simulate",
]

# Imported when first used: the command line's help and mistakes should not wait for Optuna.
_LAZY = {
    "Bound": "objectives",
    "Context": "problem",
    "Goal": "engine.engine",
    "Objective": "objectives",
    "ParetoHalving": "engine.halving",
    "Plan": "engine.conductor",
    "Problem": "problem",
    "Study": "study.study",
    "simulate": "execution.simulator",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'search' has no attribute '{name}'")
    return getattr(importlib.import_module(f"search.{_LAZY[name]}"), name)
