"""The sampler of our own: goes on where the front has most to gain for an epoch of training.

It draws candidates without storing them, by chance and by changing members of the front, knows
their exact objectives, models what they would learn (`curve_model`) from every result there is,
whatever its epoch, and holds what they are expected to add to the front (`outlook`) against what
the paused ones would. So nothing is spent on a candidate that bounds turn down, that is known
already, or that a smaller one is expected to beat.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from search.engine.pareto import front
from search.objectives import Bound, objective_vector
from search.problem import Problem
from search.sampling.drawing import Draft
from search.sampling.encoding import Encoder
from search.sampling.outlook import Outlook, encoded_draft, encoded_record
from search.sampling.pool import Pool
from search.study.records import CandidateRecord, Phase
from search.study.study import Study

_BY_CHANCE = 160
_CHANGED = 160
_REFINED = (64, 64)
"""Drafts: drawn by chance, from the front with some parameters changed, and then, round by round,
from the best so far with few."""
_BEST = 8
_CHANGES = (0.5, 0.2)
"""How likely a parameter of a front's member, and of one of the best drafts, is changed."""
_OPENING = 64
"""Drafts of which the first proposals take the one farthest from all before."""
_SHARE_TRAINED = 0.3
"""A draft counts as if it cost this share of its epochs: it need not be trained to the end."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A draft to propose, and what the sampler wants to find again beside it."""

    draft: Draft
    attributes: Mapping[str, Any]


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
    ) -> None:
        self._problem = problem
        self._study = study
        self._bounds = tuple(bounds)
        self._rungs = tuple(rungs)
        self._max_epochs = max_epochs
        self._startup = startup

    def decide(
        self, seed: int, known_keys: Collection[str], paused: Collection[int]
    ) -> Choice | Promotion | None:
        """Return what to go on with: a paused candidate, or the best draft; None without any."""
        rng = np.random.default_rng(seed)
        pool = Pool(self._problem, self._bounds, known_keys, rng)
        records = list(self._study.records.values())
        measured = [r for r in records if r.curve and r.phase is not Phase.FAILED]
        if len(records) < self._startup or not measured:
            return self._opening(pool, records)
        pool.draw(_BY_CHANCE)
        pool.change(self._front_params(measured), _CHANGED, _CHANGES[0])
        outlook = Outlook(self._study, self._rungs, self._max_epochs, pool.drafts)
        promotion, promotion_rate = self._best_promotion(outlook, sorted(paused))
        best, best_rate = self._best_draft(outlook, pool)
        if promotion is not None and promotion_rate >= best_rate:
            return promotion
        return best

    def _best_draft(self, outlook: Outlook, pool: Pool) -> tuple[Choice | None, float]:
        if not pool.drafts:
            return None, -1.0
        gains = outlook.draft_gains(pool.drafts, self._max_epochs)
        for count in _REFINED:
            best = np.argsort(-gains, kind="stable")[:_BEST]
            begun = len(pool.drafts)
            pool.change([pool.drafts[i].params for i in best], count, _CHANGES[1])
            more = outlook.draft_gains(pool.drafts[begun:], self._max_epochs)
            gains = np.concatenate([gains, more])
        best_draft = pool.drafts[int(np.argmax(gains))]
        rate = max(
            float(outlook.draft_gains([best_draft], epochs)[0]) / max(1.0, _SHARE_TRAINED * epochs)
            for epochs in (*self._rungs, self._max_epochs)
        )
        return Choice(draft=best_draft, attributes=outlook.attributes), rate

    def _best_promotion(
        self, outlook: Outlook, paused: Sequence[int]
    ) -> tuple[Promotion | None, float]:
        """Return the paused candidate with most to gain an epoch, trained as far as is best."""
        records = [self._study.records[number] for number in paused]
        if not records:
            return None, -1.0
        rates = np.zeros(len(records))
        trained = np.array([record.epochs for record in records])
        for epochs in (*self._rungs, self._max_epochs):
            gains = outlook.record_gains(records, epochs)
            ahead = np.maximum(epochs - trained, 1)
            rates = np.maximum(rates, np.where(trained < epochs, gains / ahead, 0.0))
        best = int(np.argmax(rates))
        return Promotion(number=records[best].number), float(rates[best])

    def _opening(self, pool: Pool, records: Sequence[CandidateRecord]) -> Choice | None:
        """Return a draft far from all candidates there are."""
        pool.draw(_OPENING)
        if not pool.drafts:
            return None
        drafts = [encoded_draft(self._study.objectives, d) for d in pool.drafts]
        known = [encoded_record(self._study, record) for record in records]
        if not known:
            return Choice(draft=pool.drafts[0], attributes={})
        encoder = Encoder([*known, *drafts])
        rows, others = encoder.rows(drafts), encoder.rows(known)
        distances = np.linalg.norm(rows[:, None] - others[None], axis=2).min(axis=1)
        return Choice(draft=pool.drafts[int(np.argmax(distances))], attributes={})

    def _front_params(self, measured: Sequence[CandidateRecord]) -> list[Mapping[str, Any]]:
        objectives = self._study.objectives
        points = [objective_vector(objectives, r.metrics, r.costs) for r in measured]
        return [measured[i].params for i in front(np.array(points))]
