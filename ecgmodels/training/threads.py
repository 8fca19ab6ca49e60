"""How many CPU threads a training computes with: what was asked for, or what is fastest.

Small networks are slowed down by threads that wait for each other, large ones need them, and where
one turns into the other depends on the machine and on what else runs there. So the choice can be
left to a measurement: some steps of the very training, on its own batches, thrown away afterwards.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from ecgmodels.errors import ConfigError

Clock = Callable[[], float]

_STEPS = 3
"""Steps that are timed for each number of threads, of which the fastest counts: what disturbs a
step only makes it longer."""

_ENOUGH_S = 0.15
"""Fewer steps will do once they took this long; a step that is as long needs none to warm up."""

_WORTH = 0.9
"""More threads must bring the time of a step down to this share, or they are not taken: cores have
other uses. Still more are tried as long as time falls at all: where two cores share a unit, two
threads gain by chance and four by right."""

_SUMS = 10
_CROWDED_S = 1e-3
"""Threads are too many for the cores that are free when a small sum, which takes some 10
microseconds, takes this long on average over some: one of them waits for its turn on a core, and
turns last milliseconds. A step waits so hundreds of times, and is not even tried."""


def allowed_cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_counts(limit: int) -> tuple[int, ...]:
    """Return 1, 2, 4, ... and `limit`."""
    powers = (2**exponent for exponent in range(limit.bit_length()) if 2**exponent < limit)
    return (*powers, limit)


def require_threads(threads: int | str | None, limit: int | None) -> None:
    """Check what `fit` was told about threads.

    Raises:
        ConfigError: it is neither a number of at least 1, "measure" nor None, or the limit is
            given and nothing is measured.
    """
    if isinstance(threads, str) and threads != "measure":
        raise ConfigError(f"threads '{threads}' is unknown", hint="set a number, or 'measure'")
    for name, value in (("threads", threads), ("threads_limit", limit)):
        if isinstance(value, int) and value < 1:
            raise ConfigError(f"{name} must be at least 1, got {value}", hint=f"change {name}")
    if limit is not None and threads != "measure":
        raise ConfigError(
            f"threads_limit {limit} has no effect with threads {threads!r}",
            hint="set threads to 'measure', or leave out threads_limit",
        )


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Compute with `count` threads inside, and leave the process's setting as it was."""
    before = torch.get_num_threads()
    if count == before:  # setting it anew is not free
        yield
        return
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def step_seconds(
    step: Callable[[], object], limit: int, *, clock: Clock = time.perf_counter
) -> dict[int, float]:
    """Return how long `step` takes with each number of threads that was worth trying.

    Args:
        limit: the largest number of threads.
        clock: tells seconds.
    """
    with torch_threads(1):
        step()  # what is done once in a process or for a shape: kernels chosen, memory found
    seconds: dict[int, float] = {}
    for count in thread_counts(limit):
        least = min(seconds.values(), default=math.inf)
        with torch_threads(count):
            if count > 1 and _crowded(clock):
                break
            seconds[count] = _seconds(step, clock)
        if seconds[count] >= least:
            break
    return seconds


def fastest(seconds: Mapping[int, float]) -> int:
    """Return the smallest number of threads that no larger one clearly beats."""
    chosen = min(seconds)
    for count in sorted(seconds):
        if seconds[count] < _WORTH * seconds[chosen]:
            chosen = count
    return chosen


def _crowded(clock: Clock) -> bool:
    """Return whether there are fewer free cores than threads."""
    numbers = torch.ones(2**18)  # enough that torch divides them among its threads
    numbers.add_(1)  # threads are started
    begin = clock()
    for _ in range(_SUMS):
        numbers.add_(1)
    return clock() - begin > _SUMS * _CROWDED_S


def _seconds(step: Callable[[], object], clock: Clock) -> float:
    """Return the time of the fastest of a few steps."""
    times = [_timed(step, clock)]
    if times[0] < _ENOUGH_S:
        times = [_timed(step, clock)]  # the first only warmed up: new threads had to be started
    while len(times) < _STEPS and sum(times) < _ENOUGH_S:
        times.append(_timed(step, clock))
    return min(times)


def _timed(step: Callable[[], object], clock: Clock) -> float:
    begin = clock()
    step()
    return clock() - begin
