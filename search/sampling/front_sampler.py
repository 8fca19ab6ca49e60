"""The sampler of our own: goes on where the front has most to gain for an epoch of training.

It draws candidates without storing them, by chance and by changing members of the front, knows
their exact objectives, models what they would learn (`curve_model`) from every result there is,
whatever its epoch, and holds what they are expected to add to the front (`outlook`) against what
the paused ones would (`agenda`). So nothing is spent on a candidate that bounds turn down, that is
known already, or that a smaller one is expected to beat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from search.engine.pareto import front
from search.objectives import Bound
from search.problem import Problem
from search.sampling.agenda import Agenda, Prices, Step
from search.sampling.drawing import Draft, DrawnTrial, draft
from search.sampling.foreknowledge import Foreknowledge
from search.sampling.observed import Dossier, Dossiers, sizes_of
from search.sampling.one_thread import one_thread
from search.sampling.outlook import Forecast, Outlook, Scales
from search.sampling.pool import Pool
from search.study.study import AGENDA_NOTE, SCALES_NOTE, Study

_BY_CHANCE = 160
_CHANGED = 160
_REFINED = (64, 64)
"""Drafts: drawn by chance, from the front with some parameters changed, and then, round by round,
from the best so far with few."""
_BEST = 8
_CHANGES = (0.5, 0.2)
"""How likely a parameter of a front's member, and of one of the best drafts, is changed."""
_OPENING = 64
"""Drafts of which the first proposals take the one whose size is farthest from all before."""
_APPROACHING = 1024
"""Drafts where bounds are so narrow that none of the first ones keeps them."""
_BEFORE = 256
"""Of all before, so many count: the latest."""
_SHARE_TRAINED = 0.3
"""A draft counts as if it cost this share of its epochs: it need not be trained to the end."""
_AT_ONCE = 0.01
"""Steps that one look at the study decides, as a share of its candidates; at least one."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A draft to propose, and what is to be found again beside it."""

    draft: Draft
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Promotion:
    """A paused candidate to train on."""

    number: int


