"""Which detected beat is which annotated one, and how good a detector that makes.

Pairs and figures are those of ANSI/AAMI EC57 (beat-by-beat comparison): a detection within 150 ms
of an annotated beat finds it, each beat is found by one detection at most.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TOLERANCE_S = 0.15
"""The match window of ANSI/AAMI EC57."""


@dataclass(frozen=True, kw_only=True)
class DetectionCounts:
    """How many beats were found; the sum of several records' counts gives gross figures."""

    found: int
    missed: int
    extra: int
    """Detections where no beat is annotated."""

    @property
    def sensitivity(self) -> float:
        """Share of the annotated beats that were found; NaN where there are none."""
        return _share(self.found, self.missed)

    @property
    def positive_predictivity(self) -> float:
        """Share of the detections that are beats; NaN where there are none."""
        return _share(self.found, self.extra)

    def __add__(self, other: DetectionCounts) -> DetectionCounts:
        return DetectionCounts(
            found=self.found + other.found,
            missed=self.missed + other.missed,
            extra=self.extra + other.extra,
        )


def count_detections(
    detected: NDArray[np.int64], annotated: NDArray[np.int64], rate_hz: float
) -> DetectionCounts:
    """Count what was found, missed and extra within `TOLERANCE_S`.

    Args:
        detected: int64 [detection], samples, ascending.
        annotated: int64 [beat], samples, ascending.
        rate_hz: sampling rate of both.
    """
    found = len(match_beats(detected, annotated, TOLERANCE_S * rate_hz)[0])
    return DetectionCounts(found=found, missed=len(annotated) - found, extra=len(detected) - found)


def match_beats(
    detected: NDArray[np.int64], annotated: NDArray[np.int64], tolerance: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair detected with annotated beats one to one, never further apart than `tolerance`.

    Of all such pairings it is one with the most pairs, and among those one with the least total
    distance, so that a beat goes to the nearest detection unless that one is needed elsewhere.
    The time taken grows with the number of pairs within the tolerance.

    Args:
        detected: int64 [detection], samples, ascending.
        annotated: int64 [beat], samples, ascending.
        tolerance: samples, at most this far apart.

    Returns:
        Equally long int64 [pair], both ascending: index into `detected`, index into `annotated`.
        Indices in neither are the extra detections and the missed beats.
    """
    # Pairs of the best pairing need not cross, so it is a sequence alignment (Needleman & Wunsch
    # 1970). Detection i can only go to the beats first[i] <= j < last[i]; rows[i][j - first[i]] is
    # the best score of the detections up to i and the first j beats, and it is the same for any
    # j beyond last[i].
    first = np.searchsorted(annotated, detected - tolerance, side="left").tolist()
    last = np.searchsorted(annotated, detected + tolerance, side="right").tolist()
    detections, beats = detected.tolist(), annotated.tolist()
    # One pair more outweighs any distance.
    pair_score = 1 + int(tolerance) * (1 + min(len(beats), len(detections)))

    rows: list[list[int]] = []
    before, before_first = [0], 0
    for low, high, detection in zip(first, last, detections, strict=True):
        end = before_first + len(before) - 1
        row = [before[min(low, end) - before_first]]
        for j in range(low, high):
            skipped = before[min(j + 1, end) - before_first]
            paired = before[min(j, end) - before_first] + pair_score - abs(detection - beats[j])
            row.append(max(skipped, row[-1], paired))
        rows.append(row)
        before, before_first = row, low
    return _trace_back(rows, first)


def _trace_back(
    rows: list[list[int]], first: list[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the pairs that the last score is made of."""
    pairs: list[tuple[int, int]] = []
    column = first[-1] + len(rows[-1]) - 1 if rows else 0
    for i in range(len(rows) - 1, -1, -1):
        row, low = rows[i], first[i]
        column = min(column, low + len(row) - 1)
        # Beats that add nothing to this row's score are missed, or found by an earlier detection.
        while column > low and row[column - low] == row[column - low - 1]:
            column -= 1
        before, before_first = (rows[i - 1], first[i - 1]) if i else ([0], 0)
        skipped = before[min(column - before_first, len(before) - 1)]
        if row[column - low] != skipped:
            column -= 1
            pairs.append((i, column))
    detected_index, annotated_index = np.array(pairs[::-1], dtype=np.int64).reshape(-1, 2).T
    return detected_index, annotated_index


def _share(counted: int, others: int) -> float:
    return counted / (counted + others) if counted + others else float("nan")
