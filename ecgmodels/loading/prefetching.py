"""An iterator that works ahead of whoever reads it, in a thread of its own."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class _End:
    error: BaseException | None = None


def ahead(items: Iterable[T], depth: int) -> Generator[T, None, None]:
    """Yield `items`, at most `depth` of which are made before they are asked for.

    They are made in a background thread, which ends with the iteration: at the last item, when an
    error comes (it is raised here), or when this generator is closed or forgotten.
    """
    ready: queue.SimpleQueue[T | _End] = queue.SimpleQueue()
    vacant = threading.Semaphore(depth)
    stopping = threading.Event()

    def work() -> None:
        end = _End()
        try:
            iterator = iter(items)
            while True:
                vacant.acquire()
                if stopping.is_set():
                    break
                try:
                    ready.put(next(iterator))
                except StopIteration:
                    break
        except BaseException as error:
            end = _End(error)
        ready.put(end)

    thread = threading.Thread(target=work, name="prefetching", daemon=True)
    thread.start()
    try:
        while True:
            item = ready.get()
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            vacant.release()
            yield item
    finally:
        stopping.set()
        vacant.release()
        thread.join()
