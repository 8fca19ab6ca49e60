"""Crops of whole recordings, and whole recordings in buckets of like length."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.preparation.options import ResolvedOptions
from ecgmodels.data.segmentation.windows import Windows


def crops_of(length: int, options: ResolvedOptions, rate_hz: float) -> Windows:
    """Return the crops of a recording of `length` samples at `rate_hz`, at least one.

    Together they hold every sample. A recording shorter than a crop is filled up with 0, and so is
    a whole recording, up to the length of its bucket.
    """
    if options.crop_s is None or options.stride_s is None:
        start = np.zeros(1, dtype=np.int64)
        return Windows(start=start, samples=bucket_samples(length), beyond="constant")
    # At the recordings' own rate nothing has checked before that a crop is not empty.
    samples = max(1, round(options.crop_s * rate_hz))
    stride = max(1, round(options.stride_s * rate_hz))
    start = crop_starts(length, samples, stride)
    return Windows(start=start, samples=samples, beyond="constant")


def crop_starts(length: int, samples: int, stride: int) -> NDArray[np.int64]:
    """Return where crops begin, int64 [crop]: every `stride`, and so that the last one ends last.

    Args:
        length: samples of the recording.
        samples: of a crop.
        stride: samples from crop to crop, at most `samples`.
    """
    last = max(length - samples, 0)
    start = np.arange(0, last + 1, stride, dtype=np.int64)
    return start if start[-1] == last else np.append(start, last)


def bucket_samples(length: int) -> int:
    """Return the length that recordings of like length share: eight to the octave.

    Rounded up to a multiple of 2^(floor(log2 length) - 3), so at most an eighth of it is filling.
    """
    step: int = 2 ** max(length.bit_length() - 4, 0)
    return -(-length // step) * step
