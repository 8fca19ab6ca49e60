"""Study files: what one says, what it leaves to defaults, and two lines on whatever is wrong."""

import datetime
import json
import math
from pathlib import Path
from typing import Any

import pytest

from search.errors import StudyFileError
from search.objectives import Bound, Objective
from search.study_file.reading import StudyFile

LEAST: dict[str, Any] = {"name": "mitdb", "dataset": "data/mitdb"}

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


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def refused(**changes: Any) -> tuple[str, str]:
    """Return the message and hint that a study with these changes gives; None leaves a key out."""
    values = {key: value for key, value in {**LEAST, **changes}.items() if value is not None}
    with pytest.raises(StudyFileError) as caught:
        StudyFile.from_dict(values, file="study.toml")
    message = str(caught.value)
    assert message.startswith("study.toml: ")
    assert "\n" not in message + caught.value.hint
    return message.removeprefix("study.toml: "), caught.value.hint


def changed(**changes: Any) -> list[str]:
    """Return what keeps a file with these changes from going on with the least study."""
    return StudyFile.from_dict({**LEAST, **changes}).compatible_with(StudyFile.from_dict(LEAST))


# What a file says


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


# What is wrong with a file


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match=r"no\.toml' cannot be read: No such file"):
        StudyFile.from_toml(tmp_path / "no.toml")


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    path = written(tmp_path, 'name = "mitdb"\nseed = \n')
    with pytest.raises(StudyFileError, match=r"study\.toml: not valid TOML: .*line 2"):
        StudyFile.from_toml(path)


def test_a_file_that_is_not_utf8_says_where(tmp_path: Path) -> None:
    path = tmp_path / "study.toml"
    path.write_bytes(b'name = "\xff"')
    with pytest.raises(StudyFileError, match="byte 8 is not UTF-8"):
        StudyFile.from_toml(path)


def test_a_misspelt_key_is_told_the_nearest() -> None:
    assert refused(sede=1) == ("unknown key 'sede'", "did you mean 'seed'?")
    assert refused(budget={"candidats": 3}) == (
        "unknown key 'budget.candidats'",
        "did you mean 'candidates'?",
    )
    assert refused(bounds={"macs": {"maxi": 3}})[1] == "did you mean 'max'?"


def test_a_key_in_the_wrong_table_is_told_its_own() -> None:
    assert refused(candidates=9)[1] == "did you mean 'budget.candidates'?"
    assert refused(halving={"seed": 1})[1] == (
        "'seed' belongs at the top of the file, before the first [table]"
    )


def test_a_value_of_another_type_is_told_what_was_expected() -> None:
    assert refused(budget={"epochs": "nine"}) == (
        'budget.epochs: expected a whole number, got "nine"',
        "write epochs = 9",
    )
    assert refused(seed=True)[0] == "seed: expected a whole number, got true"
    assert refused(trials={"gpus": "all"})[0] == 'trials.gpus: expected a number, got "all"'
    assert refused(budget=3) == (
        "budget: expected a table, got 3",
        "write [budget] and its keys below",
    )
    assert refused(objectives={"metric": "mean_f1"}) == (
        "objectives: expected a list, got a table",
        "write [[objectives]] and its keys below",
    )


def test_a_value_that_is_not_an_option_is_told_the_nearest() -> None:
    assert refused(sampler={"name": "tpee"}) == (
        "sampler.name: expected 'front', 'tpe', 'nsga2', 'nsga3', 'gp' or 'random', got \"tpee\"",
        "did you mean 'tpe'?",
    )
    assert refused(objectives=[{"metric": "mean_f1", "direction": "up"}]) == (
        "objectives[0].direction: expected 'max' or 'min', got \"up\"",
        "valid: max, min",
    )


@pytest.mark.parametrize(
    ("table", "key", "least"),
    [
        ("budget", "candidates", 1),
        ("budget", "epochs", 1),
        ("halving", "eta", 2),
        ("halving", "first_rung", 1),
        ("trials", "workers", 1),
        ("trials", "cpus", 1),
        ("sampler", "startup", 1),
    ],
)
def test_numbers_have_a_least_value(table: str, key: str, least: int) -> None:
    message, _ = refused(**{table: {key: least - 1}})
    assert message == f"{table}.{key}: expected {least} or more, got {least - 1}"


