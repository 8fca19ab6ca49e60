"""Asks the sampler for candidates, turns down what cannot or need not run, writes down the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna

from cluster.resources import Resources
from search.engine.decisions import Admitted, Promoted
from search.objectives import Bound
from search.problem import Problem, candidate_dict, candidate_key, candidate_resources
from search.sampling.front_sampler import Choice, FrontSampler, Promotion
from search.sampling.projection import Projection, comparable_epoch, sampler_attributes
from search.sampling.samplers import OPTUNAS, OURS, derived_seed
from search.study.study import Proposal, Study
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
        self._front_sampler = FrontSampler(
            problem,
            study,
            bounds=self._bounds,
            rungs=self._rungs,
            max_epochs=max_epochs,
            startup=startup,
        )

    @property
    def advises(self) -> bool:
        """Whether it says who of the paused candidates is worth more than a new one."""
        return self._sampler == OURS and bool(self._rungs)

    def __call__(self, paused: Collection[int] = ()) -> Admitted | Promoted | None:
        """Return an admitted candidate, or None when the space has nothing new within bounds.

        Args:
            paused: where it advises, one of these may be returned in its place.
        """
        if self._sampler == OURS:
            found = self._front_sampler.decide(self._place_seed(), self._keys, paused)
            if isinstance(found, Promotion):
                return Promoted(number=found.number)
            if found is not None:
                return self._admit(self._chosen(found))
        asked = self._sampler if self._sampler in OPTUNAS else "random"
        for turned_down in range(_LIMIT):
            proposal = self._propose(asked if turned_down < _PATIENCE else "random")
            if any(value > 0 for value in proposal.constraints.values()):
                self._study.reject(proposal)
                continue
            return self._admit(proposal)
        return None

    def _admit(self, proposal: Proposal) -> Admitted:
        self._keys.add(proposal.key)
        record = self._study.add(proposal)
        return Admitted(number=record.number, resources=record.resources)

    def _chosen(self, choice: Choice) -> Proposal:
        found = choice.draft
        return Proposal(
            params=found.params,
            distributions=found.distributions,
            constraints=self._constraints(found.key, found.costs),
            system_attrs=choice.attributes,
            candidate=candidate_dict(found.candidate),
            key=found.key,
            costs=found.costs,
            resources=candidate_resources(self._problem, found.candidate),
        )

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
            constraints = self._constraints(key, costs)
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

    def _constraints(self, key: str, costs: Mapping[str, float]) -> dict[str, float]:
        """Return what a proposal keeps (0 or less) and breaks, by name."""
        kept = {bound.name: bound.violation(costs) for bound in self._bounds}
        return kept | {"duplicate": 1.0 if key in self._keys else 0.0}

    def _shown_study(self, sampler_name: str) -> optuna.Study:
        """Show the study to a fresh sampler: nothing it asks is stored before it is judged."""
        records = self._study.records
        sampler = OPTUNAS[sampler_name](self._place_seed(), self._startup)
        epoch = comparable_epoch(records.values(), self._rungs, self._max_epochs, self._startup)
        return self._projection.show(epoch, sampler)

    def _place_seed(self) -> int:
        """Return the seed of the next suggestion, which depends on its place in the study."""
        place = len(self._study.records) + len(self._study.rejections)
        return derived_seed(self._seed, "suggest", place)
