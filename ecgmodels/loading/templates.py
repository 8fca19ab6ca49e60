"""Each recording's own median beat, to lay beside its segments.

A template is the median over the segments of one recording, lead by lead and sample by sample: what
the patient's beats are usually like, against which a beat of another shape stands out. It makes
sense of segments that are windows around beats and so lie on top of each other
(`ecgmodels.data.Dataset.aligned`).

It is unsupervised: labels are never looked at, so templates of validation and test recordings can
be had as those of training ones are, each from its own segments alone. And it is not causal: the
template of a recording's first beat is made of its last ones, too, so a model that takes templates
answers when a recording is over, not while it runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from ecgmodels.loading.gathering import PIECE_SAMPLES, HostSignal, Normaliser, ReusedMemory

SEGMENTS_OF_A_TEMPLATE = 256
"""At most so many segments of a recording, evenly spaced over it, make its template; more would
only be more to read. Of MIT-BIH's recordings (some 2,300 beats each), templates of 256 beats differ
from those of all by 3.5 uV (root mean square) in the median and 23 uV at most."""

_NOWHERE = np.iinfo(np.int16).max
"""What stands in for an invalid sample: sorted, it comes last, and where a valid one is as large,
it does not matter which of the two is taken."""


@dataclass(frozen=True, kw_only=True)
class Templates:
    """The templates of a split's recordings, on the device of its batches."""

    signal: Tensor
    """float32 [recording, lead, time], normalised as segments are; 0, the lead's mean, where no
    segment of the recording that was looked at is valid"""
    recording: Tensor
    """int64 [segment], the row of `signal` that is its recording's"""

    @classmethod
    def of(
        cls,
        signal: HostSignal,
        normaliser: Normaliser,
        *,
        valid_samples: npt.ArrayLike,
        record: npt.ArrayLike,
        device: torch.device,
    ) -> Templates:
        """Make them; a segment that is alone in its recording is its own template.

        What is held at any time is one template a recording, and a few MiB of segments. Of mapped
        files only the segments that are looked at are read, and what lies between near ones.

        Args:
            signal: int16 [segment, lead, time], microvolts, wherever it lies.
            normaliser: of the split's signals.
            valid_samples: int [segment]; samples beyond it do not count.
            record: int [segment], the same number for segments of one recording, in any order.
        """
        numbers, recording = np.unique(np.asarray(record), return_inverse=True)
        made = torch.zeros((len(numbers), *signal.shape[1:]), device=device)
        valid = np.asarray(valid_samples, np.int64)
        for recordings, chosen in _chosen(recording, signal.segment_samples):
            median, known = _medians(_gathered(signal, chosen), valid[chosen])
            template = normaliser(torch.from_numpy(median).to(device))
            if not known.all():
                template.masked_fill_(torch.from_numpy(~known).to(device)[:, None], 0)
            made[torch.from_numpy(recordings).to(device)] = template
        return cls(signal=made, recording=torch.from_numpy(recording).to(device))

    def gather(self, index: Tensor, memory: ReusedMemory | None = None) -> Tensor:
        """Return the templates of segments: float32 [batch, lead, time].

        Args:
            index: int64 [batch], on the device.
            memory: to take the result from, where the device is the CPU.
        """
        rows = self.recording.index_select(0, index)
        if memory is None or self.signal.device.type != "cpu":
            return self.signal.index_select(0, rows)
        out = memory.take((len(rows), *self.signal.shape[1:]), np.float32)
        return torch.index_select(self.signal, 0, rows, out=out)


def _chosen(
    recording: npt.NDArray[np.int64], segment_samples: int
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield int64 [recording] and the segments chosen of each, int64 [recording, segment].

    Recordings of as many segments come together, as many as are worth a piece at a time.
    """
    order = np.argsort(recording, kind="stable")
    counts = np.bincount(recording)
    firsts = np.cumsum(counts) - counts
    taken = np.minimum(counts, SEGMENTS_OF_A_TEMPLATE)
    for many in np.unique(taken).tolist():
        recordings = np.flatnonzero(taken == many)
        middles = (2 * np.arange(many) + 1) * counts[recordings, None] // (2 * many)
        chosen = order[firsts[recordings, None] + middles]
        together = max(1, PIECE_SAMPLES // (many * segment_samples))
        for begin in range(0, len(recordings), together):
            some = slice(begin, begin + together)
            yield recordings[some], chosen[some]


def _gathered(signal: HostSignal, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int16]:
    """Return int16 [recording, segment, lead, time]."""
    index = torch.from_numpy(chosen.reshape(-1))
    signal.bring_in(index)
    raw = torch.empty((len(index), *signal.shape[1:]), dtype=torch.int16)
    gathered: npt.NDArray[Any] = signal.gather(index, raw).numpy()
    return gathered.reshape(*chosen.shape, *signal.shape[1:])


def _medians(
    raw: npt.NDArray[np.int16], valid_samples: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Return medians, and where there are any.

    Args:
        raw: int16 [recording, segment, lead, time]; written to.
        valid_samples: int64 [recording, segment].

    Returns:
        float32 [recording, lead, time], microvolts, the mean of the two middle samples where there
        are two; bool [recording, time].
    """
    leads, samples = raw.shape[2:]
    valid = np.arange(samples) < valid_samples[:, :, None]
    if not valid.all():
        np.copyto(raw, _NOWHERE, where=~valid[:, :, None])
    # Sorting int16 is vectorised: three times as fast as numpy's median or a selection.
    raw.sort(axis=1)
    count = valid.sum(axis=1)
    last = np.maximum(count - 1, 0)
    middles = [
        np.take_along_axis(raw, np.broadcast_to(at[:, None, None], (len(at), 1, leads, samples)), 1)
        for at in (last // 2, np.minimum(count // 2, last))
    ]
    median = (middles[0].astype(np.float32) + middles[1]) / 2
    return median[:, 0].astype(np.float32), count > 0
