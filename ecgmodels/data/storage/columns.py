"""Columns of a memory-mapped Arrow batch as numpy arrays.

pyarrow's own `to_numpy` imports pandas, which takes longer than opening a dataset of a million
records.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray


def view_of(column: pa.Array) -> NDArray[Any]:
    """Return the values of a column of numbers as a read-only view, whether null or not.

    Of a fixed-size list it is [row, item], of a dictionary the codes.
    """
    if pa.types.is_dictionary(column.type):
        return view_of(column.indices)
    if pa.types.is_fixed_size_list(column.type):
        size = column.type.list_size
        start = column.offset * size
        return view_of(column.values.slice(start, len(column) * size)).reshape(len(column), size)
    kind = np.dtype(column.type.to_pandas_dtype())
    buffer = column.buffers()[1]
    if buffer is None or not len(column):
        return np.empty(0, dtype=kind)
    return np.frombuffer(buffer, kind, count=len(column), offset=column.offset * kind.itemsize)


def filled(column: pa.Array, missing: float) -> NDArray[Any]:
    """Return the values of a column of numbers with `missing` for each null; a copy if need be."""
    if pa.types.is_dictionary(column.type):
        return filled(column.indices, missing)
    values = view_of(column)
    if not column.null_count:
        return values
    bits = np.frombuffer(column.buffers()[0], np.uint8)
    known = np.unpackbits(bits, bitorder="little", count=column.offset + len(column))
    return np.where(known[column.offset :], values, values.dtype.type(missing))
