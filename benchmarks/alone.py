"""Measuring in a process of its own, so that no settings of one way reach another."""

from __future__ import annotations

import multiprocessing
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from table import Row

T = TypeVar("T")


def alone(measure: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Call a module's function in a new process; what it raises is raised here."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measure, *arguments, **options).result()


def skipped(name: str, error: ImportError) -> list[Row]:
    """Say why a peer has no row."""
    print(f"{name} skipped: {error}", file=sys.stderr)
    return []
