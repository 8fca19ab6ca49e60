"""The packages that export needs beyond those that training does."""

from __future__ import annotations

import importlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from types import ModuleType

from ecgmodels.errors import ECGModelsError


def export_package(name: str) -> ModuleType:
    """Import one of the packages of the extra "export", such as "onnxruntime.quantization".

    Raises:
        ECGModelsError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ECGModelsError(
            f"exporting needs the package {name.partition('.')[0]}, which cannot be imported: "
            f"{error}",
            hint="pip install 'ecgsearch[export]'",
        ) from error


@contextmanager
def quiet(logger_name: str | None) -> Iterator[None]:
    """Keep to itself what an exporter tells of its own workings.

    Args:
        logger_name: the logger that it tells it to; None: the root logger.
    """
    logger = logging.getLogger(logger_name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
