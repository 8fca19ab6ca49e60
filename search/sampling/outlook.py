"""What to expect of a study's candidates and of drafts, and what they would add to its front.

One outlook is made of a study as it stands; it is asked and thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from search.objectives import LOG10_PREFIX, Objective, objective_vector
from search.sampling.curve_model import CurveModel, Results
from search.sampling.drawing import Draft
from search.sampling.encoding import Encoded, Encoder
from search.sampling.gain import expected_gain, sampled_gain
from search.study.records import CandidateRecord, Phase
from search.study.study import Study

FloatArray = npt.NDArray[np.float64]

SCALES_ATTRIBUTE = "ecgsearch:scales"

_RESULTS = 300
"""Results that are modelled at most: time grows with their cube."""
_REFIT = 1.1
"""Scales are fitted again when there are so many times the results they were fitted to."""
_FAILURE = "ecgsearch:failure"
"""The name of what is modelled beside the learned objectives."""
_UNSURE = 0.2
"""How far from 0 or 1 an outcome that is foreseen may lie."""
_DECADES = 3.0
"""Sizes are encoded in units of so many decades."""
_WORST_SHARE = 0.25
"""Results worse than this share of all, and candidates larger than all drawn, do not count."""


@dataclass(frozen=True, kw_only=True)
class _Observed:
    """A result that is modelled."""

    number: int
    epoch: float
    point: tuple[float, ...]


class Outlook:
    """A study's candidates, and drafts, by what they are expected to learn."""

    def __init__(
        self, study: Study, rungs: Sequence[int], max_epochs: int, drafts: Sequence[Draft]
    ) -> None:
        """Model the study's results; there is at least one.

        Args:
            drafts: what parameters there are is taken from these and from the study.
        """
        self._study = study
        self._max_epochs = max_epochs
        self._rungs = frozenset(rungs)
        self._exact = [i for i, o in enumerate(study.objectives) if o.exact]
        self._learned = [i for i, o in enumerate(study.objectives) if not o.exact]
        records = list(study.records.values())
        self._failed = [record for record in records if record.phase is Phase.FAILED]
        self._measured = [r for r in records if r.curve and r.phase is not Phase.FAILED]
        self._unfinished = [record for record in records if not record.phase.is_final]
        self._encoded = {r.number: encoded_record(study, r) for r in records}
        drawn = [encoded_draft(study.objectives, d) for d in drafts]
        self._encoder = Encoder([*self._encoded.values(), *drawn])
        self._observed = self._results()
        self.attributes: dict[str, Any] = {}
        """What is to be found again beside the proposal that this outlook leads to."""
        self._fit()
        self._points = np.array([self._point(record) for record in self._measured])
        self._reference = self._worst(drafts)

    # What it is asked -------------------------------------------------------------------------

    def draft_gains(self, drafts: Sequence[Draft], epochs: float) -> FloatArray:
        """Return what each draft, trained so long, would add, float64 [draft].

        It would add to what unfinished candidates are expected to reach, too: what one of them has
        in it is no gain of another that is like it.
        """
        if not drafts:
            return np.zeros(0)
        rows = self._encoder.rows([encoded_draft(self._study.objectives, d) for d in drafts])
        costs = [d.costs for d in drafts]
        mean, deviation = self._expected(self._believing, rows, costs, epochs, None)
        gains = self._gains(np.concatenate([self._points, self._beliefs]), mean, deviation)
        return gains * self._chance_to_learn(rows)

    def record_gains(self, records: Sequence[CandidateRecord], epochs: float) -> FloatArray:
        """Return what each candidate, trained on for so long, would add to the front there is."""
        if not records:
            return np.zeros(0)
        mean, deviation = self._of_records(records, epochs)
        running = [i for i, r in enumerate(self._unfinished) if r.phase is not Phase.PAUSED]
        return self._gains(np.concatenate([self._points, self._beliefs[running]]), mean, deviation)

    # What it is made of -----------------------------------------------------------------------

    def _fit(self) -> None:
        fitted_to, scales = self._last_scales()
        told = len(self._observed) + len(self._failed)
        refit = told >= _REFIT * fitted_to
        metrics = [self._study.objectives[place].metric for place in self._learned]
        models = {
            metric: CurveModel(
                self._modelled(self._observed, place), self._max_epochs, scales.get(metric, {})
            )
            for place, metric in zip(self._learned, metrics, strict=True)
        }
        fitted = dict(models)
        self._failure: CurveModel | None = None
        if self._failed:
            outcomes = self._modelled(self._outcomes(), 0)
            self._failure = CurveModel(outcomes, self._max_epochs, scales.get(_FAILURE, {}))
            fitted[_FAILURE] = self._failure
        if refit:
            for model in fitted.values():
                model.refit()
            kept = {name: model.scales for name, model in fitted.items()}
            self.attributes[SCALES_ATTRIBUTE] = {"results": told, "scales": kept}
        self._models = list(models.values())
        self._beliefs, _ = self._of_records(self._unfinished, self._max_epochs)
        self._believing = self._believed(self._models)

    def _believed(self, models: Sequence[CurveModel]) -> list[CurveModel]:
        """Take what is still to come for what is expected of it: nobody need ask there again."""
        latest = sorted(
            zip((r.number for r in self._unfinished), self._beliefs.tolist(), strict=True)
        )[-_RESULTS // 2 :]
        beliefs = [
            _Observed(number=number, epoch=self._max_epochs, point=tuple(point))
            for number, point in latest
        ]
        if not beliefs:
            return list(models)
        return [
            CurveModel(
                self._modelled([*self._observed, *beliefs], place), self._max_epochs, model.scales
            )
            for place, model in zip(self._learned, models, strict=True)
        ]

    def _of_records(
        self, records: Sequence[CandidateRecord], epochs: float
    ) -> tuple[FloatArray, FloatArray]:
        if not records:
            return np.zeros((2, 0, len(self._study.objectives)))[0], np.zeros((0, 0))
        rows = self._encoder.rows([self._encoded[record.number] for record in records])
        known = [record.number if record.curve else -1 for record in records]
        costs = [record.costs for record in records]
        return self._expected(self._models, rows, costs, epochs, known)

    def _expected(
        self,
        models: Sequence[CurveModel],
        rows: FloatArray,
        costs: Sequence[Mapping[str, float]],
        epochs: float,
        known: Sequence[int] | None,
    ) -> tuple[FloatArray, FloatArray]:
        """Return mean and deviation of each objective, minimised, float64 [row, objective]."""
        objectives = self._study.objectives
        mean, deviation = np.zeros((2, len(rows), len(objectives)))
        for place in self._exact:
            mean[:, place] = [exact_point(objectives[place], c) for c in costs]
        for place, model in zip(self._learned, models, strict=True):
            expected, deviation[:, place] = model.predict(rows, epochs, known)
            mean[:, place] = -expected
        return mean, deviation

    def _gains(self, points: FloatArray, mean: FloatArray, deviation: FloatArray) -> FloatArray:
        if len(self._learned) == 1 and len(self._exact) == 1:
            (learned,), (exact,) = self._learned, self._exact
            return expected_gain(
                points[:, [exact, learned]],
                mean[:, exact],
                mean[:, learned],
                deviation[:, learned],
                (float(self._reference[exact]), float(self._reference[learned])),
            )
        chance = np.random.default_rng(len(self._observed))
        return sampled_gain(points, mean, deviation, self._reference, chance)

    def _worst(self, drafts: Sequence[Draft]) -> FloatArray:
        worst = np.quantile(self._points, 1.0 - _WORST_SHARE, axis=0)
        for place in self._exact:
            objective = self._study.objectives[place]
            sizes = [exact_point(objective, d.costs) for d in drafts]
            sizes += self._points[:, place].tolist()
            worst[place] = max(sizes) + 0.05 * (max(sizes) - min(sizes))
        return np.asarray(worst)

    def _point(self, record: CandidateRecord) -> tuple[float, ...]:
        return objective_vector(self._study.objectives, record.metrics, record.costs)

    def _results(self) -> list[_Observed]:
        """Return the results to model: of each candidate the last, and those at its rungs."""
        last: list[_Observed] = []
        earlier: list[_Observed] = []
        for record in self._measured:
            numbers = {e.number for e in record.curve if e.number in self._rungs} | {record.epochs}
            for epoch in sorted(numbers):
                is_last = epoch == record.epochs
                found = _Observed(
                    number=record.number,
                    epoch=self._max_epochs if record.ended and is_last else epoch,
                    point=objective_vector(
                        self._study.objectives, record.metrics_after(epoch), record.costs
                    ),
                )
                (last if is_last else earlier).append(found)
        # The longest trained tell most; of equally long ones, the latest.
        last.sort(key=lambda o: (-o.epoch, -o.number))
        earlier.sort(key=lambda o: (-o.epoch, -o.number))
        kept = [*last, *earlier][:_RESULTS]
        return sorted(kept, key=lambda o: (o.number, o.epoch))

    def _outcomes(self) -> list[_Observed]:
        """Return who learned something, 1, and who failed, 0 (as points: minimised)."""
        told = [(r.number, 0.0) for r in self._failed] + [(r.number, -1.0) for r in self._measured]
        return [
            _Observed(number=number, epoch=1.0, point=(value,))
            for number, value in sorted(told)[-_RESULTS:]
        ]

    def _chance_to_learn(self, rows: FloatArray) -> FloatArray:
        """Return how likely candidates are not to fail, float64 [row]."""
        if self._failure is None:
            return np.ones(len(rows))
        mean, deviation = self._failure.predict(rows, 1.0)
        return np.asarray(ndtr((mean - 0.5) / np.hypot(deviation, _UNSURE)))

    def _modelled(self, observed: Sequence[_Observed], place: int) -> Results:
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

    def _last_scales(self) -> tuple[int, Mapping[str, Mapping[str, float]]]:
        """Return to how many results scales were fitted last, and those of each metric."""
        for number in sorted(self._study.records, reverse=True):
            found = self._study.template(number).system_attrs.get(SCALES_ATTRIBUTE)
            if found is not None:
                return found["results"], found["scales"]
        return 0, {}


def encoded_draft(objectives: Sequence[Objective], drafted: Draft) -> Encoded:
    """Return what there is to encode of a draft."""
    return Encoded(
        params=drafted.params,
        distributions=drafted.distributions,
        sizes=sizes_of(objectives, drafted.costs),
    )


def encoded_record(study: Study, record: CandidateRecord) -> Encoded:
    """Return what there is to encode of a candidate."""
    template = study.template(record.number)
    return Encoded(
        params=template.params,
        distributions=template.distributions,
        sizes=sizes_of(study.objectives, record.costs),
    )


def exact_point(objective: Objective, costs: Mapping[str, float]) -> float:
    """Return an exact objective, minimised."""
    return objective_vector([objective], {}, costs)[0]


def sizes_of(objectives: Sequence[Objective], costs: Mapping[str, float]) -> tuple[float, ...]:
    """Return a candidate's exact objectives in units of some decades."""
    sizes = []
    for objective in objectives:
        if objective.exact:
            value = abs(exact_point(objective, costs))
            is_logarithm = objective.metric.startswith(LOG10_PREFIX)
            sizes.append((value if is_logarithm else math.log10(value + 1e-12)) / _DECADES)
    return tuple(sizes)
