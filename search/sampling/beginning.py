"""What a study begins with before its sampler is asked: what was enqueued, and what earlier studies
found good."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from search.objectives import Bound, Objective, is_exact
from search.problem import Problem, measured_costs
from search.sampling.drawing import Draft, draft
from search.sampling.foreknowledge import Foreknowledge
from search.sampling.front_sampler import Choice
from search.sampling.observed import sizes_of
from search.sampling.pinned import PinnedTrial, exact_bounds, fingerprint, pinned_draft
from search.sampling.prior import PriorResults
from search.sampling.samplers import derived_seed
from search.study.study import Study

ENQUEUED_ATTRIBUTE = "ecgsearch:enqueued"
"""Of a trial that was enqueued: the fingerprint of what it was enqueued by."""
PRIOR_ATTRIBUTE = "ecgsearch:prior"
"""Of a trial that an earlier study suggested: that study's folder and trial."""
_TRIES = 20
"""Draws of what a member of an earlier front leaves open, until one keeps the bounds."""


class Beginning:
    """Candidates that somebody, or an earlier study, knows to be good; all it knows of how far it
    has come is in the study."""

    def __init__(
        self,
        problem: Problem,
        study: Study,
        *,
        enqueued: Sequence[Mapping[str, Any]],
        priors: Sequence[PriorResults],
        foreknowledge: Foreknowledge,
        bounds: Sequence[Bound],
        startup: int,
        seed: int,
    ) -> None:
        """Begin, or go on from where the study stands.

        Args:
            priors: earlier studies.
            foreknowledge: what these let expect.
            startup: so many candidates there are before the sampler is asked, at least; those that
                are missing are taken from the earlier fronts, as long as they last.
        """
        self._problem = problem
        self._study = study
        self._priors = tuple(priors)
        self._foreknowledge = foreknowledge
        self._bounds = tuple(bounds)
        self._startup = startup
        self._seed = seed
        trials = (*study.records, *study.rejections)
        taken = {study.template(n).system_attrs.get(ENQUEUED_ATTRIBUTE) for n in trials}
        self._queue = deque(given for given in enqueued if fingerprint(given) not in taken)

    def next(self, known_keys: Collection[str]) -> Choice | None:
        """Return the next candidate, or None when the sampler is to be asked.

        One that was enqueued may be known already: it is to be turned down.

        Raises:
            StudyError: what was enqueued is no candidate of the space.
        """
        if self._queue:
            given = self._queue.popleft()
            found = pinned_draft(self._problem, self._bounds, given, self._seed, known_keys)
            return Choice(draft=found, attributes={ENQUEUED_ATTRIBUTE: fingerprint(given)})
        if len(self._study.records) >= self._startup:
            return None
        return self._from_priors(known_keys)

    # From earlier fronts ----------------------------------------------------------------------

    def _from_priors(self, known_keys: Collection[str]) -> Choice | None:
        """Return the best of what is left of the earlier fronts, far in size from what there is."""
        left = [i for i, (d, _) in enumerate(self._members) if d.key not in known_keys]
        if not left:
            return None
        best_rank = min(self._ranks[i] for i in left)
        best = [i for i in left if self._ranks[i] == best_rank]
        known = [sizes_of(self._objectives, r.costs) for r in self._study.records.values()]
        chosen = best[self._most_accurate(best)]
        if known and known[0]:
            sizes = np.array([sizes_of(self._objectives, self._members[i][0].costs) for i in best])
            apart = np.linalg.norm(sizes[:, None] - np.array(known)[None], axis=2).min(axis=1)
            chosen = best[int(np.argmax(apart))]
        drafted, source = self._members[chosen]
        return Choice(draft=drafted, attributes={PRIOR_ATTRIBUTE: source})

    def _most_accurate(self, places: Sequence[int]) -> int:
        drafts = [self._members[i][0] for i in places]
        return int(np.argmax(self._foreknowledge.of_drafts(drafts)[0].mean(axis=1)))

    @cached_property
    def _members(self) -> list[tuple[Draft, str]]:
        """Of each member of an earlier front a draft that is like it, and whose it is."""
        members: dict[str, tuple[Draft, str]] = {}
        for prior in self._priors:
            for candidate in prior.front(self._objectives):
                source = f"{prior.source} trial {candidate.number}"
                drafted = self._like(candidate.params, source)
                if drafted is not None:
                    members.setdefault(drafted.key, (drafted, source))
        return list(members.values())

    def _like(self, params: Mapping[str, Any], source: str) -> Draft | None:
        """Return a draft within bounds with those of the parameters that the space here has."""
        rng = np.random.default_rng(derived_seed(self._seed, "prior", source))
        for _ in range(_TRIES):
            trial = PinnedTrial(rng, params, strict=False)
            drafted = draft(self._problem, trial)
            if drafted is None or not trial.kept:
                continue
            bounds = exact_bounds(self._problem, self._bounds)
            if all(bound.violation(drafted.costs) <= 0 for bound in bounds):
                return drafted
        return None

    @cached_property
    def _ranks(self) -> list[int]:
        drafts = [drafted for drafted, _ in self._members]
        return self._foreknowledge.ranks(drafts)

    @cached_property
    def _objectives(self) -> list[Objective]:
        """The study's objectives that are known, or can be expected, of what is only drawn."""
        measured = measured_costs(self._problem)
        return [o for o in self._study.objectives if not is_exact(o.metric, measured)]
