"""Preparing many records at once: groups of them go to workers, their outcomes come in order."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from functools import partial
from multiprocessing import forkserver, resource_tracker

from ecgmodels.data.preparation.signals import uninterrupted
from ecgmodels.data.preparation.workers import (
    Group,
    Job,
    Outcome,
    PreparedRecord,
    prepare_group,
)
from ecgmodels.errors import DataError

Function = Callable[[Group], list[Outcome]]
Mapper = Callable[[Function, Iterable[Group]], Generator[list[Outcome]]]
"""Calls the function on each group somewhere; yields what it returned in the groups' order.

Groups are to be taken as there is room for them, since later ones are made as large as earlier
ones turned out to be small. What the function raises is raised.
"""

GROUP_BYTES = 2**20
"""Of segments: some dozen ten-second recordings, or one of half an hour."""
LARGEST_GROUP = 64
"""Records: also such as give no segments take time."""


def prepare_records(job: Job, records: Sequence[str], mapper: Mapper) -> Generator[Outcome]:
    """Yield the outcome of each record in the order given, few ahead of the consumer.

    Raises:
        DataError: a worker process died.
    """
    groups = _Groups(records)
    with closing(mapper(partial(prepare_group, job), groups)) as prepared:
        for outcomes in prepared:
            groups.learn(outcomes)
            while outcomes:
                yield outcomes.pop(0)


def here(
    function: Callable[[Group], list[Outcome]], groups: Iterable[Group]
) -> Generator[list[Outcome]]:
    """Prepare in this process; a `Mapper`."""
    for group in groups:
        yield function(group)


def in_processes(count: int) -> Mapper:
    """Return a mapper over worker processes of this machine, or `here` where one is enough."""
    return here if count == 1 else partial(_map_in_pool, count)


def available_cores() -> int:
    """Return the cores that a container or scheduler lets this process use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class _Groups:
    """Cuts records into groups: a task for each of 20,000 short records would cost more than they.

    It begins with one record each, since nobody knows how large they are before one was read.
    """

    def __init__(self, records: Sequence[str]) -> None:
        self._records = records
        self._size = 1

    def __iter__(self) -> Iterator[Group]:
        taken = 0
        while left := len(self._records) - taken:
            # Smaller towards the end, so that the last ones occupy all workers.
            size = max(1, min(self._size, left // 32))
            yield tuple(self._records[taken : taken + size])
            taken += size

    def learn(self, outcomes: Sequence[Outcome]) -> None:
        """Take the size of later groups from what one came to."""
        prepared = [outcome for outcome in outcomes if isinstance(outcome, PreparedRecord)]
        if prepared:
            largest = max(outcome.segments.signal_uv.nbytes for outcome in prepared)
            self._size = max(1, min(LARGEST_GROUP, GROUP_BYTES // max(1, largest)))


def _map_in_pool(
    workers: int, function: Function, groups: Iterable[Group]
) -> Generator[list[Outcome]]:
    # Never a plain fork: the parent may have threads (Ray, torch) that hold locks.
    context = multiprocessing.get_context("forkserver")
    _start_fork_server()
    waiting = iter(groups)
    started: deque[tuple[Group, Future[list[Outcome]]]] = deque()
    group: Group = ()
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        try:
            while True:
                while len(started) < 2 * workers and (following := next(waiting, None)):
                    with uninterrupted():  # it starts workers, which nobody else would end
                        started.append((following, pool.submit(function, following)))
                if not started:
                    return
                group, future = started.popleft()
                outcomes = future.result()
                del future
                yield outcomes
        except BrokenProcessPool as error:
            raise DataError(
                f"a worker process died at or soon after record {' '.join(group[:1])}",
                hint="try processes=1 (it may have run out of memory); in a script, call prepare "
                'under `if __name__ == "__main__":`',
            ) from error
        finally:
            pool.shutdown(cancel_futures=True)


def _start_fork_server() -> None:
    """Have the fork server import what workers need, once for all of all calls.

    A terminal's Ctrl-C is this process's to hear: the fork server, and the workers after it, are
    born with SIGINT blocked.
    """
    forkserver.set_forkserver_preload([__name__, "wfdb"])
    with uninterrupted():
        resource_tracker.ensure_running()  # the fork server starts it too, and unblocks SIGINT
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end_with_parent() -> None:
    """Set up a worker so that it does not outlive the process it works for."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
