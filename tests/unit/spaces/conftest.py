"""A trial without Optuna, and the shape of a dataset like MIT-BIH's."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from spaces import DataShape


class RandomTrial:
    """Draws from a seeded generator and remembers, as `asked`, what it was asked."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.asked: dict[str, Any] = {}

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        if log:
            drawn = math.exp(self._random.uniform(math.log(low), math.log(high)))
        else:
            drawn = self._random.uniform(low, high)
        return self._remembered(name, min(max(drawn, low), high))

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        return self._remembered(name, self._random.randrange(low, high + 1, step))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return self._remembered(name, self._random.choice(list(choices)))

    def _remembered(self, name: str, value: Any) -> Any:
        assert name not in self.asked, f"{name} was asked for twice"
        self.asked[name] = value
        return value


@pytest.fixture
def random_trial() -> Callable[[int], RandomTrial]:
    return RandomTrial


@pytest.fixture
def shape() -> DataShape:
    return DataShape(
        leads=2, samples=256, classes=4, features=("rr_previous", "rr_next"), rate_hz=360.0
    )


@pytest.fixture
def featureless() -> DataShape:
    return DataShape(leads=1, samples=1000, classes=5, rate_hz=100.0)
