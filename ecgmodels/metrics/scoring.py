"""From answers about segments to answers about records.

A recording that was cut into crops has one label, so one answer is asked of it: the mean of its
crops' probabilities (what holds throughout, such as a diagnosis), or their maximum, class by class
(what shows in some crop, such as a paroxysm). A maximum's classes do not add up to 1; the predicted
class is still the largest.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from ecgmodels.errors import ConfigError

Score = Literal["segment", "mean", "max"]

Array = npt.NDArray[Any]


class RecordScores(NamedTuple):
    """Answers about records, in ascending order of their numbers."""

    record: npt.NDArray[np.int64]
    """int64 [record]"""
    probabilities: npt.NDArray[np.float32]
    """float32 [record, class]"""


def score_records(probabilities: Array, record: Array, how: Literal["mean", "max"]) -> RecordScores:
    """Put the answers about each record's segments together.

    Args:
        probabilities: float [segment, class].
        record: int [segment], in any order.
    """
    order = np.argsort(record, kind="stable")
    numbers, firsts = np.unique(np.asarray(record)[order], return_index=True)
    if not len(numbers):
        return RecordScores(
            numbers.astype(np.int64), np.empty((0, probabilities.shape[1]), np.float32)
        )
    ordered = np.asarray(probabilities)[order]
    if how == "max":
        scores = np.maximum.reduceat(ordered, firsts)
    else:
        counts = np.diff(firsts, append=len(ordered))
        scores = np.add.reduceat(ordered.astype(np.float64), firsts) / counts[:, None]
    return RecordScores(numbers.astype(np.int64), scores.astype(np.float32))


def record_labels(label: Array, record: Array) -> Array:
    """Return the label of each record, in ascending order of their numbers.

    Args:
        label: int64 [segment] or uint8 [segment, class].
        record: int [segment], in any order.

    Raises:
        ConfigError: segments of one record have different labels.
    """
    label = np.asarray(label)
    _, firsts, of_segment = np.unique(record, return_index=True, return_inverse=True)
    differs = label != label[firsts][of_segment]
    segments = np.flatnonzero(differs.reshape(len(label), -1).any(axis=1))
    if len(segments):
        raise ConfigError(
            f"record number {record[segments[0]]} has segments of different labels, "
            "and cannot be scored as one",
            hint="set score to 'segment' when preparing the data",
        )
    return label[firsts]


def scored(
    label: Array, probabilities: Array, record: Array, how: Score
) -> tuple[Array, npt.NDArray[np.float32]]:
    """Return labels and probabilities of what is counted: segments, or records.

    Raises:
        ConfigError: segments of one record have different labels.
    """
    if how == "segment":
        return np.asarray(label), probabilities
    return record_labels(label, record), score_records(probabilities, record, how).probabilities
