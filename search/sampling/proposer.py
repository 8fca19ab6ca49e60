"""Asks the sampler for candidates, turns down what cannot or need not run, writes down the rest."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import optuna

from cluster.resources import Resources
from search.engine.decisions import Admitted, Promoted
from search.objectives import Bound, is_exact
from search.problem import (
    Problem,
    candidate_dict,
    candidate_key,
    candidate_resources,
    measure,
    measured_costs,
)
from search.sampling.beginning import ENQUEUED_ATTRIBUTE, PRIOR_ATTRIBUTE, Beginning
from search.sampling.foreknowledge import Foreknowledge
from search.sampling.foresight import Foresight
from search.sampling.front_sampler import Choice, FrontSampler, Promotion
from search.sampling.prior import PriorResults
from search.sampling.projection import Projection, comparable_epoch, sampler_attributes
from search.sampling.samplers import BY_CHANCE, OPTUNAS, OURS, derived_seed
from search.study.stored import Proposal
from search.study.study import Study
from spaces import CandidateRefused

_PATIENCE = 20
"""Proposals turned down in a row after which random ones are tried, so that a sampler that keeps
to one exhausted corner does not end the search."""
_BREEDING = ("nsga2", "nsga3")
"""Samplers that breed only from candidates that carry the number of a generation."""
_LIMIT = 400
"""Proposals turned down in a row after which the space counts as exhausted."""
_BEGUN_WITH = frozenset({ENQUEUED_ATTRIBUTE, PRIOR_ATTRIBUTE})
"""Attributes of trials that are no proposals of the sampler's."""


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
        enqueued: Sequence[Mapping[str, Any]] = (),
        priors: Sequence[PriorResults] = (),
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
        self._known_keys = self._keys | {rejection.key for rejection in study.rejections.values()}
        self._turned_down = _turned_down_last(study)
        self._foresight = Foresight(problem, study)
        foreknowledge = Foreknowledge(problem, study.objectives, priors)
        self._beginning = Beginning(
            problem,
            study,
            enqueued=enqueued,
            priors=priors,
            foreknowledge=foreknowledge,
            bounds=self._bounds,
            startup=startup,
            seed=seed,
        )
        self._front_sampler = FrontSampler(
            self._foresight,
            study,
            bounds=self._bounds,
            rungs=self._rungs,
            max_epochs=max_epochs,
            startup=startup,
            foreknowledge=foreknowledge,
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
        while (begun := self._beginning.next(self._known_keys)) is not None:
            proposed = self._chosen(begun)
            if not _is_broken(proposed.constraints):
                return self._admit(proposed)
            self._turn_down(proposed)
        for turned_down in range(self._turned_down % _LIMIT, _LIMIT):
            asked = self._sampler if turned_down < _PATIENCE else "random"
            proposal: Proposal | Promotion | None = None
            if asked == OURS:
                proposal = self._propose_ours(paused)
            if proposal is None:
                proposal = self._propose("random" if asked == OURS else asked)
            if isinstance(proposal, Promotion):
                return Promoted(number=proposal.number)
            if not _is_broken(proposal.constraints):
                return self._admit(proposal)
            self._turn_down(proposal)
            self._turned_down += 1
        return None

    def _admit(self, proposal: Proposal) -> Admitted:
        self._keys.add(proposal.key)
        self._known_keys.add(proposal.key)
        self._turned_down = 0
        record = self._study.add(proposal)
        return Admitted(number=record.number, resources=record.resources)

    def _turn_down(self, proposal: Proposal) -> None:
        self._known_keys.add(proposal.key)
        self._study.reject(proposal)

    def _propose_ours(self, paused: Collection[int]) -> Proposal | Promotion | None:
        """Return what the front sampler wants; None if nothing, or nothing was measured yet."""
        if not self._foresight.is_ready:
            return None
        found = self._front_sampler.decide(self._place_seed(), self._known_keys, paused)
        return self._chosen(found) if isinstance(found, Choice) else found

    def _chosen(self, choice: Choice) -> Proposal:
        found = choice.draft
        costs, constraints = self._measured(found.candidate, found.key)
        return Proposal(
            params=found.params,
            distributions=found.distributions,
            constraints=constraints,
            system_attrs={**self._generation(), **choice.attributes},
            candidate=candidate_dict(found.candidate),
            key=found.key,
            costs=costs,
            resources=candidate_resources(self._problem, found.candidate),
        )

    def _generation(self) -> dict[str, Any]:
        """Return what a sampler that breeds notes beside its next idea: another takes its place."""
        if self._sampler not in _BREEDING:
            return {}
        shown = self._shown_study(self._sampler)
        trial = shown.ask()
        with contextlib.suppress(CandidateRefused):
            self._problem.suggest(trial)
        return sampler_attributes(shown.get_trials(deepcopy=False)[trial.number].system_attrs)

    def _propose(self, sampler_name: str) -> Proposal:
        shown = self._shown_study(sampler_name)
        trial = shown.ask()
        known: dict[str, Any] = {"candidate": {}, "key": "", "costs": {}, "resources": Resources()}
        try:
            candidate = self._problem.suggest(trial)
        except CandidateRefused:
            constraints = {"space": 1.0}
        else:
            key = candidate_key(self._problem, candidate)
            costs, constraints = self._measured(candidate, key)
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

    def _measured(self, candidate: Any, key: str) -> tuple[dict[str, float], dict[str, float]]:
        """Return a candidate's costs and constraints.

        Measured costs are among them unless exact ones turn it down already, or it cannot be
        measured.
        """
        costs = {name: float(value) for name, value in self._problem.cost(candidate).items()}
        constraints = self._constraints(key, costs)
        if not _is_broken(constraints):
            try:
                costs |= measure(self._problem, candidate)
            except CandidateRefused:
                return costs, {**constraints, "space": 1.0}
            constraints = self._constraints(key, costs)
        return costs, constraints

    def _constraints(self, key: str, costs: Mapping[str, float]) -> dict[str, float]:
        """Return what a proposal keeps (0 or less) and breaks, by name, as far as it is known."""
        unknown = [name for name in measured_costs(self._problem) if name not in costs]
        known = [bound for bound in self._bounds if not is_exact(bound.name, unknown)]
        kept = {bound.name: bound.violation(costs) for bound in known}
        return kept | {"duplicate": 1.0 if key in self._keys else 0.0}

    def _shown_study(self, sampler_name: str) -> optuna.Study:
        """Show the study to a fresh sampler: nothing it asks is stored before it is judged."""
        records = self._study.records
        sampler = OPTUNAS[sampler_name](self._place_seed(), self._startup)
        if sampler_name == BY_CHANCE:
            return self._projection.unseen(sampler)
        epoch = comparable_epoch(records.values(), self._rungs, self._max_epochs, self._startup)
        return self._projection.show(epoch, sampler)

    def _place_seed(self) -> int:
        """Return the seed of the next suggestion, which depends on its place in the study."""
        place = len(self._study.records) + len(self._study.rejections)
        return derived_seed(self._seed, "suggest", place)


def _is_broken(constraints: Mapping[str, float]) -> bool:
    return any(value > 0 for value in constraints.values())


def _turned_down_last(study: Study) -> int:
    """Return how many proposals of the sampler in a row were turned down last."""
    last = max(study.records, default=-1)
    since = (study.template(number) for number in study.rejections if number > last)
    return sum(not _BEGUN_WITH & trial.system_attrs.keys() for trial in since)
