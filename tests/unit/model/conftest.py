"""Synthetic training data, and one thread to train with."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch

from ecgmodels.training.data import TrainingData
from tests.made_waves import in_records, make_data, make_several


@pytest.fixture
def waves() -> Callable[..., TrainingData]:
    """`waves(train, validation, samples=64)`: two leads, three classes, features age and sex."""
    return make_data


@pytest.fixture
def several() -> Callable[..., TrainingData]:
    """`several(train, validation, samples=64)`: as `waves`, but multi-label."""
    return make_several


@pytest.fixture
def records() -> Callable[..., TrainingData]:
    """`records(data, score)`: the same data with metrics that count records."""
    return in_records


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks are faster so, and equal from run to run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
