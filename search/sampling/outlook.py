"""What to expect of a study's candidates and of drafts, and what they would add to its front.

One outlook is made of a study as it stands; it is asked and thrown away. In a study of any size it
models the results that tell most, and looks at the paused candidates that stand best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from search.engine.pareto import front
from search.objectives import Objective
from search.sampling.curve_model import CurveModel, Results
from search.sampling.drawing import Draft
from search.sampling.encoding import Encoded, Encoder
from search.sampling.foreknowledge import Foreknowledge
from search.sampling.gain import expected_gain, sampled_gain
from search.sampling.observed import Dossier, Observed, encoded_draft, exact_point
from search.sampling.relevance import MOST_RESULTS, best_paused, outcomes, telling
from search.study.records import Phase

FloatArray = npt.NDArray[np.float64]
Scales = Mapping[str, Mapping[str, float]]
"""Of each model, by the metric it is of."""

_REFIT = 1.1
"""Scales are fitted again when there are so many times the results they were fitted to."""
_FAILURE = "ecgsearch:failure"
"""The name of what is modelled beside the learned objectives."""
_UNSURE = 0.2
"""How far from 0 or 1 an outcome that is foreseen may lie."""
_WORST_SHARE = 0.25
"""Results worse than this share of all, and candidates larger than all drawn, do not count."""


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """What is expected of some candidates, each after several numbers of epochs."""

    mean: FloatArray
    """float64 [horizon, candidate, objective], minimised."""
    deviation: FloatArray
    """float64 [horizon, candidate, objective]; 0 where an objective is exact."""
    chance: FloatArray
    """float64 [candidate]: how likely it is not to fail."""

    def of(self, candidate: int) -> Forecast:
        """Return what is expected of one of them."""
        one = slice(candidate, candidate + 1)
        return Forecast(
            mean=self.mean[:, one], deviation=self.deviation[:, one], chance=self.chance[one]
        )

    def joined(self, other: Forecast) -> Forecast:
        """Return what is expected of these and then of those."""
        return Forecast(
            mean=np.concatenate([self.mean, other.mean], axis=1),
            deviation=np.concatenate([self.deviation, other.deviation], axis=1),
            chance=np.concatenate([self.chance, other.chance]),
        )


class Outlook:
    """A study's candidates, and drafts, by what they are expected to learn."""

    def __init__(
        self,
        objectives: Sequence[Objective],
        dossiers: Sequence[Dossier],
        drafts: Sequence[Draft],
        *,
        max_epochs: int,
        fitted: tuple[int, Scales],
        foreknowledge: Foreknowledge,
    ) -> None:
        """Model a study's results; there is at least one.

        Args:
            dossiers: of all its candidates.
            drafts: what parameters there are is taken from these and from the study.
            fitted: to how many results scales were fitted last, and those of each metric.
            foreknowledge: what earlier studies let expect.
        """
        self._objectives = tuple(objectives)
        self._max_epochs = max_epochs
        self._exact = [i for i, o in enumerate(objectives) if o.exact]
        self._learned = [i for i, o in enumerate(objectives) if not o.exact]
        self._failed = [d for d in dossiers if d.record.phase is Phase.FAILED]
        self._points = np.array([d.point for d in dossiers if d.point is not None])
        self._front = self._points[front(self._points)]
        self._observed = telling(dossiers)
        self._told = sum(len(d.results) for d in dossiers) + len(self._failed)
        told = outcomes(dossiers)
        self._paused = best_paused(dossiers)
        self._under_way = [
            d for d in dossiers if not d.record.phase.is_final and d.record.phase != Phase.PAUSED
        ]
        by_number = {d.record.number: d for d in dossiers}
        numbers = {o.number for o in (*self._observed, *told)}
        self._encoded = {n: by_number[n].encoded for n in sorted(numbers)}
        unfinished = [d.encoded for d in (*self._paused, *self._under_way)]
        drawn = [encoded_draft(objectives, d) for d in drafts]
        self._encoder = Encoder([*self._encoded.values(), *unfinished, *drawn])
        self._foreknowledge = foreknowledge
        self._of_others: FloatArray = np.zeros((0, len(objectives)))
        self._refitted: tuple[int, Scales] | None = None
        self._fit(told, *fitted)
        self._reference = self._worst(drafts)

    # What it is asked -------------------------------------------------------------------------

    @property
    def refitted(self) -> tuple[int, Scales] | None:
        """To how many results scales were fitted now, and those of each metric; None if not."""
        return self._refitted

    @property
    def paused(self) -> list[Dossier]:
        """The paused candidates that stand best."""
        return self._paused

    def of_drafts(self, drafts: Sequence[Draft], horizons: Sequence[float]) -> Forecast:
        """Return what is expected of drafts after so many epochs.

        What unfinished candidates are expected to reach is taken for known: nobody need ask there
        again.
        """
        encoded = [encoded_draft(self._objectives, d) for d in drafts]
        return self._forecast(self._believing, encoded, horizons, None)

    def of_candidates(self, dossiers: Sequence[Dossier], horizons: Sequence[float]) -> Forecast:
        """Return what is expected of candidates that train on."""
        encoded = [d.encoded for d in dossiers]
        known = [d.record.number if d.results else -1 for d in dossiers]
        return self._forecast(self._models, encoded, horizons, known)

    def draft_gains(self, forecast: Forecast) -> FloatArray:
        """Return what drafts would add, float64 [horizon, draft].

        They would add to what unfinished candidates are expected to reach, too: what one of them
        has in it is no gain of another that is like it.
        """
        points = np.concatenate([self._front, self._of_paused, self._of_others])
        return self._gains(points, forecast) * forecast.chance

    def candidate_gains(self, forecast: Forecast) -> FloatArray:
        """Return what candidates that train on would add, float64 [horizon, candidate]."""
        return self._gains(np.concatenate([self._front, self._of_others]), forecast)

    def expect(self, point: FloatArray) -> None:
        """Count on a point, float64 [objective], that somebody is now to reach."""
        self._of_others = np.concatenate([self._of_others, point[None]])

    # What it is made of -----------------------------------------------------------------------

    def _fit(self, told: Sequence[Observed], fitted_to: int, scales: Scales) -> None:
        metrics = [self._objectives[place].metric for place in self._learned]
        models = {
            metric: CurveModel(
                self._curves(self._observed, of), self._max_epochs, scales.get(metric, {})
            )
            for of, metric in enumerate(metrics)
        }
        fitted = dict(models)
        self._failure: CurveModel | None = None
        if self._failed:
            self._failure = CurveModel(
                self._modelled(told, 0), self._max_epochs, scales.get(_FAILURE, {})
            )
            fitted[_FAILURE] = self._failure
        if self._told >= _REFIT * fitted_to:
            for model in fitted.values():
                model.refit()
            self._refitted = self._told, {name: model.scales for name, model in fitted.items()}
        self._models = list(models.values())
        self._of_paused = self.of_candidates(self._paused, [self._max_epochs]).mean[0]
        self._of_others = self.of_candidates(self._under_way, [self._max_epochs]).mean[0]
        self._believing = self._believed()

    def _believed(self) -> list[CurveModel]:
        """Return models that take what is still to come for what is expected of it."""
        unfinished = [*self._paused, *self._under_way]
        expected = np.concatenate([self._of_paused, self._of_others]).tolist()
        latest = sorted((d.record.number, i) for i, d in enumerate(unfinished))
        beliefs = [
            Observed(number=number, epoch=self._max_epochs, point=tuple(expected[i]))
            for number, i in latest[-MOST_RESULTS // 2 :]
        ]
        if not beliefs:
            return self._models
        self._encoded |= {number: unfinished[i].encoded for number, i in latest}
        return [
            CurveModel(
                self._curves([*self._observed, *beliefs], of), self._max_epochs, model.scales
            )
            for of, model in enumerate(self._models)
        ]

    def _forecast(
        self,
        models: Sequence[CurveModel],
        encoded: Sequence[Encoded],
        horizons: Sequence[float],
        known: Sequence[int] | None,
    ) -> Forecast:
        mean, deviation = np.zeros((2, len(horizons), len(encoded), len(self._objectives)))
        chance = np.ones(len(encoded))
        if encoded:
            rows, foreknown = self._encoder.rows(encoded), self._foreknowledge.of(encoded)
            for place in self._exact:
                mean[:, :, place] = [exact_point(self._objectives[place], e.costs) for e in encoded]
            for place, model, of in zip(self._learned, models, foreknown, strict=True):
                expected, deviation[:, :, place] = model.predict(rows, horizons, known, of)
                mean[:, :, place] = -expected
            if self._failure is not None:
                (middle,), (unsure,) = self._failure.predict(rows, [1.0])
                chance = ndtr((middle - 0.5) / np.hypot(unsure, _UNSURE))
        return Forecast(mean=mean, deviation=deviation, chance=chance)

    def _gains(self, points: FloatArray, forecast: Forecast) -> FloatArray:
        pairs = zip(forecast.mean, forecast.deviation, strict=True)
        if len(self._learned) == 1 and len(self._exact) == 1:
            (learned,), (exact,) = self._learned, self._exact
            corner = float(self._reference[exact]), float(self._reference[learned])
            by_size = points[:, [exact, learned]]
            return np.array(
                [
                    expected_gain(
                        by_size, mean[:, exact], mean[:, learned], deviation[:, learned], corner
                    )
                    for mean, deviation in pairs
                ]
            )
        return np.array(
            [
                sampled_gain(
                    points, mean, deviation, self._reference, np.random.default_rng(self._told)
                )
                for mean, deviation in pairs
            ]
        )

    def _worst(self, drafts: Sequence[Draft]) -> FloatArray:
        worst = np.quantile(self._points, 1.0 - _WORST_SHARE, axis=0)
        for place in self._exact:
            sizes = [exact_point(self._objectives[place], d.costs) for d in drafts]
            sizes += self._points[:, place].tolist()
            worst[place] = max(sizes) + 0.05 * (max(sizes) - min(sizes))
        return np.asarray(worst)

    def _curves(self, observed: Sequence[Observed], of: int) -> Results:
        """Return results of a learned objective, beside what earlier studies let expect of it."""
        known = self._foreknowledge.of_candidates(
            {o.number: self._encoded[o.number] for o in observed}
        )
        foreknown = np.array([known[o.number][of] for o in observed])
        return replace(self._modelled(observed, self._learned[of]), foreknown=foreknown)

    def _modelled(self, observed: Sequence[Observed], place: int) -> Results:
        numbers = sorted({o.number for o in observed})
        rows = self._encoder.rows([self._encoded[n] for n in numbers])
        row = dict(zip(numbers, rows, strict=True))
        return Results(
            encoder=self._encoder,
            rows=np.array([row[o.number] for o in observed]),
            candidate=np.array([o.number for o in observed]),
            epochs=np.array([float(o.epoch) for o in observed]),
            values=np.array([-o.point[place] for o in observed]),
        )
