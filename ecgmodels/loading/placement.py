"""Where a split's signals are kept, and how they become batches on the device.

Three ways, chosen by `placement` and used alike:

mapped      the device is the CPU: shards stay memory-mapped files, one page cache for all trials
            of a machine
resident    an accelerator that holds them: moved there once as int16, gathered there
streamed    an accelerator that does not: gathered by a background thread, the next pieces on
            their way while the present one is learnt from
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from ecgmodels.loading.gathering import PIECE_SAMPLES, HostSignal, Normaliser, ReusedMemory
from ecgmodels.loading.prefetching import ahead

Placement = Literal["mapped", "resident", "streamed"]
Signals = Generator[Tensor, None, None]
"""Close it when no more are wanted: a thread may be at work."""

RESIDENT_SHARE = 0.5
"""Signals may take this share of an accelerator's free memory; the model needs the rest."""

_PIECES_AHEAD = 2
"""Pieces (see `PIECE_SAMPLES`) that are made before they are asked for."""


def placement(signal_bytes: int, device: torch.device, free_bytes: int | None) -> Placement:
    """Choose where signals of this size (as int16) are kept.

    Args:
        free_bytes: of the accelerator's memory; None where that cannot be known, and is taken to be
            enough.
    """
    if device.type == "cpu":
        return "mapped"
    if free_bytes is None or signal_bytes <= RESIDENT_SHARE * free_bytes:
        return "resident"
    return "streamed"


def free_bytes(device: torch.device) -> int | None:
    """Return how much of an accelerator's memory is free, or None where torch does not know."""
    return torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else None


class SignalStore(Protocol):
    """The signals of a split, normalised as they are asked for."""

    normaliser: Normaliser
    index_device: torch.device
    """Where indices are wanted."""

    def gather(self, index: Tensor) -> Tensor:
        """Return the segments at `index: int64 [batch]`: float32 [batch, lead, time]."""

    def stream(self, pieces: Sequence[Tensor], read_ahead: int) -> Signals:
        """Gather one piece after another; if asked, `read_ahead` segments at a time are read from
        the disk in advance.

        A piece's memory is used again once no tensor made of it is left.
        """


def signal_store(
    signal: HostSignal, normaliser: Normaliser, device: torch.device, place: Placement
) -> SignalStore:
    """Put a signal where `place` says."""
    if place == "mapped":
        return MappedSignal(signal, normaliser)
    if place == "resident":
        return ResidentSignal(signal, normaliser, device)
    return StreamedSignal(signal, normaliser, device)


class MappedSignal:
    """Signals that stay in the shards' files; nothing of them is copied but batches."""

    index_device = torch.device("cpu")

    def __init__(self, signal: HostSignal, normaliser: Normaliser) -> None:
        self.host = signal
        self.normaliser = normaliser

    def gather(self, index: Tensor) -> Tensor:
        return self._normalised(index, ReusedMemory())

    def stream(self, pieces: Sequence[Tensor], read_ahead: int) -> Signals:
        memory = ReusedMemory()
        here = _brought_in(self.host, pieces, read_ahead)
        return (self._normalised(piece, memory) for piece in here)

    def _normalised(self, index: Tensor, memory: ReusedMemory) -> Tensor:
        out = memory.take((len(index), *self.host.shape[1:]), np.float32)
        return self.host.normalised(index, self.normaliser, out, memory)


class ResidentSignal:
    """Signals on an accelerator, whole, as int16."""

    def __init__(self, signal: HostSignal, normaliser: Normaliser, device: torch.device) -> None:
        self.normaliser = normaliser
        self.index_device = device
        self._signal_uv = torch.empty(signal.shape, dtype=torch.int16, device=device)
        rows = max(1, 16 * PIECE_SAMPLES // signal.segment_samples)
        for target, index in zip(
            self._signal_uv.split(rows), torch.arange(len(signal)).split(rows), strict=True
        ):
            raw = torch.empty(target.shape, dtype=torch.int16)
            target.copy_(signal.gather(index, raw))

    def gather(self, index: Tensor) -> Tensor:
        return self.normaliser(self._signal_uv.index_select(0, index))

    def stream(self, pieces: Sequence[Tensor], read_ahead: int) -> Signals:
        return (self.gather(piece) for piece in pieces)


class StreamedSignal:
    """Signals in host memory or files that follow each other to the device as they are needed."""

    index_device = torch.device("cpu")

    def __init__(self, signal: HostSignal, normaliser: Normaliser, device: torch.device) -> None:
        self.normaliser = normaliser
        self._host = signal
        self._device = device
        # Copies run beside the arithmetic, which waits for each one's event.
        self._copying = torch.cuda.Stream(device) if device.type == "cuda" else None

    def gather(self, index: Tensor) -> Tensor:
        return self.normaliser(self._gathered(index).to(self._device))

    def stream(self, pieces: Sequence[Tensor], read_ahead: int) -> Signals:
        here = _brought_in(self._host, pieces, read_ahead)
        with closing(ahead(map(self._sent, here), _PIECES_AHEAD)) as sent:
            for raw, arrival in sent:
                if arrival is not None:
                    present = torch.cuda.current_stream(self._device)
                    present.wait_event(arrival)
                    raw.record_stream(present)
                yield self.normaliser(raw)

    def _gathered(self, index: Tensor) -> Tensor:
        # torch keeps pinned memory for reuse, and waits for copies from it before it does.
        raw = torch.empty(
            (len(index), *self._host.shape[1:]),
            dtype=torch.int16,
            pin_memory=self._copying is not None,
        )
        return self._host.gather(index, raw)

    def _sent(self, index: Tensor) -> tuple[Tensor, torch.cuda.Event | None]:
        raw = self._gathered(index)
        if self._copying is None:
            return raw.to(self._device), None
        with torch.cuda.stream(self._copying):
            return raw.to(self._device, non_blocking=True), self._copying.record_event()


def _brought_in(signal: HostSignal, pieces: Sequence[Tensor], read_ahead: int) -> Iterator[Tensor]:
    """Yield `pieces`, whose segments a thread of its own reads from the disk in their turn.

    It is `read_ahead` segments ahead, and reads as many at a time, neighbours together.
    """
    if not read_ahead:
        return iter(pieces)
    together = max(1, read_ahead // max(map(len, pieces)))

    def read() -> Iterator[Tensor]:
        for begin in range(0, len(pieces), together):
            group = pieces[begin : begin + together]
            signal.bring_in(torch.cat(list(group)))
            yield from group

    return ahead(read(), together)
