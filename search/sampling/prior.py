"""Results of earlier studies as prior knowledge: of another dataset, or another space.

What an earlier study measured is no result of this one, and its accuracies are no accuracies here:
another dataset is harder or easier. What carries over is which candidates were better than others
(`foreknowledge`).
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution

from ecgmodels.configs import nearest_hint
from search.engine.pareto import front
from search.errors import StudyError
from search.objectives import Objective, exact_value, objective_vector
from search.sampling.observed import exact_point
from search.study.records import Phase
from search.study.study import Study

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class PriorCandidate:
    """What an earlier study knows of one of its candidates."""

    number: int
    params: Mapping[str, Any]
    distributions: Mapping[str, BaseDistribution]
    """Of that study's space."""
    costs: Mapping[str, float]
    curve: tuple[tuple[float, ...], ...]
    """[epoch][learned objective], minimised, as that study measured it: of the model to keep."""


@dataclass(frozen=True, kw_only=True)
class PriorResults:
    """All candidates of one earlier study that have a result."""

    source: str
    """The earlier study's folder, as the study file names it."""
    metrics: tuple[str, ...]
    """Of the learned objectives."""
    max_epochs: int
    """The full length of a training there."""
    candidates: tuple[PriorCandidate, ...]

    @classmethod
    def of(
        cls, study: Study, objectives: Sequence[Objective], *, source: str, max_epochs: int
    ) -> PriorResults:
        """Take from an earlier study what concerns the objectives of another.

        Raises:
            StudyError: it has no results, or did not measure one of the objectives.
        """
        learned = [objective for objective in objectives if not objective.exact]
        candidates = []
        for record in study.records.values():
            if not record.curve or record.phase is Phase.FAILED:
                continue
            for objective in objectives:
                _require(objective, record.metrics, record.costs, source)
            template = study.template(record.number)
            epochs = range(1, record.epochs + 1)
            curve = [objective_vector(learned, record.metrics_after(n), {}) for n in epochs]
            candidates.append(
                PriorCandidate(
                    number=record.number,
                    params=template.params,
                    distributions=template.distributions,
                    costs=record.costs,
                    curve=tuple(curve),
                )
            )
        if not candidates:
            raise StudyError(
                f"{source} has no results yet", hint="search it first, or leave it out"
            )
        return cls(
            source=source,
            metrics=tuple(objective.metric for objective in learned),
            max_epochs=max_epochs,
            candidates=tuple(candidates),
        )

    def front(self, objectives: Sequence[Objective]) -> list[PriorCandidate]:
        """Return the candidates that none dominates by their last results."""
        points = []
        for candidate in self.candidates:
            learned = iter(candidate.curve[-1])
            points.append(
                [exact_point(o, candidate.costs) if o.exact else next(learned) for o in objectives]
            )
        return [self.candidates[i] for i in front(np.array(points))]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON-ready values; a distribution that many share is there once."""
        known: dict[str, int] = {}
        rows = []
        for c in self.candidates:
            texts = {name: distribution_to_json(of) for name, of in c.distributions.items()}
            places = {n: known.setdefault(text, len(known)) for n, text in texts.items()}
            rows.append([c.number, dict(c.params), places, dict(c.costs), c.curve])
        return {
            "source": self.source,
            "metrics": list(self.metrics),
            "max_epochs": self.max_epochs,
            "distributions": list(known),
            "candidates": rows,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> PriorResults:
        """Build it again from what `to_dict` returned."""
        distributions = [json_to_distribution(text) for text in values["distributions"]]
        return cls(
            source=values["source"],
            metrics=tuple(values["metrics"]),
            max_epochs=values["max_epochs"],
            candidates=tuple(
                PriorCandidate(
                    number=number,
                    params=params,
                    distributions={name: distributions[i] for name, i in places.items()},
                    costs=costs,
                    curve=tuple(tuple(results) for results in curve),
                )
                for number, params, places, costs, curve in values["candidates"]
            ),
        )


def note_prior(study: Study, prior: PriorResults) -> None:
    """Write an earlier study's results beside the trials of another: no other folder is needed."""
    study.set_note(f"prior:{len(noted_priors(study)) + 1}", prior.to_dict())


def noted_priors(study: Study) -> list[PriorResults]:
    """Return the earlier studies' results that were written into a study, in their order."""
    numbered = (study.note(f"prior:{n}") for n in itertools.count(1))
    return [
        PriorResults.from_dict(p) for p in itertools.takewhile(lambda p: p is not None, numbered)
    ]


def _require(
    objective: Objective, metrics: Mapping[str, float], costs: Mapping[str, float], source: str
) -> None:
    if objective.exact:
        try:
            exact_value(objective.metric, costs)
        except StudyError as error:
            raise StudyError(f"{source}: {error}", hint=error.hint) from error
    elif objective.metric not in metrics:
        raise StudyError(
            f"{source} did not measure '{objective.metric}', an objective here",
            hint=nearest_hint(objective.metric, metrics),
        )
