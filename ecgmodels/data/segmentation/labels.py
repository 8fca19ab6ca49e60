"""From annotation codes and recordings' classes to the labels of segments."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.databases.base import Task
from ecgmodels.data.recordings.records import Record
from ecgmodels.data.segmentation.windows import Sieve
from ecgmodels.errors import DataError

Labels = NDArray[np.int64] | NDArray[np.uint8]


def label_beats(
    symbol: NDArray[np.str_], task: Task, classes: tuple[str, ...], sieve: Sieve
) -> NDArray[np.int64]:
    """Return int64 [beat], index into the classes kept; reject the beats of others.

    Args:
        symbol: annotation code of each beat, str [beat].
        task: knows the class of each code.
        classes: those kept.
        sieve: of the beats; symbols of those already left out are not looked at.
    """
    label = np.full(len(symbol), -1, dtype=np.int64)
    for code in np.unique(symbol[sieve.kept]).tolist():
        beats = symbol == code
        name = task.codes.get(code)
        if name in classes:
            label[beats] = classes.index(name)
        elif name is None:
            sieve.reject(beats, f"code {code} has no class")
        else:
            sieve.reject(beats, f"class {name} left out")
    return label


def label_recording(record: Record, task: Task, classes: tuple[str, ...], sieve: Sieve) -> Labels:
    """Return the recording's label for each of its windows; reject all where it has none.

    Returns:
        int64 [window], index into the classes kept, or uint8 [window, class], 1 for each class of
        the recording: all 0 where it has none of those kept.

    Raises:
        DataError: the recording has several classes, and the task allows one.
    """
    count = len(sieve.kept)
    names = record.labels
    if names is None:
        sieve.reject(True, "recording without a label")
    if task.multi_label:
        row = np.array([name in (names or ()) for name in classes], dtype=np.uint8)
        return np.tile(row, (count, 1))
    if not names:
        sieve.reject(True, "recording of no class")
        return np.full(count, -1, dtype=np.int64)
    if len(names) > 1:
        raise DataError(
            f"record {record.id} has the labels {', '.join(names)}; task '{task.name}' "
            "allows one each",
            hint="choose a task with several labels a recording, or correct the labels",
        )
    if names[0] not in classes:
        sieve.reject(True, f"class {names[0]} left out")
        return np.full(count, -1, dtype=np.int64)
    return np.full(count, classes.index(names[0]), dtype=np.int64)
