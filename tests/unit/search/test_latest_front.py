"""The front of the latest results, kept while they come in."""

from __future__ import annotations

import numpy as np

from search.engine.latest_front import LatestFront
from search.engine.pareto import front


def test_it_is_always_the_front_of_what_was_told_last() -> None:
    rng = np.random.default_rng(0)
    kept = LatestFront()
    latest: dict[int, tuple[float, ...]] = {}
    for _ in range(400):
        number = int(rng.integers(40))
        if rng.random() < 0.1:
            kept.remove(number)
            latest.pop(number, None)
        else:
            # Few values, so that there are equal ones; results get better and worse.
            latest[number] = tuple(float(v) for v in rng.integers(12, size=2))
            kept.add(number, latest[number])
        numbers = list(latest)
        expected = {numbers[i] for i in front(np.array([latest[n] for n in numbers]))}
        assert kept.numbers == expected
