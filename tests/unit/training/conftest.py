"""Synthetic training data, real ones where there are any, and one thread to train with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from ecgmodels.data import PrepareOptions, open_dataset, prepare
from ecgmodels.training.data import TrainingData
from tests.made_waves import make_data, make_several

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def waves() -> Callable[..., TrainingData]:
    """`waves(train, validation, samples=64)`: two leads, three classes, features age and sex."""
    return make_data


@pytest.fixture
def several() -> Callable[..., TrainingData]:
    """`several(train, validation, samples=64)`: as `waves`, but multi-label."""
    return make_several


@pytest.fixture(scope="session")
def mitdb(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TrainingData]:
    """MIT-BIH's beats under the fixed split: patients of validation are not trained on."""
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not (root / "mitdb" / "RECORDS").is_file():
        pytest.skip(f"no MIT-BIH recordings in {root} (set ECG_DATA_ROOT)")
    folder = tmp_path_factory.mktemp("mitdb")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("ECGSEARCH_CACHE", str(folder / "cache"))
        prepare("mitdb", root / "mitdb", folder / "dataset", PrepareOptions(), processes=2)
        yield TrainingData.of(open_dataset(folder / "dataset"))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small networks are faster so, and equal from run to run."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
