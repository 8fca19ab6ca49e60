"""What a sampler has seen of each candidate: its encoding, its point, the results to learn from."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from search.objectives import LOG10_PREFIX, Objective, objective_vector
from search.sampling.drawing import Draft, shared
from search.sampling.encoding import Encoded
from search.study.records import CandidateRecord, Phase
from search.study.study import Study

_DECADES = 3.0
"""Sizes are encoded in units of so many decades."""


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A result that is modelled."""

    number: int
    """The candidate's."""
    epoch: float
    point: tuple[float, ...]
    """Objectives, minimised."""


@dataclass(frozen=True, kw_only=True)
class Dossier:
    """One candidate as a sampler knows it."""

    record: CandidateRecord
    encoded: Encoded
    point: tuple[float, ...] | None
    """Where it stands now, minimised; None before its first result, and when it failed."""
    results: tuple[Observed, ...]
    """At its rungs, and after its last epoch; that one is the last."""


class Dossiers:
    """The dossiers of one study; those of candidates that did not change are kept."""

    def __init__(self, study: Study, rungs: Iterable[int], max_epochs: int) -> None:
        self._study = study
        self._rungs = frozenset(rungs)
        self._max_epochs = max_epochs
        self._kept: dict[int, Dossier] = {}

    def __call__(self) -> list[Dossier]:
        """Return one for every candidate there is, in the order of their numbers."""
        return [self.of(record) for _, record in sorted(self._study.records.items())]

    def of(self, record: CandidateRecord) -> Dossier:
        """Return a candidate's dossier."""
        kept = self._kept.get(record.number)
        if kept is None or kept.record is not record:
            kept = self._kept[record.number] = self._made(record, kept)
        return kept

    def _made(self, record: CandidateRecord, earlier: Dossier | None) -> Dossier:
        learned = bool(record.curve) and record.phase is not Phase.FAILED
        results = self._results(record) if learned else ()
        return Dossier(
            record=record,
            encoded=earlier.encoded if earlier else encoded_record(self._study, record),
            point=results[-1].point if results else None,
            results=results,
        )

    def _results(self, record: CandidateRecord) -> tuple[Observed, ...]:
        numbers = {e.number for e in record.curve if e.number in self._rungs} | {record.epochs}
        return tuple(
            Observed(
                number=record.number,
                # What ended of its own accord would be the same after any number of epochs.
                epoch=self._max_epochs if record.ended and epoch == record.epochs else epoch,
                point=objective_vector(
                    self._study.objectives, record.metrics_after(epoch), record.costs
                ),
            )
            for epoch in sorted(numbers)
        )


def encoded_draft(objectives: Sequence[Objective], drafted: Draft) -> Encoded:
    """Return what there is to encode of a draft."""
    return Encoded(
        params=drafted.params,
        distributions=drafted.distributions,
        sizes=sizes_of(objectives, drafted.costs),
        costs=drafted.costs,
    )


def encoded_record(study: Study, record: CandidateRecord) -> Encoded:
    """Return what there is to encode of a candidate."""
    template = study.template(record.number)
    return Encoded(
        params=template.params,
        distributions={name: shared(d) for name, d in template.distributions.items()},
        sizes=sizes_of(study.objectives, record.costs),
        costs=record.costs,
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
