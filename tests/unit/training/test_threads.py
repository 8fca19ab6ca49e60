"""How many threads a training computes with: as asked, or as measured and then remembered."""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ecgmodels import (
    ConfigError,
    ECGNetwork,
    EfficientECGConfig,
    Epoch,
    TrainingConfig,
    TrainingData,
    fit,
)
from ecgmodels.training.checkpoint import read_checkpoint
from ecgmodels.training.threads import (
    allowed_cpus,
    fastest,
    step_seconds,
    thread_counts,
    torch_threads,
)
from tests.unit.training.resuming import MODEL, TRAINING

Waves = Callable[..., TrainingData]

SMALL = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny", width=0.5)
SHORT = TrainingConfig(epochs=2, batch_size=16)


class Steps:
    """A step, and a clock by which it takes as long as the number of threads is said to need."""

    def __init__(self, seconds: dict[int, float]) -> None:
        self.seconds = seconds
        self.taken: list[int] = []
        self.now = 0.0

    def __call__(self) -> None:
        threads = torch.get_num_threads()
        self.taken.append(threads)
        self.now += self.seconds[threads]

    def measured(self, limit: int) -> dict[int, float]:
        return step_seconds(self, limit, clock=lambda: self.now)


@pytest.mark.parametrize(
    ("limit", "counts"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (4, (1, 2, 4)), (6, (1, 2, 4, 6))],
)
def test_powers_of_two_and_the_limit_are_tried(limit: int, counts: tuple[int, ...]) -> None:
    assert thread_counts(limit) == counts


def test_a_process_counts_the_cpus_that_it_may_use() -> None:
    assert 1 <= allowed_cpus() <= (os.cpu_count() or 1)


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({1: 1.0}, 1),
        ({1: 1.0, 2: 0.6, 4: 0.5}, 4),
        ({1: 1.0, 2: 0.95, 4: 0.91}, 1),
        ({1: 1.0, 2: 0.95, 4: 0.85}, 4),
        ({1: 0.5, 2: 1.0, 4: 0.49}, 1),
        ({1: 1.0, 2: 0.5, 4: float("inf")}, 2),
    ],
)
def test_more_threads_are_taken_only_for_clearly_less_time(
    seconds: dict[int, float], chosen: int
) -> None:
    assert fastest(seconds) == chosen


def test_each_number_of_threads_is_timed_by_a_few_steps() -> None:
    steps = Steps({1: 0.06, 2: 0.03, 4: 0.02})
    assert steps.measured(4) == pytest.approx(steps.seconds)
    assert [steps.taken.count(threads) for threads in (1, 2, 4)] == [5, 4, 4]


def test_long_steps_are_not_repeated() -> None:
    steps = Steps({1: 3.0, 2: 2.0})
    assert fastest(steps.measured(2)) == 2
    assert steps.taken == [1, 1, 2]


@pytest.mark.parametrize("two", [0.021, 0.05])
def test_what_gets_no_better_is_not_followed_further(two: float) -> None:
    steps = Steps({1: 0.02, 2: two, 4: 0.01})
    assert fastest(steps.measured(4)) == 1
    assert 4 not in steps.taken


def test_more_threads_are_tried_where_fewer_gained_too_little() -> None:
    steps = Steps({1: 0.02, 2: 0.019, 4: 0.01})
    assert fastest(steps.measured(4)) == 4


def test_threads_that_would_wait_for_each_other_are_not_tried() -> None:
    ticking = itertools.count()  # every look at the clock is a second later than the last
    seconds = step_seconds(Steps({1: 1.0, 2: 0.1}), 2, clock=lambda: float(next(ticking)))
    assert list(seconds) == [1]


def test_threads_are_set_for_the_block_alone() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
    with contextlib.suppress(KeyError), torch_threads(before + 1):
        raise KeyError
    assert torch.get_num_threads() == before


