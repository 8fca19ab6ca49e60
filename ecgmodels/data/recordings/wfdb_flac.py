"""Reading signal files that are FLAC streams (WFDB formats 508, 516 and 524)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.recordings.wfdb_files import COPY_AGAIN
from ecgmodels.data.recordings.wfdb_formats import FLAC_BITS, Integers
from ecgmodels.data.recordings.wfdb_header_lines import SignalSpec
from ecgmodels.errors import DataError

_BLOCK = 2**16
_BITS_OF_SUBTYPE = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}


def read_flac(path: Path, frames: int, specs: list[SignalSpec]) -> Iterator[Integers]:
    """Yield the samples of each signal of a FLAC file, int32 [frame, sample of the frame].

    Raises:
        DataError: the file is no FLAC stream of so many signals and samples.
    """
    try:
        import soundfile  # type: ignore[import-untyped]
    except (ImportError, OSError) as error:  # OSError: its C library is not there
        raise DataError(
            f"{path} is a FLAC file, which needs soundfile: {error}",
            hint="install it: pip install soundfile",
        ) from error
    per_frame = specs[0].samples_per_frame
    if any(spec.samples_per_frame != per_frame for spec in specs):
        raise DataError(
            f"{path} is a FLAC file, but its signals have different samples per frame",
            hint="the channels of a FLAC file have one rate; correct the header",
        )
    total = frames * per_frame
    try:
        with soundfile.SoundFile(path) as stream:
            bits = _BITS_OF_SUBTYPE.get(stream.subtype, 0)
            if stream.channels != len(specs) or not 0 < bits <= FLAC_BITS[specs[0].format]:
                raise DataError(
                    f"{path} is a stream of {stream.channels} channels in {stream.subtype}, the "
                    f"header describes {len(specs)} signals in format {specs[0].format}",
                    hint="header and signal file are of different recordings: " + COPY_AGAIN,
                )
            stream.seek(specs[0].byte_offset)
            samples = _read_blocks(stream, total)
    except (soundfile.SoundFileError, OSError, ValueError) as error:
        raise DataError(f"{path} is not a readable FLAC file: {error}", hint=COPY_AGAIN) from error
    if len(samples) < total:
        raise DataError(
            f"{path} is cut short: the header promises {total:,} samples of each signal, "
            f"found {len(samples):,}",
            hint=COPY_AGAIN,
        )
    samples >>= 32 - bits  # the library moves samples to the upper bits
    for channel in range(len(specs)):
        yield samples[:, channel].reshape(frames, per_frame)


def _read_blocks(stream: Any, total: int) -> NDArray[np.int32]:
    """Read up to `total` samples of every channel.

    In blocks, because a damaged stream or header may claim any length: memory grows only with what
    is really there.
    """
    blocks = [np.empty((0, stream.channels), np.int32)]
    while total > 0 and len(block := stream.read(min(_BLOCK, total), "int32", always_2d=True)):
        blocks.append(block)
        total -= len(block)
    return np.concatenate(blocks)