class FrontSampler:
    """Chooses for one study; all it knows is in the study."""

    def __init__(
        self,
        problem: Problem,
        study: Study,
        *,
        bounds: Sequence[Bound],
        rungs: Sequence[int],
        max_epochs: int,
        startup: int,
        foreknowledge: Foreknowledge,
    ) -> None:
        self._problem = problem
        self._study = study
        self._bounds = tuple(bounds)
        self._horizons = (*rungs, max_epochs)
        self._max_epochs = max_epochs
        self._startup = startup
        self._foreknowledge = foreknowledge
        self._dossiers = Dossiers(study, rungs, max_epochs)
        self._agenda: deque[Step] | None = None
        self._by_chance: tuple[int, list[Draft]] | None = None

    def decide(
        self, seed: int, known_keys: Collection[str], paused: Collection[int]
    ) -> Choice | Promotion | None:
        """Return what to go on with: a paused candidate, or the best draft; None without any."""
        if (planned := self._planned(known_keys, paused)) is not None:
            return planned
        dossiers = self._dossiers()
        pool = Pool(self._problem, self._bounds, known_keys)
        measured = [dossier for dossier in dossiers if dossier.point is not None]
        if len(dossiers) < self._startup or not measured:
            pool.draw(_OPENING, np.random.default_rng(seed))
            if not pool.drafts:
                pool.approach(_APPROACHING, np.random.default_rng(seed))
            return self._opening(pool, dossiers)
        self._draw_by_chance(pool, seed)
        best = front(np.array([dossier.point for dossier in measured]))
        rng = np.random.default_rng((seed, sum(len(dossier.record.curve) for dossier in measured)))
        pool.change([measured[i].record.params for i in best], _CHANGED, _CHANGES[0], rng)
        count = max(1, int(_AT_ONCE * len(dossiers)))
        with one_thread():
            steps = self._steps(pool, rng, dossiers, paused, count)
        if not steps:
            return None
        if len(steps) > 1:
            self._study.set_note(AGENDA_NOTE, [step.to_dict() for step in steps])
            self._agenda = deque(steps[1:])
        if steps[0].number is not None:
            return Promotion(number=steps[0].number)
        return Choice(draft=next(d for d in pool.drafts if d.params is steps[0].params))

    def _steps(
        self,
        pool: Pool,
        rng: np.random.Generator,
        dossiers: Sequence[Dossier],
        paused: Collection[int],
        count: int,
    ) -> list[Step]:
        outlook = Outlook(
            self._study.objectives,
            dossiers,
            pool.drafts,
            max_epochs=self._max_epochs,
            fitted=self._fitted(),
            foreknowledge=self._foreknowledge,
        )
        if outlook.refitted is not None:
            told, scales = outlook.refitted
            self._study.set_note(SCALES_NOTE, {"results": told, "scales": scales})
        in_full = self._refine(outlook, pool, rng)
        could_go_on = [d for d in outlook.paused if d.record.number in paused]
        prices = Prices(horizons=np.array(self._horizons, float), share_trained=_SHARE_TRAINED)
        return Agenda(outlook, prices, pool.drafts, in_full, could_go_on).steps(count)

    def _refine(self, outlook: Outlook, pool: Pool, rng: np.random.Generator) -> Forecast:
        """Add drafts that are like the best ones; return what is expected of all in the end."""
        end = [self._max_epochs]
        forecast = outlook.of_drafts(pool.drafts, end)
        for count in _REFINED if pool.drafts else ():
            gains = outlook.draft_gains(forecast)[-1]
            best = np.argsort(-gains, kind="stable")[:_BEST]
            begun = len(pool.drafts)
            pool.change([pool.drafts[i].params for i in best], count, _CHANGES[1], rng)
            forecast = forecast.joined(outlook.of_drafts(pool.drafts[begun:], end))
        return forecast

    def _draw_by_chance(self, pool: Pool, seed: int) -> None:
        """Add drafts drawn by chance: the same ones as long as `seed` is the same."""
        if self._by_chance is None or self._by_chance[0] != seed:
            begun = Pool(self._problem, self._bounds, ())
            begun.draw(_BY_CHANCE, np.random.default_rng(seed))
            self._by_chance = seed, begun.drafts
        for drafted in self._by_chance[1]:
            pool.add(drafted)

    def _planned(
        self, known_keys: Collection[str], paused: Collection[int]
    ) -> Choice | Promotion | None:
        """Return the next step of the agenda that can still be taken."""
        if self._agenda is None:
            noted = self._study.note(AGENDA_NOTE) or ()
            self._agenda = deque(Step.from_dict(values) for values in noted)
        while self._agenda:
            step = self._agenda.popleft()
            if step.number is not None:
                if step.number in paused and self._study.records[step.number].epochs == step.epochs:
                    return Promotion(number=step.number)
                continue
            planned = draft(self._problem, DrawnTrial(np.random.default_rng(0), step.params))
            if planned is not None and planned.key not in known_keys:
                return Choice(draft=planned)
        return None

    def _fitted(self) -> tuple[int, Scales]:
        """Return to how many results scales were fitted last, and those of each metric."""
        noted = self._study.note(SCALES_NOTE) or {"results": 0, "scales": {}}
        return noted["results"], noted["scales"]

    def _opening(self, pool: Pool, dossiers: Sequence[Dossier]) -> Choice | None:
        """Return a draft of a size far from all there are, else by chance.

        Were it far in all parameters, none of the first ones would lie inside the space.
        """
        if not pool.drafts:
            return None
        known = np.array([dossier.encoded.sizes for dossier in dossiers[-_BEFORE:]])
        if known.size == 0:
            return Choice(draft=pool.drafts[0])
        sizes = np.array([sizes_of(self._study.objectives, d.costs) for d in pool.drafts])
        distances = np.linalg.norm(sizes[:, None] - known[None], axis=2).min(axis=1)
        return Choice(draft=pool.drafts[int(np.argmax(distances))])