def test_a_missing_key_is_shown() -> None:
    assert refused(name=None) == ("'name' is missing", 'add name = "mitdb"')
    assert refused(dataset=None) == ("'dataset' is missing", 'add dataset = "data/mitdb"')
    assert refused(trials={"wide": {"workers": 2}}) == (
        "'trials.wide.above_parameters' is missing",
        "add above_parameters = 300000",
    )


def test_something_has_to_be_learned() -> None:
    message, hint = refused(objectives=[{"metric": "macs", "direction": "min"}])
    assert message == "objectives: macs can be had without training"
    assert "mean_f1" in hint
    assert refused(objectives=[])[0] == "objectives: expected at least one, got a list of 0"


def test_an_objective_is_there_once_logarithms_included() -> None:
    objectives = [
        {"metric": "mean_f1", "direction": "max"},
        {"metric": "parameters", "direction": "min"},
        {"metric": "log10_parameters", "direction": "min"},
    ]
    assert refused(objectives=objectives)[0] == "objectives: 'parameters' is there twice"


def test_a_misspelt_cost_is_not_taken_for_something_to_learn() -> None:
    objectives = [
        {"metric": "mean_f1", "direction": "max"},
        {"metric": "paramters", "direction": "min"},
    ]
    assert refused(objectives=objectives)[1] == "did you mean 'parameters'?"
    assert refused(bounds={"mac": {"max": 1}}) == (
        "bounds.mac: no such cost",
        "did you mean 'macs'?",
    )


def test_a_bound_has_limits_in_order() -> None:
    assert refused(bounds={"macs": {}})[0] == "bounds.macs: has neither min nor max"
    assert refused(bounds={"macs": {"min": 3, "max": 1}})[0] == "bounds.macs: min 3 is above max 1"


def test_the_first_rung_is_before_the_last_epoch() -> None:
    message, _ = refused(halving={"first_rung": 9})
    assert message == "halving.first_rung is 9, not before the last epoch, 9"


def test_settings_without_effect_are_refused() -> None:
    assert refused(halving={"name": "none", "eta": 4})[0] == (
        "halving: eta has no effect: halving 'none' trains all in full"
    )
    assert refused(sampler={"name": "random", "startup": 5})[0] == (
        "sampler: startup has no effect: sampler 'random' never learns"
    )
    assert refused(problem={"path": "my_module:Curves"})[0] == (
        "dataset has no effect: problem 'my_module:Curves' brings its own"
    )
    assert refused(dataset=None, problem={"path": "a:B"}, trials={"workers": 2}) == (
        "trials has no effect: problem 'a:B' says what a trial takes",
        "leave out trials, or give the problem a method resources(candidate)",
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"enqueue": [{"phi": math.nan}]}, "enqueue[0].phi: expected a finite number, got nan"),
        (
            {"space": {"ranges": {"phi": [0.0, math.nan]}}},
            "space.ranges.phi[1]: expected a finite number, got nan",
        ),
        (
            {"training": {"noise_uv": datetime.date(2020, 1, 2)}},
            "training.noise_uv: expected text, a number, true or false, got 2020-01-02",
        ),
    ],
)
def test_a_value_that_no_parameter_can_have_is_named_by_its_place(
    settings: dict[str, Any], said: str
) -> None:
    message, hint = refused(**settings)
    assert message == said
    assert hint.startswith("write a number, text in quotes")


def test_what_is_not_text_is_told_an_example() -> None:
    assert refused(dataset=5)[1] == 'write dataset = "data/mitdb"'
    assert refused(study=5)[1] == 'write study = "studies/mitdb"'


def test_what_is_above_a_limit_is_told_the_limit() -> None:
    assert refused(optimism={"audit_share": 1.5})[0] == (
        "optimism.audit_share: expected at most 1.0, got 1.5"
    )
    assert refused(seed=2**40)[0] == "seed: expected at most 4294967295, got 1099511627776"


def test_a_gpu_is_shared_or_whole() -> None:
    assert (
        refused(trials={"gpus": 1.5})[0] == "trials: gpus is 1.5: Ray shares one GPU, not several"
    )


def test_several_workers_do_not_share_a_gpu() -> None:
    message, hint = refused(trials={"gpus": 0.5, "workers": 2})
    assert message.startswith("trials: gpus is 0.5 and workers 2: Ray may put several workers on")
    assert hint == "give each worker a whole GPU, or each trial one worker"


