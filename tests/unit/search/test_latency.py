"""Latency as a cost of ECG networks: measured once, remembered by device, asked for by a file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.storages import InMemoryStorage

from ecgmodels import EfficientECGConfig
from ecgmodels.data import open_dataset
from ecgmodels.errors import ECGModelsError
from search.cli import main
from search.ecg_problem import ECGProblem, ecg_problem_spec
from search.errors import StudyError, StudyFileError
from search.latency import LatencyMeter, LatencySettings, architecture_hash
from search.problem import measure, measured_costs
from search.running import problem_spec
from search.sampling.drawing import DrawnTrial
from search.sampling.proposer import Proposer
from search.study.creation import create_study
from search.study_file.reading import StudyFile
from spaces import CandidateRefused
from tests.unit.data.made_datasets import make_records, write_dataset

CONFIG = EfficientECGConfig(leads=1, samples=32, classes=2, base="tiny")


def meter(cache: Path, **changes: Any) -> LatencyMeter:
    options: dict[str, Any] = {"name": "desk", "runtime": "torch"} | changes
    return LatencyMeter(LatencySettings(cache=str(cache), **options))


def devices(cache: Path) -> dict[str, Any]:
    return json.loads(cache.read_text())["devices"]


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that knows one architecture on one device; copy it to change it."""
    cache = tmp_path_factory.mktemp("measured") / "latency.json"
    meter(cache).latency_ms(CONFIG)
    return cache


@pytest.fixture
def cache(measured: Path, tmp_path: Path) -> Path:
    path = tmp_path / "latency.json"
    path.write_bytes(measured.read_bytes())
    return path


# Once ---------------------------------------------------------------------------------------------


def test_an_architecture_is_measured_once_on_a_device(cache: Path) -> None:
    content = cache.read_bytes()
    again = meter(cache)
    found = again.latency_ms(CONFIG)
    assert found > 0
    assert again.latency_ms(dataclasses.replace(CONFIG, depth=0.999)) == found  # rounds to it
    assert cache.read_bytes() == content


def test_what_was_measured_is_in_the_file_under_the_devices_name(cache: Path) -> None:
    found = devices(cache)["desk"]
    assert found["latency_ms"] == {architecture_hash(CONFIG): meter(cache).latency_ms(CONFIG)}
    assert (found["device"], found["runtime"], found["threads"]) == ("cpu", "torch", 1)
    assert found["processor"]


def test_another_architecture_and_another_device_are_other_entries(cache: Path) -> None:
    wider = dataclasses.replace(CONFIG, width=3.0)
    on_desk = meter(cache)
    on_desk.latency_ms(wider)
    meter(cache, name="laptop").latency_ms(CONFIG)
    assert set(devices(cache)["desk"]["latency_ms"]) == {
        architecture_hash(CONFIG),
        architecture_hash(wider),
    }
    assert set(devices(cache)["laptop"]["latency_ms"]) == {architecture_hash(CONFIG)}


def test_nothing_but_the_file_is_left(tmp_path: Path) -> None:
    meter(tmp_path / "latency.json").latency_ms(CONFIG)
    assert [entry.name for entry in tmp_path.iterdir()] == ["latency.json"]


# Refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"runtime": "onnx"}, "runtime torch"), ({"threads": 2}, "threads 1")],
)
def test_figures_of_one_name_are_measured_alike(
    cache: Path, changes: dict[str, Any], told: str
) -> None:
    with pytest.raises(StudyError, match=told) as caught:
        meter(cache, **changes).require_usable()
    assert "another latency.name" in caught.value.hint


def test_another_machine_under_the_same_name_is_refused(cache: Path) -> None:
    content = json.loads(cache.read_text())
    content["devices"]["desk"]["processor"] = "Another CPU"
    cache.write_text(json.dumps(content))
    with pytest.raises(StudyError, match="processor Another CPU, and processor is"):
        meter(cache).require_usable()
    meter(cache, name="laptop").require_usable()


@pytest.mark.parametrize("text", ["", "[]", '{"devices": 3}', '{"devices": {"desk": {}}}'])
def test_a_damaged_file_is_refused_with_the_way_out(tmp_path: Path, text: str) -> None:
    cache = tmp_path / "latency.json"
    cache.write_text(text)
    with pytest.raises(StudyError, match="does not hold latencies") as caught:
        meter(cache).require_usable()
    assert "remove it" in caught.value.hint


def test_what_a_device_cannot_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ECGModelsError, match="on the CPU"):
        meter(tmp_path / "latency.json", runtime="onnx", device="cuda").require_usable()


# In a problem ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "dataset"
    write_dataset(folder, make_records(6, 2))
    return folder


def ecg_problem(dataset: Path, latency: dict[str, Any] | None) -> ECGProblem:
    spec = ecg_problem_spec(
        open_dataset(dataset),
        split="fixed",
        space="efficientecg",
        ranges={"base": ["tiny"], "phi": [-3.0, -2.0]},
        training={"epochs": 1},
        latency=latency,
    )
    problem = spec.build()
    assert isinstance(problem, ECGProblem)
    return problem


