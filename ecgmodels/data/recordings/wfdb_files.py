"""Opening the files of a WFDB record so that only `DataError`, which names the file, escapes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from ecgmodels.errors import DataError

COPY_AGAIN = "copy the recording again from its source; its checksums are published there"


def require_file(path: Path) -> Path:
    """Return the path, or raise DataError where no regular file is there, or nobody may look."""
    try:
        there = stat.S_ISREG(os.stat(path).st_mode)
    except PermissionError as error:
        raise unreadable(path, error) from error
    except (OSError, ValueError):  # also a name that is too long, or holds a NUL byte
        there = False
    if not there:
        raise DataError(
            f"{path} is missing",
            hint="copy it next to the recording's other files (.hea, .dat, .atr)",
        )
    return path


def size_in_bytes(path: Path) -> int:
    """Return the size of a file that is there; DataError where it is not."""
    try:
        return require_file(path).stat().st_size
    except OSError as error:
        raise unreadable(path, error) from error


def read_bytes(path: Path, *, at_most: int) -> bytes:
    """Return the content of a file of at most so many bytes.

    Raises:
        DataError: the file is missing, cannot be read, or is larger.
    """
    size = size_in_bytes(path)
    if size > at_most:
        raise DataError(
            f"{path} has {size:,} bytes, expected at most {at_most:,}",
            hint="it is not what its name says: " + COPY_AGAIN,
        )
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error that says why the system does not give out a file."""
    return DataError(
        f"{path} cannot be read: {error.strerror or error}",
        hint="check that you may read it and that its disk is sound",
    )
