"""The candidates of a search: what each has shown, where it stands, and who is worth going on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cluster.resources import Resources
from search.engine.failures import Cause
from search.engine.halving import ParetoHalving, Point, Rung
from search.engine.latest_front import LatestFront
from search.engine.optimism import Improvements, Optimism
from search.study.records import CandidateRecord, EpochResult, Phase, results_in_order

PointOf = Callable[[int, Mapping[str, float]], Point]
"""Turns a candidate's metrics at an epoch into its point (objectives as they are minimised)."""


@dataclass
class Entry:
    """One candidate."""

    resources: Resources
    phase: Phase
    epochs: int = 0
    imported: bool = False
    """Trained by another study: it costs this one nothing."""
    hopeless: bool = False
    """Found to be without hope, and stopped or let through."""
    retried: Counter[Cause] = field(default_factory=Counter)
    points: list[Point] = field(default_factory=list)
    """After each epoch: where its model to keep stands, which may be an earlier epoch's."""


class Roster:
    """Every candidate with its results, ranked where they are compared."""

    def __init__(
        self,
        point: PointOf,
        max_epochs: int,
        halving: ParetoHalving | None,
        optimism: Optimism | None,
    ) -> None:
        epochs = halving.rungs(max_epochs) if halving else ()
        self.rungs = {epoch: Rung(halving) for epoch in epochs} if halving else {}
        self.running: set[int] = set()
        self.at_rungs: set[int] = set()
        """Who is paused where candidates are compared."""
        self.shapes: set[Resources] = set()
        """What candidates take."""
        self.started = 0
        """How many candidates are the study's own."""
        self._point = point
        self._halving = halving
        self._optimism = optimism
        self._entries: dict[int, Entry] = {}
        self._latest = LatestFront()
        self._improvements = Improvements((*epochs, max_epochs))

    def __getitem__(self, number: int) -> Entry:
        return self._entries[number]

    def add(self, number: int, entry: Entry) -> None:
        """Take a candidate in."""
        self._entries[number] = entry
        self.started += 0 if entry.imported else 1
        self.shapes.add(entry.resources)

    def restore(self, records: Sequence[CandidateRecord]) -> None:
        """Take in all that a study knows, in the order in which it became known."""
        for record in records:
            entry = Entry(
                record.resources,
                record.phase,
                imported=record.imported is not None,
                hopeless=record.hopeless_after is not None,
            )
            entry.retried.update(Cause(setback.cause) for setback in record.setbacks)
            self.add(record.number, entry)
        for record, epoch in results_in_order(records):
            self.hear(record.number, epoch)
            if epoch.number < record.epochs or record.trains_on:
                self.leave(record.number, epoch.number)
        for record in records:
            self.set_phase(record.number, record.phase)

    def hear(self, number: int, epoch: EpochResult) -> bool:
        """Take a result in; False when it is known."""
        entry = self._entries[number]
        if epoch.number <= entry.epochs:
            return False  # trained again after a lost checkpoint: the first result stands
        point = self._point(number, epoch.metrics)
        if epoch.kept is not None:
            point = entry.points[epoch.kept - 1]
        entry.epochs = epoch.number
        entry.points.append(point)
        self._latest.add(number, point)
        self._improvements.add(entry.points)
        if (rung := self.rungs.get(epoch.number)) is not None:
            rung.add(number, point)
        return True

    def leave(self, number: int, epoch: int) -> None:
        """Note that a candidate trains on after an epoch."""
        if (rung := self.rungs.get(epoch)) is not None:
            rung.leave(number)

    def set_phase(self, number: int, phase: Phase) -> None:
        """Note where a candidate stands."""
        entry = self._entries[number]
        entry.phase = phase
        if phase is Phase.FAILED:
            self._latest.remove(number)
        _keep(self.running, number, phase is Phase.RUNNING)
        _keep(self.at_rungs, number, phase is Phase.PAUSED and entry.epochs in self.rungs)

    def waiting(self) -> list[int]:
        """Return whom the end of the search would stop."""
        phases = (Phase.PAUSED, Phase.QUEUED)
        return [number for number, entry in self._entries.items() if entry.phase in phases]

    def best_promotable(self) -> int | None:
        """Return a paused candidate that may leave its rung; the highest come first, as in ASHA."""
        for rung in reversed(self.rungs.values()):
            for number in rung.promotable():
                if self._entries[number].phase is Phase.PAUSED:
                    return number
        return None

    def spared(self) -> list[int]:
        """Return the paused candidates that halving will not stop, now that nothing new starts."""
        if self._halving is None:
            return []
        on_front = self._latest.numbers
        small = [number for rung in self.rungs.values() if rung.is_small for number in rung.points]
        paused = {
            number: self.rungs[self._entries[number].epochs].points
            for number in sorted(self.at_rungs.intersection([*on_front, *small]))
        }
        return self._halving.spared(paused, on_front)

    def is_hopeless(self, number: int) -> bool:
        """Return whether the best that can be hoped for of a candidate is beaten already."""
        entry = self._entries[number]
        rung = self.rungs.get(entry.epochs)
        if self._optimism is None or (rung is not None and rung.is_small):
            return False
        hoped = self._improvements.hoped(entry.epochs, entry.points[-1], self._optimism.min_curves)
        return hoped is not None and self._latest.beats(hoped)


def _keep(among: set[int], number: int, belongs: bool) -> None:
    if belongs:
        among.add(number)
    else:
        among.discard(number)