def test_wide_trials_have_more_workers() -> None:
    message, _ = refused(trials={"workers": 2, "wide": {"above_parameters": 1, "workers": 2}})
    assert message == "trials: wide.workers is 2, no more than workers, 2"


def test_training_settings_are_those_of_the_training_config() -> None:
    assert refused(training={"batch_siz": 64}) == (
        "unknown key 'training.batch_siz'",
        "did you mean 'batch_size'?",
    )
    assert refused(training={"batch_size": 1.5})[0] == (
        "training.batch_size: expected a whole number, got 1.5"
    )
    assert refused(training={"batch_size": 0})[0] == (
        "training: batch_size must be at least 1, got 0"
    )
    assert refused(training={"early_stop_epochs": 2, "early_stop_metric": "mean_f2"}) == (
        "training.early_stop_metric: there is no metric 'mean_f2'",
        "did you mean 'mean_f1'?",
    )
    assert refused(training={"epochs": 5})[1] == "set budget.epochs instead"


def test_a_problem_is_an_import_path() -> None:
    assert refused(dataset=None, problem={"path": "my_module"})[0] == (
        "problem: path 'my_module' does not name a class of a module"
    )


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


# Going on with a study


def test_a_study_may_go_on_elsewhere_longer_wider_and_by_another_sampler() -> None:
    assert changed() == []
    assert changed(budget={"candidates": 100}) == []
    limits = {"total_epochs": 5, "gpu_hours": 1.0, "worker_hours": 1.0, "hours": 1.0}
    assert changed(budget={**limits, "min_gain_per_hour": 0.1}, trials={"gpus": 1.0}) == []
    assert changed(study="elsewhere", storage={"url": "postgresql://host/studies"}) == []
    assert changed(trials={"cpus": 2, "wide": {"above_parameters": 1, "workers": 2}}) == []
    assert changed(sampler={"name": "nsga2"}) == []
    assert changed(dataset="moved/mitdb") == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"name": "other"}, 'name: the study has "mitdb", the file "other"'),
        ({"seed": 3}, "seed: the study has 0, the file 3"),
        ({"split": "fold-1"}, 'split: the study has "fixed", the file "fold-1"'),
        ({"budget": {"epochs": 12}}, "budget.epochs: the study has 9, the file 12"),
        ({"halving": {"eta": 4}}, "halving.eta: the study has 3, the file 4"),
        (
            {"space": {"ranges": {"phi": [0, 1]}}},
            "space.ranges.phi: the study has nothing, the file [0, 1]",
        ),
        (
            {"bounds": {"macs": {"max": 5}}},
            "bounds.macs.max: the study has nothing, the file 5.0",
        ),
        (
            {"training": {"batch_size": 64}},
            "training.batch_size: the study has nothing, the file 64",
        ),
    ],
)
def test_what_decides_the_meaning_of_a_result_may_not_change(
    changes: dict[str, Any], line: str
) -> None:
    assert line in changed(**changes)


def test_the_objectives_may_not_change() -> None:
    lines = changed(objectives=[{"metric": "mean_f1", "direction": "max"}])
    assert [line.partition(":")[0] for line in lines] == ["objectives"]


def test_a_metric_that_no_epoch_measures_is_refused_with_the_nearest_one(tmp_path: Path) -> None:
    text = 'name = "a"\ndataset = "b"\n[[objectives]]\nmetric = "mean_f2"\ndirection = "max"\n'
    with pytest.raises(StudyFileError, match="there is no metric 'mean_f2'") as caught:
        StudyFile.from_toml(written(tmp_path, text))
    assert "mean_f1" in caught.value.hint


@pytest.mark.parametrize(
    "trials", ["workers = 3", "[trials.wide]\nabove_parameters = 1\nworkers = 3"]
)
def test_batches_that_do_not_divide_over_the_workers_are_refused(
    trials: str, tmp_path: Path
) -> None:
    text = f'name = "a"\ndataset = "b"\n[trials]\n{trials}\n'
    with pytest.raises(StudyFileError, match="batch_size 128 does not divide over 3 workers"):
        StudyFile.from_toml(written(tmp_path, text))
