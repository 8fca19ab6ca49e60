"""What segmentation makes of one record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordSegments:
    """The segments of one record, all of one length, in the order of time.

    signal_uv: int16 [segment, lead, time], microvolts.
    valid_samples: int32 [segment]; samples beyond are 0 and not the recording's.
    label: int64 [segment], index into the classes, -1 where nothing is labelled; or uint8
        [segment, class], 1 for each class of the segment, where there may be several.
    start_sample: int64 [segment], in the record at the segments' rate; negative where a window
        around a beat begins before the record.
    features: float32 [segment, feature], NaN = unknown.
    rejected: reason -> windows that became no segment. Where beats were detected, "annotated beat
        not detected" counts annotations, and "no beat found" the record.
    padded: segments that reach over an end of the record.
    clipped_samples: samples beyond int16.
    bridged_samples: invalid samples interpolated in the whole record.
    """

    signal_uv: NDArray[np.int16]
    valid_samples: NDArray[np.int32]
    label: NDArray[np.int64] | NDArray[np.uint8]
    start_sample: NDArray[np.int64]
    features: NDArray[np.float32]
    rejected: Mapping[str, int]
    padded: int
    clipped_samples: int
    bridged_samples: int

    def __len__(self) -> int:
        return len(self.label)
