"""Measuring several ways by turns, each in a process of its own.

What else a machine does comes and goes; what is measured by turns meets it alike.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from typing import Any

import torch

Make = Callable[[], Callable[[], float]]
"""Makes ready, and returns what one round of measurement is; sent to the process that calls it."""


ROUNDS = 3
"""Of a turn."""


@dataclass(frozen=True, kw_only=True)
class Turns:
    """What one way came to."""

    rates: tuple[float, ...]
    """Of each round."""
    peak_bytes: int
    """Memory at most, beyond what the process had before it was made ready."""

    @property
    def rate(self) -> float:
        return median(self.rates)


def by_turns(ways: Mapping[str, Make], *, cpus: Sequence[int], turns: int) -> dict[str, Turns]:
    """Measure the ways by turns on these CPUs, all of them with as many threads.

    Each turn is a process that has the CPUs to itself: threads that wait for others to be measured
    would turn in circles for a while, where those are at work.
    """
    rates: dict[str, list[float]] = {name: [] for name in ways}
    peaks = dict.fromkeys(ways, 0)
    for _ in range(turns):
        for name, make in ways.items():
            with _process(make, cpus) as connection:
                for _ in range(ROUNDS):
                    connection.send("round")
                    rates[name].append(_answer(connection))
                connection.send("peak")
                peaks[name] = max(peaks[name], int(_answer(connection)))
    return {name: Turns(rates=tuple(rates[name]), peak_bytes=peaks[name]) for name in ways}


@contextmanager
def _process(make: Make, cpus: Sequence[int]) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, make, tuple(cpus)))
    process.start()
    there.close()
    _answer(here)  # it is ready
    try:
        yield here
    finally:
        here.close()
        process.join()


def _answer(connection: Connection) -> float:
    answer = connection.recv()
    if isinstance(answer, BaseException):
        raise answer
    return float(answer)


def _serve(connection: Connection, make: Make, cpus: tuple[int, ...]) -> None:
    try:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, cpus)
        torch.set_num_threads(len(cpus))
        _forget_peak()
        before = _peak_bytes()
        one_round = make()
        connection.send(0)
        while True:
            wanted = connection.recv()
            connection.send(one_round() if wanted == "round" else _peak_bytes() - before)
    except EOFError:
        return
    except BaseException as error:
        connection.send(error)


def _forget_peak() -> None:
    """Begin the peak anew: a process starts with that of the one which started it."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak_bytes() -> int:
    """Return the memory at most since the peak was forgotten (on Linux), or ever."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def made(function: Callable[..., Callable[[], float]], *arguments: Any, **options: Any) -> Make:
    """Return `function(*arguments, **options)`, yet to be called."""
    return partial(function, *arguments, **options)
