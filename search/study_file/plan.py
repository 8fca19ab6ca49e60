"""What a study file asks of the engine."""

from __future__ import annotations

from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.optimism import Optimism
from search.study_file.reading import StudyFile


def goal(study_file: StudyFile) -> Goal:
    """Return what the study's budget asks for."""
    budget = study_file.budget
    return Goal(
        max_epochs=budget.epochs,
        candidates=budget.candidates,
        budget_epochs=budget.total_epochs,
        gpu_hours=budget.gpu_hours,
        worker_hours=budget.worker_hours,
        hours=budget.hours,
        min_gain_per_hour=budget.min_gain_per_hour,
    )


def plan(study_file: StudyFile) -> Plan:
    """Return how the study is searched."""
    halving, optimism = study_file.halving, study_file.optimism
    return Plan(
        goal=goal(study_file),
        sampler=study_file.sampler.name,
        startup=study_file.sampler.startup,
        seed=study_file.seed,
        bounds=study_file.to_bounds(),
        halving=(
            ParetoHalving(
                eta=halving.eta,
                first_rung=halving.first_rung,
                min_results=halving.min_results,
                finish_front=halving.finish_front,
            )
            if halving.name == "pareto"
            else None
        ),
        optimism=(
            Optimism(min_curves=optimism.min_curves, audit_share=optimism.audit_share)
            if optimism.enabled
            else None
        ),
    )
