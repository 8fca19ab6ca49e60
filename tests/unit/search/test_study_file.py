"""Study files: what one says, what it leaves to defaults, and what its limits mean."""

import json
from pathlib import Path
from typing import Any

import pytest

from search.objectives import Bound, Objective
from search.study_file.reading import StudyFile
from tests.unit.search.study_files import LEAST, refused, written

FULL = """
name = "mitdb"
dataset = "data/mitdb"
study = "studies/first"
seed = 1
split = "fold-0"

[space]
name = "my_module:MySpace"
[space.ranges]
phi = [-2.0, 1.0]
heads = [1, 2, 4]

[[objectives]]
metric = "mean_f1"
direction = "max"
[[objectives]]
metric = "log10_macs"
direction = "min"

[bounds.parameters]
max = 500_000

[budget]
candidates = 100
epochs = 27

[sampler]
name = "nsga2"
startup = 20

[halving]
name = "pareto"
eta = 2
first_rung = 2
min_results = 5

[trials]
workers = 1
cpus = 2
gpus = 0.25
[trials.wide]
above_parameters = 300_000
workers = 2

[training]
batch_size = 64
segments_per_epoch = 8192

[storage]
url = "postgresql://host/studies"
"""


def test_a_name_and_a_dataset_make_a_study(tmp_path: Path) -> None:
    study = StudyFile.from_toml(written(tmp_path, 'name = "mitdb"\ndataset = "data/mitdb"\n'))
    assert study.study == "studies/mitdb"
    assert (study.seed, study.split, study.space.name) == (0, "fixed", "efficientecg")
    assert study.to_objectives() == (
        Objective("mean_f1", "max"),
        Objective("log10_parameters", "min", exact=True),
    )
    assert (study.budget.candidates, study.budget.epochs) == (24, 9)
    assert (study.halving.name, study.halving.eta, study.halving.first_rung) == ("pareto", 3, 1)
    assert (study.trials.workers, study.trials.cpus, study.trials.gpus) == (1, 1, 0.0)
    assert study.trials.wide is None
    assert study.storage.url == ""


def test_every_key_is_read(tmp_path: Path) -> None:
    study = StudyFile.from_toml(written(tmp_path, FULL))
    assert study.study == "studies/first"
    assert study.space.ranges == {"phi": [-2.0, 1.0], "heads": [1, 2, 4]}
    assert study.to_objectives()[1] == Objective("log10_macs", "min", exact=True)
    assert study.to_bounds() == (Bound("parameters", None, 500_000),)
    assert (study.sampler.name, study.sampler.startup) == ("nsga2", 20)
    assert study.halving.min_results == 5
    assert study.trials.wide is not None
    assert study.trials.wide.above_parameters == 300_000
    assert study.training == {"batch_size": 64, "segments_per_epoch": 8192}
    assert study.storage.url == "postgresql://host/studies"


def test_a_study_goes_through_json_and_comes_back(tmp_path: Path) -> None:
    study = StudyFile.from_toml(written(tmp_path, FULL))
    assert StudyFile.from_dict(json.loads(json.dumps(study.to_dict()))) == study


@pytest.mark.parametrize("halving", ["pareto", "none"])
@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "random"])
def test_every_sampler_and_halving_comes_back(sampler: str, halving: str) -> None:
    study = StudyFile.from_dict(
        {**LEAST, "sampler": {"name": sampler}, "halving": {"name": halving}}
    )
    assert StudyFile.from_dict(study.to_dict()) == study


def test_a_problem_of_ones_own_needs_no_dataset() -> None:
    study = StudyFile.from_dict(
        {
            "name": "curves",
            "problem": {"path": "my_module:Curves", "arguments": {"noise": 0.1}},
            "objectives": [
                {"metric": "error", "direction": "min"},
                {"metric": "size", "direction": "min", "exact": True},
            ],
            "bounds": {"size": {"max": 10}},
        }
    )
    assert study.problem is not None
    assert study.problem.arguments == {"noise": 0.1}
    assert [objective.exact for objective in study.to_objectives()] == [False, True]


# The budget


@pytest.mark.parametrize(
    "limit",
    [
        {"total_epochs": 500},
        {"worker_hours": 2},
        {"hours": 0.5},
        {"min_gain_per_hour": 0.01},
    ],
)
def test_any_limit_takes_the_place_of_the_number_of_candidates(
    limit: dict[str, Any], tmp_path: Path
) -> None:
    ((key, value),) = limit.items()
    text = f'name = "a"\ndataset = "b"\n[budget]\n{key} = {value}\n'
    budget = StudyFile.from_toml(written(tmp_path, text)).budget
    assert (budget.candidates, getattr(budget, key)) == (None, value)
    assert StudyFile.from_toml(written(tmp_path, text + "candidates = 7")).budget.candidates == 7


def test_a_study_without_a_number_of_candidates_reads_back_what_it_wrote(tmp_path: Path) -> None:
    study = StudyFile.from_toml(
        written(tmp_path, 'name = "a"\ndataset = "b"\n[budget]\nhours = 2\n')
    )
    assert StudyFile.from_dict(json.loads(json.dumps(study.to_dict()))) == study


@pytest.mark.parametrize("key", ["gpu_hours", "worker_hours", "hours", "min_gain_per_hour"])
def test_a_limit_is_more_than_nothing(key: str) -> None:
    message, hint = refused(budget={key: 0.0})
    assert message == f"budget.{key}: expected more than 0, got 0.0"
    assert hint.startswith(f"write {key} = ")


def test_gpu_hours_are_refused_where_trials_take_no_gpu() -> None:
    assert refused(budget={"gpu_hours": 2.0}) == (
        "budget.gpu_hours would never be spent: trials.gpus is 0",
        "set budget.worker_hours instead, or give trials GPUs",
    )
