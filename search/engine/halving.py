"""Asynchronous successive halving that ranks by dominance instead of by accuracy alone.

ASHA (Li et al. 2020) promotes the best 1/eta of a rung. Ranked by accuracy alone it would stop
nearly every small model, although small models are half of what a front is made of. Here a rung's
results are compared as points (objectives at this rung, costs included): first by non-dominated
rank, then by crowding distance (Deb et al. 2002), so that what goes on is spread over all sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from search.engine.pareto import crowding_distances, front, non_dominated_ranks
from search.errors import StudyError

Point = Sequence[float]
"""Objectives as they are minimised."""


@dataclass(frozen=True, kw_only=True)
class ParetoHalving:
    """Which candidates of a rung train on.

    A candidate is paused at a rung until it belongs to the rung's best 1/`eta`; it can be promoted
    later, when others have come in below it. No more than 1/`eta` of a rung leave it like that,
    however ranks change as results come in. Whoever belongs to the best 1/`eta` when it leaves
    keeps its place though later results overtake it; that is all that the order of arrival changes
    (in a rung of more than 200 results also how many of the last are ranked already, see `Rung`).

    When there is nothing new left to start, more may go on (`spared`): a rung with fewer than
    `min_results` results is too small to stop what nothing in it dominates, and with
    `finish_front` whatever stands on the study's front is trained to full length, so that the
    front that people read is not one of half-trained models. A budget that is spent ends the search
    without that.
    """

    eta: int = 3
    first_rung: int = 1
    min_results: int = 3
    finish_front: bool = True

    def __post_init__(self) -> None:
        if self.eta < 2 or self.first_rung < 1 or self.min_results < 1:
            raise StudyError(
                f"halving with eta {self.eta}, first_rung {self.first_rung} and min_results "
                f"{self.min_results} has no rungs",
                hint="eta is at least 2, first_rung and min_results at least 1",
            )

    def rungs(self, max_epochs: int) -> tuple[int, ...]:
        """Return the epochs at which candidates are compared, all below `max_epochs`."""
        rungs = []
        epoch = self.first_rung
        while epoch < max_epochs:
            rungs.append(epoch)
            epoch *= self.eta
        return tuple(rungs)

    def promotable(self, points: Mapping[int, Point], left: Collection[int] = ()) -> list[int]:
        """Return the numbers that may leave a rung now, best first.

        Args:
            points: candidate number -> objectives at this rung, minimised; everything that ever
                reached the rung, whether it left or not.
            left: the numbers that left it already.
        """
        return self.promotable_of(ranked(points), left)

    def promotable_of(self, order: Sequence[int], left: Collection[int]) -> list[int]:
        """Return the same, given who reached the rung, the best first (`ranked`)."""
        quota = len(order) // self.eta
        best = [number for number in order[:quota] if number not in left]
        return best[: max(0, quota - len(left))]

    def spared(
        self, paused: Mapping[int, Mapping[int, Point]], on_front: Collection[int]
    ) -> list[int]:
        """Return the paused candidates that train on although their rungs' quotas are used up.

        Args:
            paused: number of a paused candidate -> all results at its rung.
            on_front: who is on the front by the last results, whatever their length.
        """
        return [
            number
            for number, rung_points in paused.items()
            if (self.finish_front and number in on_front)
            or (len(rung_points) < self.min_results and number in _undominated(rung_points))
        ]


class Rung:
    """The results that reached one rung, ranked in the order in which they arrived.

    Up to 200 results it is ranked again with each; a larger one when it has grown by a hundredth,
    and until then by the results that it had, so that ranking takes no longer for each of many.
    """

    def __init__(self, halving: ParetoHalving) -> None:
        self._halving = halving
        self._points: dict[int, Point] = {}
        self._left: set[int] = set()
        self._due = 0
        """So many results, the first ones, are to be ranked."""
        self._order: list[int] = []

    def add(self, number: int, point: Point) -> None:
        self._points[number] = point
        if len(self._points) >= self._due + max(1, self._due // 100):
            self._due = len(self._points)

    def leave(self, number: int) -> None:
        """Note that a candidate trains on."""
        self._left.add(number)

    def has_left(self, number: int) -> bool:
        return number in self._left

    @property
    def points(self) -> Mapping[int, Point]:
        """Every result that reached the rung."""
        return self._points

    @property
    def is_small(self) -> bool:
        """Whether it has too few results to stop what nothing in it dominates."""
        return len(self._points) < self._halving.min_results

    def promotable(self) -> list[int]:
        """Return the numbers that may leave now, best first."""
        if self._due // self._halving.eta <= len(self._left):
            return []
        if len(self._order) != self._due:
            self._order = ranked(dict(itertools.islice(self._points.items(), self._due)))
        return self._halving.promotable_of(self._order, self._left)


def ranked(points: Mapping[int, Point]) -> list[int]:
    """Return candidates by rank, then loneliest first, then by number.

    Args:
        points: candidate number -> objectives, minimised.
    """
    if not points:
        return []
    numbers = sorted(points)
    vectors = [points[number] for number in numbers]
    ranks = non_dominated_ranks(vectors)
    distances = _distances_within_ranks(vectors, ranks)
    order = sorted(range(len(numbers)), key=lambda i: (ranks[i], -distances[i], numbers[i]))
    return [numbers[i] for i in order]


def _undominated(points: Mapping[int, Point]) -> set[int]:
    numbers = list(points)
    return {numbers[i] for i in front([points[number] for number in numbers])}


def _distances_within_ranks(vectors: Sequence[Point], ranks: Sequence[int]) -> list[float]:
    distances = [0.0] * len(vectors)
    members: dict[int, list[int]] = {}
    for i, rank in enumerate(ranks):
        members.setdefault(rank, []).append(i)
    for places in members.values():
        lonely = crowding_distances([vectors[i] for i in places])
        for i, distance in zip(places, lonely, strict=True):
            distances[i] = float(distance)
    return distances
