"""Taking a model further: `ecgsearch export` and `ecgsearch latency`."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from ecgmodels import EfficientECGConfig, build_model, load_model, save_model
from ecgmodels.data import open_dataset
from ecgmodels.export.onnx import onnx_difference
from search.retraining.evaluation import evaluate

from .conftest import Searched
from .driver import Home, assert_two_lines

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Taken:
    home: Home
    folder: Path
    ended: subprocess.CompletedProcess[str]
    report: dict[str, Any]


@pytest.fixture(scope="module")
def taken(ecg_home: Home) -> Taken:
    """`ecgsearch export model --int8 --dataset data/ecg` of a network with random weights."""
    dataset = open_dataset(ecg_home.path / "data" / "ecg")
    torch.manual_seed(0)
    model = build_model(
        EfficientECGConfig(
            leads=len(dataset.leads),
            samples=dataset.samples,
            classes=len(dataset.classes),
            base="tiny",
            features=("age", "rr_ratio"),
            fusion="concat",
        )
    )
    with torch.no_grad():
        model.classifier.weight.mul_(50)
    normalisation = dataset.normalisation()
    _, validation = dataset.development()
    card = {
        "leads": list(dataset.leads),
        "rate_hz": dataset.rate_hz,
        "classes": list(dataset.classes),
        "multi_label": False,
        "features": list(dataset.features),
        "normalisation": normalisation.to_dict(),
        "dataset": {"hash": dataset.hash},
        "split": "fixed",
        "validation": evaluate(model, dataset, validation, normalisation, part="v").to_dict(),
    }
    folder = ecg_home.path / "model"
    save_model(folder, model, card)
    ended = ecg_home.run("export", "model", "--int8", "--dataset", "data/ecg", "--out", "taken")
    assert ended.returncode == 0, ended.stderr
    report = json.loads((ecg_home.path / "taken" / "export.json").read_text())
    return Taken(home=ecg_home, folder=folder, ended=ended, report=report)


def test_what_is_exported_answers_as_the_model_does(taken: Taken):
    model, _ = load_model(taken.folder)
    path = taken.home.path / "taken" / "model.onnx"
    assert onnx_difference(model, path, seed=9) < 1e-4
    assert taken.report["largest_difference_of_a_logit"] < 1e-4
    assert taken.report["files"]["onnx"]["bytes"] == path.stat().st_size


def test_the_exported_file_is_as_good_as_the_card_says(taken: Taken):
    _, card = load_model(taken.folder)
    measured = taken.report["validation"]["onnx"]
    assert measured["metrics"] == pytest.approx(card["validation"]["metrics"], abs=1e-5)
    assert measured["confusion"] == card["validation"]["confusion"]
    assert measured["part"] == "validation (fixed)"


def test_what_int8_changes_is_measured(taken: Taken):
    validation = taken.report["validation"]
    assert 0 < validation["largest_change_of_a_probability"] < 0.5
    assert validation["int8"]["segments"] == validation["onnx"]["segments"]
    assert (taken.home.path / "taken" / "model.int8.onnx").is_file()


def test_latencies_and_sizes_are_shown_and_kept(taken: Taken):
    assert list(taken.report["latency"]) == ["eager", "folded", "onnx", "int8"]
    header, *rows = taken.ended.stdout.splitlines()
    assert header.split() == [
        *("kind", "file", "bytes", "p50", "ms", "p99", "ms", "mean_f1", "macro_f1", "macro_auc"),
    ]
    assert [row.split()[0] for row in rows[:4]] == ["eager", "folded", "onnx", "int8"]
    assert "int8 changes mean_f1" in taken.ended.stdout
    assert taken.ended.stderr == ""


def test_the_card_stays_as_the_training_wrote_it(taken: Taken):
    assert sorted(path.name for path in taken.folder.iterdir()) == [
        "card.json",
        "model.safetensors",
    ]


def test_another_dataset_than_the_models_is_refused(taken: Taken):
    other = ("data", "prepare", "synthetic", "--source", "recordings", "--out", "data/other")
    assert taken.home.call(*other, "--rate-hz", "100", "--processes", "1").returncode == 0
    ended = taken.home.call("export", "model", "--dataset", "data/other", "--out", "refused")
    assert_two_lines(ended, "data/other is not the dataset that the model was trained on")
    assert not (taken.home.path / "refused").exists()


def test_a_folder_without_a_model_is_refused(taken: Taken):
    assert_two_lines(taken.home.call("export", "recordings"), "card.json cannot be read")


def test_every_member_of_the_front_is_measured(searched: Searched):
    ended = searched.home.run("latency", "studies/ecg", "--repeats", "100", "--json")
    assert ended.returncode == 0, ended.stderr
    rows = json.loads(ended.stdout)
    front = json.loads(searched.home.call("pareto", "studies/ecg", "--json").stdout)
    assert [row["trial"] for row in rows] == [row["trial"] for row in front]
    for row in rows:
        assert list(row["latency"]) == ["eager", "folded", "onnx"]
        for latency in row["latency"].values():
            assert 0 < latency["p50_ms"] <= latency["p99_ms"]
            assert latency["repeats"] == 100
            assert latency["device"]


def test_latencies_of_no_study_are_refused(searched: Searched):
    assert_two_lines(searched.home.call("latency", "recordings"), "holds no study")
