"""Two lines on whatever is wrong with a study file."""

import datetime
import math
from pathlib import Path
from typing import Any

import pytest

from search.errors import StudyFileError
from search.study_file.reading import StudyFile
from tests.unit.search.study_files import LEAST, refused, written


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


@pytest.mark.parametrize("bound", [{"parameters": 5000}, {"log10_parameters": 3.5}])
def test_a_limit_of_wide_trials_has_models_on_both_sides(bound: dict[str, float]) -> None:
    ((name, limit),) = bound.items()

    def wide(above: int, **limits: float) -> dict[str, Any]:
        return {
            "bounds": {name: limits},
            "trials": {"wide": {"above_parameters": above, "workers": 2}},
        }

    for above in (5000, 1_000_000):
        assert refused(**wide(above, max=limit)) == (
            f"trials.wide has no effect: bounds.{name} allows no model above {above:,} parameters",
            "lower trials.wide.above_parameters, or leave out [trials.wide]",
        )
    message, _ = refused(**wide(3000, min=limit))
    assert message.startswith(f"trials.wide makes every trial wide: bounds.{name} allows only")
    for both in (wide(3000, max=limit), wide(1_000_000, min=limit)):
        StudyFile.from_dict({**LEAST, **both})


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