def test_an_epoch_computes_with_the_threads_asked_for_and_puts_back_the_processs(
    waves: Waves,
) -> None:
    before = torch.get_num_threads()
    seen = set()

    def look(*_: Any) -> None:
        seen.add(torch.get_num_threads())

    hook = torch.nn.modules.module.register_module_forward_pre_hook(look)
    try:
        for epoch in fit(SMALL, SHORT, waves(32, 16), seed=0, threads=before + 1):
            assert epoch.threads == before + 1
            assert torch.get_num_threads() == before
    finally:
        hook.remove()
    assert seen == {before + 1}


def test_measuring_disturbs_neither_weights_nor_random_numbers(waves: Waves) -> None:
    data = waves(48, 20)
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    measured = ends(fit(MODEL, TRAINING, data, seed=5, threads="measure", threads_limit=2))
    assert torch.equal(torch.rand(1), expected)
    told = ends(fit(MODEL, TRAINING, data, seed=5, threads=measured[0]))
    assert told[1] == measured[1]
    for name, value in told[2].items():
        assert torch.equal(value, measured[2][name]), name


def ends(epochs: Iterator[Epoch]) -> tuple[int, list[dict[str, float]], dict[str, torch.Tensor]]:
    """Return the threads, each epoch's metrics, and the last one's weights."""
    metrics = []
    for epoch in epochs:
        metrics.append(epoch.metrics)
        weights = {name: value.clone() for name, value in epoch.model.state_dict().items()}
    return epoch.threads, metrics, weights


def test_a_resumed_training_has_the_number_that_was_measured_before(
    waves: Waves, tmp_path: Path
) -> None:
    data, checkpoint = waves(48, 20), tmp_path / "trial.ckpt"
    # A number that no measurement would come to.
    next(fit(SMALL, SHORT, data, seed=0, threads=3)).save(checkpoint)
    assert read_checkpoint(checkpoint)["threads"] == 3

    def resumed(**options: Any) -> int:
        return next(fit(SMALL, SHORT, data, seed=0, checkpoint=checkpoint, **options)).threads

    assert resumed(threads="measure", threads_limit=4) == 3
    assert resumed(threads="measure", threads_limit=2) in (1, 2)
    assert resumed(threads=2) == 2
    assert resumed() == torch.get_num_threads()


def test_nothing_is_measured_where_there_is_no_choice(waves: Waves) -> None:
    data = waves(32, 16)

    def passes(**options: Any) -> int:
        """Return how often a network was asked, in training, to the end of the first epoch."""
        asked = []

        def count(module: torch.nn.Module, _: Any) -> None:
            if isinstance(module, ECGNetwork) and module.training:
                asked.append(module)

        hook = torch.nn.modules.module.register_module_forward_pre_hook(count)
        try:
            next(fit(SMALL, SHORT, data, seed=0, **options))
        finally:
            hook.remove()
        return len(asked)

    assert passes(threads=1) == passes(threads="measure", threads_limit=1) == 2
    assert passes(threads="measure", threads_limit=2) > 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threads": "all"}, "threads 'all' is unknown"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"threads": "measure", "threads_limit": 0}, "threads_limit must be at least 1"),
        ({"threads": 2, "threads_limit": 4}, "threads_limit 4 has no effect with threads 2"),
        ({"threads_limit": 4}, "threads_limit 4 has no effect with threads None"),
    ],
)
def test_threads_that_make_no_sense_are_refused(
    waves: Waves, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        fit(SMALL, SHORT, waves(32, 16), seed=0, **options)


def test_a_masked_training_can_be_measured_too(waves: Waves) -> None:
    data = waves(32, 16)
    short = dataclasses.replace(data.train, valid_samples=data.train.valid_samples // 2)
    epoch = next(
        fit(SMALL, SHORT, dataclasses.replace(data, train=short), seed=0, threads="measure")
    )
    assert 1 <= epoch.threads <= allowed_cpus()
