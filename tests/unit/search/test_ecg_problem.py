"""What a trial of EfficientECG occupies, and how it learns after memory ran out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import optuna
import pytest
from torch import nn

from cluster.resources import Resources
from ecgmodels import ECGNetwork
from ecgmodels.data import Dataset, open_dataset
from search.ecg_problem import ECGProblem, ecg_problem_spec
from search.problem import Context
from tests.unit.data.made_datasets import make_records, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("made") / "data"
    write_dataset(folder, make_records(12, 6), options={"score": "segment"})
    return open_dataset(folder)


def problem_on(dataset: Dataset, **settings: Any) -> ECGProblem:
    spec = ecg_problem_spec(
        dataset,
        split="fixed",
        space="efficientecg",
        ranges={"base": ["tiny"], "phi": [-3.0, -2.0]},
        training={"epochs": 2, "batch_size": 8},
        **settings,
    )
    problem = spec.build()
    assert isinstance(problem, ECGProblem)
    return problem


def test_one_worker_may_share_a_gpu_and_each_of_several_has_its_own(dataset: Dataset) -> None:
    problem = problem_on(dataset, gpus=0.25, wide_above_parameters=1000, wide_workers=2)
    assert problem.shapes() == (Resources(gpus=0.25), Resources(workers=2, gpus=1.0))


def test_after_memory_ran_out_a_candidate_learns_from_halves_and_stays_the_same(
    dataset: Dataset, tmp_path: Path
) -> None:
    problem = problem_on(dataset)
    sampler = optuna.samplers.RandomSampler(seed=0)
    candidate = problem.suggest(optuna.create_study(sampler=sampler).ask())
    whole = Context(seed=1, max_epochs=2)
    first = next(problem.learn(candidate, whole))
    first.save(tmp_path / "state")
    halves = dataclasses.replace(whole, checkpoint=tmp_path / "state", batch_parts=2)
    rows: list[int] = []

    def note(module: nn.Module, inputs: Any) -> None:
        if isinstance(module, ECGNetwork) and module.training:
            rows.append(len(inputs[0]))

    with nn.modules.module.register_module_forward_pre_hook(note):
        (second,) = problem.learn(candidate, halves)
    assert second.number == 2
    assert set(rows) == {4}
