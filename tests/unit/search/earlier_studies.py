"""An earlier study of the toy problem, and the toy on a dataset where all is harder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.problem import Context
from search.sampling.prior import PriorResults
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyEpoch, ToyProblem, searched


class Harder(ToyProblem):
    """The same candidates on another dataset: half as accurate, and another space around them."""

    def suggest(self, trial: Any) -> dict[str, float]:
        found = super().suggest(trial)
        return {**found, "dropout": trial.suggest_float("dropout", 0.0, 0.5)}

    def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
        for epoch in super().learn(candidate, context):
            accuracy = 0.5 * epoch.metrics["accuracy"]
            yield ToyEpoch(epoch.number, {"accuracy": accuracy}, epoch.seconds)


def searched_before() -> Study:
    """Return a study of thirty toys drawn by chance, of which halving trained a third on."""
    plan = Plan(
        goal=Goal(candidates=30, max_epochs=9), sampler="random", halving=ParetoHalving(eta=3)
    )
    return searched(ToyProblem(), plan)


def results_of(study: Study) -> PriorResults:
    """Return what another study takes from it."""
    return PriorResults.of(study, TOY_OBJECTIVES, source="studies/toy", max_epochs=9)