def test_a_candidates_latency_is_measured_where_the_problem_was_asked_for_it(
    dataset: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "latency.json"
    settings = {"name": "desk", "runtime": "torch", "cache": str(cache)}
    problem = ecg_problem(dataset, settings)
    candidate = problem.suggest(DrawnTrial(np.random.default_rng(0)))
    assert measured_costs(problem) == ("latency_ms",)
    found = measure(problem, candidate)
    assert devices(cache)["desk"]["latency_ms"] == {
        architecture_hash(candidate.model): found["latency_ms"]
    }
    without = ecg_problem(dataset, None)
    assert measured_costs(without) == ()
    assert measure(without, candidate) == {}
    assert problem.key(candidate) == without.key(candidate)


def test_a_network_that_cannot_be_measured_is_turned_down(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    problem = ecg_problem(dataset, {"name": "desk", "cache": str(tmp_path / "latency.json")})
    candidate = problem.suggest(DrawnTrial(np.random.default_rng(0)))

    def fail(*_: object, **__: object) -> None:
        raise ECGModelsError("cannot be exported to ONNX", hint="report it")

    monkeypatch.setattr("ecgmodels.inference.steady_latency.export_onnx", fail)
    with pytest.raises(CandidateRefused, match="cannot be exported"):
        problem.measure(candidate)


# In a study file ---------------------------------------------------------------------------------

TWO = """
    {metric = "mean_f1", direction = "max"},
    {metric = "latency_ms", direction = "min"},
"""


def read(tmp_path: Path, text: str, objectives: str = TWO) -> StudyFile:
    path = tmp_path / "study.toml"
    path.write_text(f'name = "s"\ndataset = "d"\nobjectives = [{objectives}]\n{text}')
    return StudyFile.from_toml(path)


@pytest.mark.parametrize("metric", ["latency_ms", "log10_latency_ms"])
def test_latency_is_an_exact_objective_and_a_bound(tmp_path: Path, metric: str) -> None:
    text = '[latency]\nname = "desk"\n[bounds.latency_ms]\nmax = 0.5'
    objectives = TWO.replace("latency_ms", metric)
    study = read(tmp_path, text, objectives)
    assert [objective.exact for objective in study.to_objectives()] == [False, True]
    assert study.to_bounds()[0].violation({"latency_ms": 1.0}) == 1.0


def test_latency_without_a_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StudyFileError, match="objectives: 'latency_ms' is measured on a machine"):
        read(tmp_path, "")
    with pytest.raises(StudyFileError, match=r"bounds\.log10_latency_ms: 'log10_latency_ms' is"):
        read(tmp_path, "[bounds.log10_latency_ms]\nmax = 0.5", TWO.replace("latency_ms", "macs"))


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('[latency]\nruntime = "torch"', "'latency.name' is missing"),
        ('[latency]\nname = "gpu"\ndevice = "cuda"', "runtime 'onnx' runs on the CPU"),
        (
            '[latency]\nname = "gpu"\ndevice = "cuda"\nruntime = "torch"\nthreads = 2',
            "threads has no effect",
        ),
        ('[latency]\nname = "desk"\nruntime = "tflite"', "expected 'onnx' or 'torch'"),
    ],
)
def test_a_table_that_cannot_be_is_refused(tmp_path: Path, table: str, told: str) -> None:
    with pytest.raises(StudyFileError, match=told):
        read(tmp_path, table)


def test_a_problem_of_ones_own_measures_by_itself(tmp_path: Path) -> None:
    values = {
        "name": "s",
        "problem": {"path": "m:P"},
        "latency": {"name": "desk"},
        "objectives": [{"metric": "accuracy", "direction": "max"}],
    }
    with pytest.raises(StudyFileError, match="latency has no effect"):
        StudyFile.from_dict(values)


def test_a_study_that_goes_on_keeps_its_device(tmp_path: Path) -> None:
    begun = read(tmp_path, '[latency]\nname = "desk"')
    other = read(tmp_path, '[latency]\nname = "laptop"')
    assert other.compatible_with(begun) == ['latency.name: the study has "desk", the file "laptop"']
    assert StudyFile.from_dict(begun.to_dict()).compatible_with(begun) == []


def test_a_study_of_before_there_was_latency_goes_on() -> None:
    values = StudyFile.from_dict({"name": "s", "dataset": "d"}).to_dict()
    del values["latency"]
    begun = StudyFile.from_dict(values)
    assert StudyFile.from_dict({"name": "s", "dataset": "d"}).compatible_with(begun) == []


def test_a_study_file_decides_what_is_measured_and_where_it_is_kept(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ECGSEARCH_HOME", str(tmp_path))
    study_file = read(tmp_path, '[latency]\nname = "desk"\nruntime = "torch"')
    study_file = study_file.model_copy(update={"dataset": str(dataset)})
    spec, _ = problem_spec(study_file)
    study = create_study(InMemoryStorage(), "s", study_file.to_objectives())
    folder = tmp_path / "studies" / "s"
    folder.mkdir(parents=True)
    propose = Proposer(spec.build(), study, sampler="front", startup=2, seed=0, max_epochs=9)
    for _ in range(3):
        propose()
    known = devices(folder / "latency.json")["desk"]["latency_ms"].values()
    assert [record.costs["latency_ms"] for record in study.records.values()] == list(known)


def test_a_survey_of_the_space_leaves_bounds_on_latency_out_and_says_so(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "study.toml"
    path.write_text(
        f'name = "s"\ndataset = "{dataset}"\n[latency]\nname = "desk"\n'
        "[bounds.latency_ms]\nmax = 0.001\n[bounds.parameters]\nmax = 1_000_000_000\n"
    )
    assert main(["space", str(path), "--candidates", "20"]) == 0
    shown = capsys.readouterr().out
    assert "left out: bounds.latency_ms (a study measures what it proposes)" in shown
    assert "100.0%" in shown  # of those that can be built, all keep the other bound
    assert not (tmp_path / "studies").exists()
