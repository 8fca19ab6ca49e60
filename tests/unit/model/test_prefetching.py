from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator

import pytest

from ecgmodels.loading.prefetching import ahead


def prefetching_threads() -> int:
    return sum(thread.name == "prefetching" for thread in threading.enumerate())


def test_items_come_in_their_order() -> None:
    assert list(ahead(range(100), 3)) == list(range(100))
    assert list(ahead([], 3)) == []
    assert prefetching_threads() == 0


def test_no_more_is_made_ahead_than_asked_for() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    results = ahead(items(), 3)
    for number in range(20):
        assert next(results) == number
        time.sleep(0.005)
        # The one that was handed out, and three more.
        assert len(made) <= number + 4
    results.close()


def test_the_next_item_is_made_while_this_one_is_used() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made.set()
        yield 2

    results = ahead(items(), 1)
    assert next(results) == 1
    assert made.wait(timeout=10)
    assert next(results) == 2
    results.close()


def test_an_error_is_raised_after_the_items_that_came_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("the disk is gone")

    results = ahead(items(), 4)
    assert next(results) == 1
    with pytest.raises(ValueError, match="the disk is gone"):
        next(results)
    assert prefetching_threads() == 0


def test_the_thread_ends_when_its_reader_stops_or_fails() -> None:
    def endless() -> Iterator[int]:
        number = 0
        while True:
            yield (number := number + 1)

    results = ahead(endless(), 2)
    next(results)
    results.close()
    assert prefetching_threads() == 0

    def reader() -> None:
        for number in ahead(endless(), 2):
            if number == 3:
                raise RuntimeError("the reader fails")

    with pytest.raises(RuntimeError, match="the reader fails"):
        reader()
    gc.collect()
    assert prefetching_threads() == 0


def test_nothing_is_started_before_the_first_item_is_asked_for() -> None:
    results = ahead(range(3), 2)
    assert prefetching_threads() == 0
    results.close()
