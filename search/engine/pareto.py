"""Pareto fronts: who dominates whom, in which rank, how crowded, and how much space a front covers.

Pure functions over `points: float64 [point, objective]`, every objective minimised
(`search.objectives` negates the maximised ones). NaN is refused with a ValueError: a point without
a value is neither better nor worse than another, and any order built on it would be arbitrary.

Equal points do not dominate each other, so repeats share a rank and all of them are on the front.
"""

from __future__ import annotations

import bisect

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def dominates(a: npt.ArrayLike, b: npt.ArrayLike) -> bool:
    """Return whether `a` is nowhere worse than `b` and somewhere better; both float [objective]."""
    first, second = _checked(a, vector=True), _checked(b, vector=True)
    if first.shape != second.shape:
        raise ValueError(f"cannot compare {first.size} objectives with {second.size}")
    return bool(np.all(first <= second) and np.any(first < second))


def non_dominated_ranks(points: npt.ArrayLike) -> list[int]:
    """Return the rank of each point.

    Rank 0 is the front; rank k is the front of what is left without ranks below k. One and two
    objectives take O(n log n); more take O(n log(fronts)) comparisons of a point with a front.
    """
    array = _checked(points)
    # np.unique sorts lexicographically, so no point is dominated by a later one.
    distinct, places = np.unique(array, axis=0, return_inverse=True)
    if array.shape[1] == 1:
        ranks = list(range(len(distinct)))
    elif array.shape[1] == 2:
        ranks = _ranks_of_two_objectives(distinct)
    else:
        ranks = _ranks_of_many_objectives(distinct)
    return [ranks[place] for place in places.reshape(-1).tolist()]


def front(points: npt.ArrayLike) -> list[int]:
    """Return the indices of the points that none dominates, ordered by objectives then by index."""
    array = _checked(points)
    distinct, places = np.unique(array, axis=0, return_inverse=True)
    undominated = _undominated(distinct)[places.reshape(-1)]
    return [index for index in np.lexsort(array.T[::-1]).tolist() if undominated[index]]


def crowding_distances(points: npt.ArrayLike) -> list[float]:
    """Return how lonely each point of one front is, infinite at the ends of an objective.

    NSGA-II's distance (Deb et al. 2002, IEEE Transactions on Evolutionary Computation 6(2), section
    III-B): the sides of the box its neighbours span, each as a fraction of the objective's range;
    an objective without a range adds nothing. Of equal points the first carries the distance and
    the others are 0, so keeping the loneliest never keeps one place twice.
    """
    array = _checked(points, finite=True)
    distances = np.zeros(len(array))
    distinct, first = np.unique(array, axis=0, return_index=True)
    if len(distinct) <= 2:
        distances[first] = np.inf
        return distances.tolist()
    for values in distinct.T:
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        extent = ordered[-1] - ordered[0]
        if extent > 0.0:
            distances[first[order[1:-1]]] += (ordered[2:] - ordered[:-2]) / extent
            distances[first[order[[0, -1]]]] = np.inf
    return distances.tolist()


def hypervolume(points: npt.ArrayLike, reference: npt.ArrayLike) -> float:
    """Return the volume that the points dominate below `reference`, exactly.

    Args:
        points: float [point, objective]; dominated points and repeats add nothing, and neither do
            points that are not better than the reference in every objective.
        reference: float [objective], the worst corner.

    Two objectives are swept in O(n log n). More use the recursion of WFG (While, Bradstreet, Barone
    2012, IEEE Transactions on Evolutionary Computation 16(1)), whose time grows steeply with both
    sizes: it is meant for fronts of up to about a hundred points in three or four objectives.
    """
    corner = _checked(reference, vector=True, finite=True)
    array = _checked(points, finite=True)
    if len(array) == 0:
        return 0.0
    if array.shape[1] != len(corner):
        raise ValueError(
            f"points have {array.shape[1]} objectives, the reference has {len(corner)}"
        )
    inside = array[np.all(array < corner, axis=1)]
    return _volume(np.unique(inside[front(inside)], axis=0), corner) if len(inside) else 0.0


def _volume(points: FloatArray, corner: FloatArray) -> float:
    """Volume of a front without repeats, sorted by the first objective, all inside the corner."""
    if len(points) == 1:
        return float(np.prod(corner - points[0]))
    if points.shape[1] == 1:
        return float(corner[0] - points[0, 0])
    if points.shape[1] == 2:
        ceilings = np.concatenate([corner[1:], points[:-1, 1]])
        return float(np.sum((corner[0] - points[:, 0]) * (ceilings - points[:, 1])))
    total = 0.0
    for index, point in enumerate(points):
        # What this point adds to the later ones: its box less the part of the box they cover.
        total += float(np.prod(corner - point))
        covered = np.unique(np.maximum(points[index + 1 :], point), axis=0)
        if len(covered):
            total -= _volume(covered[front(covered)], corner)
    return total


def _undominated(distinct: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which of points without repeats, sorted by the first objective, none dominates."""
    kept = np.ones(len(distinct), dtype=bool)
    if distinct.shape[1] == 1:
        kept[1:] = False
    elif distinct.shape[1] == 2:
        kept[1:] = distinct[1:, 1] < np.minimum.accumulate(distinct[:-1, 1])
    else:
        for index, point in enumerate(distinct):
            before = distinct[:index][kept[:index]]
            kept[index] = not np.any(np.all(before <= point, axis=1))
    return kept


def _ranks_of_two_objectives(distinct: FloatArray) -> list[int]:
    """Patience sorting: a front is described by the least second objective it has so far."""
    lowest: list[float] = []
    ranks: list[int] = []
    for second in distinct[:, 1].tolist():
        rank = bisect.bisect_right(lowest, second)
        if rank == len(lowest):
            lowest.append(second)
        else:
            lowest[rank] = second
        ranks.append(rank)
    return ranks


def _ranks_of_many_objectives(distinct: FloatArray) -> list[int]:
    """Efficient non-dominated sort with binary search (Zhang et al. 2015).

    A point dominated by a member of front k is dominated by one of front k - 1 too, hence the
    bisection.
    """
    fronts: list[list[int]] = []
    ranks: list[int] = []
    for index, point in enumerate(distinct):
        low, high = 0, len(fronts)
        while low < high:
            middle = (low + high) // 2
            if np.any(np.all(distinct[fronts[middle]] <= point, axis=1)):
                low = middle + 1
            else:
                high = middle
        if low == len(fronts):
            fronts.append([])
        fronts[low].append(index)
        ranks.append(low)
    return ranks


def _checked(points: npt.ArrayLike, *, vector: bool = False, finite: bool = False) -> FloatArray:
    array = np.asarray(points, dtype=np.float64)
    if array.size == 0 and not vector:
        array = array.reshape(0, 1)
    if array.ndim != (1 if vector else 2):
        expected = "[objective]" if vector else "[point, objective]"
        raise ValueError(f"expected float {expected}, got the shape {array.shape}")
    if np.isnan(array).any():
        raise ValueError("points must not hold NaN")
    if finite and not np.isfinite(array).all():
        raise ValueError("points must be finite")
    return array
