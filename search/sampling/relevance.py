"""Which of a study's results and candidates are looked at, however many there are."""

from __future__ import annotations

from collections.abc import Sequence

from search.engine.pareto import non_dominated_ranks
from search.sampling.observed import Dossier, Observed
from search.study.records import Phase

MOST_RESULTS = 300
"""Results that are modelled at most: time grows with their cube."""
_MOST_PAUSED = 300
"""Paused candidates that are looked at, at most."""


def telling(dossiers: Sequence[Dossier]) -> list[Observed]:
    """Return the results to model: those of the longest trained, and of these the latest."""
    last = [d.results[-1] for d in dossiers if d.results]
    earlier = [result for d in dossiers for result in d.results[:-1]]
    kept = [*_longest(last), *_longest(earlier)][:MOST_RESULTS]
    return sorted(kept, key=lambda o: (o.number, o.epoch))


def _longest(results: Sequence[Observed]) -> list[Observed]:
    return sorted(results, key=lambda o: (-o.epoch, -o.number))[:MOST_RESULTS]


def outcomes(dossiers: Sequence[Dossier]) -> list[Observed]:
    """Return who learned something, 1, and who failed, 0 (as points: minimised); the latest."""
    told = [
        (d.record.number, -1.0 if d.results else 0.0)
        for d in dossiers
        if d.results or d.record.phase is Phase.FAILED
    ]
    return [
        Observed(number=number, epoch=1.0, point=(value,)) for number, value in told[-MOST_RESULTS:]
    ]


def best_paused(dossiers: Sequence[Dossier]) -> list[Dossier]:
    """Return the paused candidates; of very many, those of the best rank in their rungs."""
    paused = [d for d in dossiers if d.record.phase is Phase.PAUSED]
    if len(paused) <= _MOST_PAUSED:
        return paused
    rungs: dict[int, list[Dossier]] = {}
    for dossier in paused:
        rungs.setdefault(dossier.record.epochs, []).append(dossier)
    ranked = []
    for members in rungs.values():
        ranks = non_dominated_ranks([d.point for d in members if d.point is not None])
        ranked += list(zip(ranks, (d for d in members if d.point is not None), strict=True))
    ranked.sort(key=lambda pair: (pair[0], -pair[1].record.epochs, -pair[1].record.number))
    return sorted((d for _, d in ranked[:_MOST_PAUSED]), key=lambda d: d.record.number)
