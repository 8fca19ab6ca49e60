"""Asks the sampler for candidates, turns down what cannot or need not run, writes down the rest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import optuna

from cluster.resources import Resources
from search.engine import Admitted
from search.objectives import Bound
from search.problem import Problem, candidate_dict, candidate_key, candidate_resources
from search.projection import Projection, comparable_epoch, sampler_attributes
from search.samplers import SAMPLERS, derived_seed
from search.study import Proposal, Study
from spaces import CandidateRefused

_PATIENCE = 20
"""Proposals turned down in a row after which random ones are tried, so that a sampler that keeps
to one exhausted corner does not end the search."""
_LIMIT = 400
"""Proposals turned down in a row after which the space counts as exhausted."""


class Proposer:
    """One candidate a call: within bounds, new by its key, written down before it is returned."""

    def __init__(
        self,
        problem: Problem,
        study: Study,
        *,
        sampler: str,
        startup: int,
        seed: int,
        bounds: Sequence[Bound] = (),
        rungs: Sequence[int] = (),
        max_epochs: int,
    ) -> None:
        self._problem = problem
        self._study = study
        self._projection = Projection(study)
        self._sampler = sampler
        self._startup = startup
        self._seed = seed
        self._bounds = tuple(bounds)
        self._rungs = tuple(rungs)
        self._max_epochs = max_epochs
        self._keys = {record.key for record in study.records.values()}

    def __call__(self) -> Admitted | None:
        """Return an admitted candidate, or None when the space has nothing new within bounds."""
        for turned_down in range(_LIMIT):
            proposal = self._propose(self._sampler if turned_down < _PATIENCE else "random")
            if any(value > 0 for value in proposal.constraints.values()):
                self._study.reject(proposal)
                continue
            self._keys.add(proposal.key)
            record = self._study.add(proposal)
            return Admitted(number=record.number, resources=record.resources)
        return None

    def _propose(self, sampler_name: str) -> Proposal:
        shown = self._shown_study(sampler_name)
        trial = shown.ask()
        known: dict[str, Any] = {"candidate": {}, "key": "", "costs": {}, "resources": Resources()}
        try:
            candidate = self._problem.suggest(trial)
        except CandidateRefused:
            constraints = {"space": 1.0}
        else:
            costs = {name: float(value) for name, value in self._problem.cost(candidate).items()}
            key = candidate_key(self._problem, candidate)
            constraints = {bound.name: bound.violation(costs) for bound in self._bounds}
            constraints["duplicate"] = 1.0 if key in self._keys else 0.0
            known = {
                "candidate": candidate_dict(candidate),
                "key": key,
                "costs": costs,
                "resources": candidate_resources(self._problem, candidate),
            }
        asked = shown.get_trials(deepcopy=False)[trial.number]
        return Proposal(
            params=asked.params,
            distributions=asked.distributions,
            constraints=constraints,
            system_attrs=sampler_attributes(asked.system_attrs),
            **known,
        )

    def _shown_study(self, sampler_name: str) -> optuna.Study:
        """Show the study to a fresh sampler: nothing it asks is stored before it is judged."""
        records = self._study.records
        place = len(records) + len(self._study.rejections)
        sampler = SAMPLERS[sampler_name](derived_seed(self._seed, "suggest", place), self._startup)
        epoch = comparable_epoch(records.values(), self._rungs, self._max_epochs, self._startup)
        return self._projection.show(epoch, sampler)
