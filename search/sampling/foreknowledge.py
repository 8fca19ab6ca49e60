"""What earlier studies let expect of candidates, before and beside what this study measures.

The learning curves of each earlier study are modelled as a study's own are, over the parameters
that its space and this one have in common. Asked of a candidate is what it would have reached
there in the end: a number that orders candidates, in that study's own unit. How far that order
holds here, the curve model finds out from results (`curve_model.Results.foreknown`).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property

import numpy as np
import numpy.typing as npt

from search.engine.pareto import non_dominated_ranks
from search.objectives import Objective, is_exact
from search.problem import Problem, measured_costs
from search.sampling.curve_model import CurveModel, Results, location, squashed
from search.sampling.drawing import Draft
from search.sampling.encoding import Encoded, Encoder
from search.sampling.observed import encoded_draft, exact_point, sizes_of
from search.sampling.one_thread import one_thread
from search.sampling.pool import Pool
from search.sampling.prior import PriorCandidate, PriorResults
from search.sampling.relevance import MOST_RESULTS

FloatArray = npt.NDArray[np.float64]

_DRAWN = 64
"""Candidates drawn to find out which parameters the space here has."""
_APART = 3
"""Of a curve, its last result is modelled, and those after 1, 3, 9, ... epochs."""


class Foreknowledge:
    """The earlier studies of one study, fitted when they are first asked."""

    def __init__(
        self, problem: Problem, objectives: Sequence[Objective], priors: Sequence[PriorResults]
    ) -> None:
        measured = measured_costs(problem)
        self._problem = problem
        self._objectives = [o for o in objectives if not is_exact(o.metric, measured)]
        """Those that are known, or can be expected, of what is only drawn."""
        self._learned = sum(not o.exact for o in objectives)
        self._priors = tuple(priors)
        self._kept: dict[int, FloatArray] = {}

    def of(self, candidates: Sequence[Encoded]) -> FloatArray:
        """Return what is expected of candidates, float64 [learned objective, candidate, study].

        In units of the better results of each study, from their middle; larger is better.
        """
        if not candidates or not self._priors:
            return np.zeros((self._learned, len(candidates), len(self._priors)))
        with one_thread():
            return np.stack([study.expect(candidates) for study in self._studies], axis=2)

    def of_candidates(self, encoded: Mapping[int, Encoded]) -> dict[int, FloatArray]:
        """Return what is expected of a study's candidates, float64 [learned objective, study].

        Args:
            encoded: by their numbers; what is expected of one never changes, and is kept.
        """
        new = [number for number in encoded if number not in self._kept]
        found = self.of([encoded[number] for number in new])
        self._kept |= {number: found[:, place] for place, number in enumerate(new)}
        return {number: self._kept[number] for number in encoded}

    def of_drafts(self, drafts: Sequence[Draft]) -> FloatArray:
        """Return what is expected of drafts, as `of` does."""
        return self.of([encoded_draft(self._objectives, d) for d in drafts])

    def ranks(self, drafts: Sequence[Draft]) -> list[int]:
        """Return the non-dominated rank of each draft by exact and expected objectives; 0 is best.

        Expected is the mean over the earlier studies.
        """
        points = np.zeros((len(drafts), len(self._objectives)))
        learned = iter(-self.of_drafts(drafts).mean(axis=2))
        for place, objective in enumerate(self._objectives):
            exact = [exact_point(objective, d.costs) for d in drafts] if objective.exact else None
            points[:, place] = next(learned) if exact is None else exact
        return non_dominated_ranks(points)

    # How it is known --------------------------------------------------------------------------

    @cached_property
    def _studies(self) -> list[_Study]:
        """Of each earlier study what concerns this one."""
        if not self._priors:
            return []
        pool = Pool(self._problem, (), ())
        pool.draw(_DRAWN, np.random.default_rng(0))
        here = {name for drafted in pool.drafts for name in drafted.params}
        return [_Study(prior, self._objectives, here) for prior in self._priors]


class _Study:
    """One earlier study, seen from a space that knows some parameters."""

    def __init__(
        self, prior: PriorResults, objectives: Sequence[Objective], names: Collection[str]
    ) -> None:
        self._objectives = objectives
        self._names = frozenset(names) & {n for c in prior.candidates for n in c.params}
        known = [self._seen(candidate) for candidate in prior.candidates]
        self._encoder = Encoder(known)
        rows = self._encoder.rows(known)
        self._models = [
            _fitted(prior, self._encoder, rows, place) for place in range(len(prior.metrics))
        ]
        self._max_epochs = prior.max_epochs
        self._locations = [location(self._ends(model, rows)) for model in self._models]

    def expect(self, candidates: Sequence[Encoded]) -> FloatArray:
        """Return what is expected of each in the end, float64 [learned objective, candidate]."""
        rows = self._encoder.rows([self._seen(candidate) for candidate in candidates])
        pairs = zip(self._models, self._locations, strict=True)
        return np.array(
            [squashed((self._ends(model, rows) - centre) / unit) for model, (centre, unit) in pairs]
        )

    def _ends(self, model: CurveModel, rows: FloatArray) -> FloatArray:
        return model.predict(rows, [self._max_epochs])[0][0]

    def _seen(self, candidate: Encoded | PriorCandidate) -> Encoded:
        """Return a candidate without the parameters that one of the spaces does not know."""
        names = self._names & candidate.params.keys()
        return Encoded(
            params={name: candidate.params[name] for name in names},
            distributions={name: candidate.distributions[name] for name in names},
            sizes=sizes_of(self._objectives, candidate.costs),
        )


def _fitted(prior: PriorResults, encoder: Encoder, rows: FloatArray, place: int) -> CurveModel:
    """Return a model of one learned objective: of all last results, and earlier ones if few."""
    lengths = [len(candidate.curve) for candidate in prior.candidates]
    last = sorted(enumerate(lengths), key=lambda pair: (-pair[1], pair[0]))
    earlier = [(i, e) for i, length in last for e in _powers_below(length)]
    told = sorted([*last, *earlier][:MOST_RESULTS])
    model = CurveModel(
        Results(
            encoder=encoder,
            rows=rows[[i for i, _ in told]],
            candidate=np.array([i for i, _ in told]),
            epochs=np.array([float(epoch) for _, epoch in told]),
            values=np.array([-prior.candidates[i].curve[epoch - 1][place] for i, epoch in told]),
        ),
        prior.max_epochs,
        {},
    )
    model.refit()
    return model


def _powers_below(length: int) -> list[int]:
    """Return 1, 3, 9, ..., the largest before an epoch first."""
    found = [_APART**power for power in range(length.bit_length()) if _APART**power < length]
    return found[::-1]
