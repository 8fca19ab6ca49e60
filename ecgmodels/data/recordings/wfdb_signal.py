"""Reading the signals of a WFDB record into millivolts.

Decoded here rather than by wfdb: a header's claim is held against the size of the files before
anything is allocated, samples that a format marks invalid are NaN, and a worker process need not
import wfdb and pandas. The values equal those of `wfdb.rdrecord`, but for several samples a frame,
whose mean wfdb rounds to a whole unit.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ecgmodels.data.recordings.records import MV_PER_UNIT
from ecgmodels.data.recordings.wfdb_files import COPY_AGAIN, size_in_bytes, unreadable
from ecgmodels.data.recordings.wfdb_flac import read_flac
from ecgmodels.data.recordings.wfdb_formats import FLAC_BITS, FORMATS, INVALID, Integers
from ecgmodels.data.recordings.wfdb_header import Header, group_by_file
from ecgmodels.data.recordings.wfdb_header_lines import SignalSpec, shown
from ecgmodels.errors import DataError

# A MATLAB 4 file begins with five 32-bit integers (type, rows, columns, imaginary part, length of
# the name) and the name, "val": MATLAB's "MAT-File Format", appendix on version 4.
_MATLAB_HEADER_BYTES = 24
_MATLAB_TYPE = {"16": 30, "32": 20, "80": 50}  # int16, int32, uint8; little-endian full matrices


def read_signal(folder: Path, header: Header) -> NDArray[np.float64]:
    """Read all signals of a record.

    Signals with several samples a frame are averaged over the frame, so that all have the rate of
    the header; a frame with an invalid sample is invalid. Skew is taken out: what was not recorded
    at the end of a signal is NaN.

    Args:
        folder: the folder of the header; the signal files are beside it.
        header: what `read_header` gave.

    Returns:
        float64 [lead, time], contiguous, in millivolts; NaN where a sample is invalid.

    Raises:
        DataError: a file is missing, shorter than the header says or not of the stated format, or
            a signal is no voltage.
    """
    scales = [_millivolts_per_unit(folder, header, spec) for spec in header.signals]
    for file_name, indices in group_by_file(header.signals).items():
        _check_size(folder / file_name, header, [header.signals[index] for index in indices])
    stored: list[Integers] = []
    for file_name, indices in group_by_file(header.signals).items():
        stored += _read_file(folder / file_name, header, [header.signals[i] for i in indices])
    signal_mv = np.empty((len(header.signals), header.samples))
    for samples, spec, scale, row in zip(stored, header.signals, scales, signal_mv, strict=True):
        _convert(samples, spec, scale, out=row)
    return signal_mv


def _millivolts_per_unit(folder: Path, header: Header, spec: SignalSpec) -> float:
    scale = MV_PER_UNIT.get(spec.unit.lower())
    if scale is None:
        raise DataError(
            f"the header of {folder / header.record} gives the signal {shown(spec.name)} in "
            f"{shown(spec.unit)}, expected a voltage (V, mV, uV, nV)",
            hint="leave that signal out of the recording, or correct its unit in the header",
        )
    return scale


def _check_size(path: Path, header: Header, specs: list[SignalSpec]) -> None:
    """Hold what the header promises against the size of one signal file."""
    spec = specs[0]
    size = size_in_bytes(path)
    if spec.format in FLAC_BITS:
        return  # `read_flac` finds out as it reads
    per_frame = sum(spec.samples_per_frame for spec in specs)
    expected = spec.byte_offset + FORMATS[spec.format].bytes_for(header.samples * per_frame)
    if size < expected:
        raise DataError(
            f"{path} is cut short: the header of {header.record} promises {expected:,} bytes, "
            f"found {size:,}",
            hint=COPY_AGAIN,
        )
    kind = _MATLAB_TYPE.get(spec.format)
    if kind and path.suffix.lower() == ".mat" and spec.byte_offset == _MATLAB_HEADER_BYTES:
        _check_matlab(path, kind, rows=per_frame, columns=header.samples)


def _check_matlab(path: Path, kind: int, *, rows: int, columns: int) -> None:
    """Hold the matrix that a MATLAB file declares against the header of the record."""
    expected = [kind, rows, columns, 0, 4]
    declared = _read_array(path, "<i4", count=5, offset=0).tolist()
    if declared != expected:
        raise DataError(
            f"{path} declares a MATLAB matrix of type, rows, columns, imaginary part and length of "
            f"name {declared}, its header one of {expected}",
            hint="header and signal file are of different recordings: " + COPY_AGAIN,
        )


def _read_file(path: Path, header: Header, specs: list[SignalSpec]) -> Iterator[Integers]:
    """Yield the samples of each signal of one file, integers [frame, sample of the frame]."""
    spec = specs[0]
    if spec.format in FLAC_BITS:
        yield from read_flac(path, header.samples, specs)
        return
    layout = FORMATS[spec.format]
    per_frame = sum(spec.samples_per_frame for spec in specs)
    total = header.samples * per_frame
    content = _read_array(path, "u1", count=layout.bytes_for(total), offset=spec.byte_offset)
    frames = layout.unpack(content, total).reshape(header.samples, per_frame)
    column = 0
    for spec in specs:
        samples = frames[:, column : column + spec.samples_per_frame]
        column += spec.samples_per_frame
        if spec.format == "8":
            samples = samples.cumsum(dtype=np.int64).reshape(samples.shape) + spec.initial_value
        yield samples


def _read_array(path: Path, kind: str, *, count: int, offset: int) -> NDArray[Any]:
    try:
        content: NDArray[Any] = np.fromfile(path, kind, count=count, offset=offset)
    except OSError as error:
        raise unreadable(path, error) from error
    if len(content) < count:
        raise DataError(f"{path} became shorter while it was read", hint=COPY_AGAIN)
    return content


def _convert(
    samples: Integers, spec: SignalSpec, mv_per_unit: float, *, out: NDArray[np.float64]
) -> None:
    """Turn ADC units [frame, sample of the frame] into millivolts [frame]."""
    frames = out[:, None] if spec.samples_per_frame == 1 else np.empty(samples.shape)
    np.subtract(samples, float(spec.baseline), out=frames, dtype=np.float64)
    frames /= spec.gain
    if mv_per_unit != 1.0:
        frames *= mv_per_unit
    invalid = INVALID[spec.format]
    if invalid is not None:
        frames[samples == invalid] = np.nan
    if spec.samples_per_frame > 1:
        frames.mean(axis=1, out=out)
    if spec.skew:
        out[: -spec.skew] = out[spec.skew :].copy()
        out[-spec.skew :] = np.nan
