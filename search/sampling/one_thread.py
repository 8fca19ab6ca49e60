"""Sums that come out the same wherever a search goes on: linear algebra on one thread."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from threadpoolctl import ThreadpoolController


def one_thread() -> AbstractContextManager[object]:
    """Return a context in which BLAS uses one thread.

    Matrices are small, and candidates are training on the other cores.
    """
    return _threads().limit(limits=1, user_api="blas")


@functools.cache
def _threads() -> ThreadpoolController:
    return ThreadpoolController()
