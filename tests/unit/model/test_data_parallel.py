"""Data-parallel training in two real processes over gloo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ecgmodels import (
    EfficientECGConfig,
    TrainingConfig,
    TrainingData,
    classification_metrics,
    fit,
    read_history,
    read_model,
)
from ecgmodels.inference.prediction import predict_records
from ecgmodels.metrics.scoring import record_labels
from ecgmodels.training.early_stop import best_epoch

HERE = Path(__file__).parent
Rank = dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[Rank]:
    processes = [
        subprocess.Popen(
            [sys.executable, str(HERE / "data_parallel_worker.py"), str(folder), str(rank), "2"],
            env=os.environ | {"PYTHONPATH": str(HERE.parents[2])},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    results = [process.communicate(timeout=120) for process in processes]
    for process, (_, errors) in zip(processes, results, strict=True):
        assert process.returncode == 0, errors
    return [json.loads(output.splitlines()[-1]) for output, _ in results]


def test_every_rank_holds_the_same_weights_after_every_epoch(ranks: list[Rank]) -> None:
    first, second = ([epoch["weights"] for epoch in rank["epochs"]] for rank in ranks)
    assert len(set(first)) == 3
    assert first == second


def test_every_rank_keeps_the_same_best_epoch_and_ends_with_the_same_one(
    ranks: list[Rank], folder: Path
) -> None:
    best = best_epoch(read_history(folder / "trial.ckpt"), "f1_N")
    for rank in ranks:
        weights = [epoch["weights"] for epoch in rank["epochs"]]
        assert rank["epochs"][-1]["best"] == weights[best - 1]
        assert [epoch["final"] for epoch in rank["epochs"]] == [False, False, True]


def test_every_rank_computes_with_the_same_number_of_threads_from_first_to_last(
    ranks: list[Rank],
) -> None:
    used = {epoch["threads"] for rank in ranks for epoch in rank["epochs"]}
    assert len(used) == 1
    assert used < {1, 2}


def test_every_rank_reports_the_same_metrics(ranks: list[Rank]) -> None:
    first, second = ([epoch["metrics"] for epoch in rank["epochs"]] for rank in ranks)
    assert first == second


def test_metrics_equal_one_ranks_evaluation_of_the_same_weights(
    ranks: list[Rank],
    folder: Path,
    waves: Callable[..., TrainingData],
    records: Callable[..., TrainingData],
) -> None:
    data = records(waves(151, 21), "mean")
    model = read_model(folder / "trial.ckpt")  # the best epoch's
    scores = predict_records(model, data.validation, data.normalisation, how="mean")
    assert len(scores.record) < len(data.validation.label)
    alone = classification_metrics(
        record_labels(data.validation.label, data.validation.record),
        scores.probabilities,
        data.classes,
        data.scored_classes,
    )
    best = best_epoch(read_history(folder / "trial.ckpt"), "f1_N")
    together = ranks[0]["epochs"][best - 1]["metrics"]
    assert {name: together[name] for name in alone} == pytest.approx(alone, abs=1e-6)


def test_two_ranks_that_were_interrupted_learn_nearly_what_one_does(
    ranks: list[Rank], folder: Path, waves: Callable[..., TrainingData]
) -> None:
    model = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny", dropout=0.0)
    config = TrainingConfig(
        epochs=3, batch_size=32, learning_rate=0.005, ema_decay=0.9, class_weighting="balanced"
    )
    alone = [epoch.metrics for epoch in fit(model, config, waves(151, 21), seed=0)]
    together = [past.metrics for past in read_history(folder / "trial.ckpt")]
    for one, two in zip(alone, together, strict=True):
        assert two["learning_rate"] == one["learning_rate"]
        # Each rank's batch norm sees half of a batch, so not exactly.
        assert two["train_loss"] == pytest.approx(one["train_loss"], rel=0.2)


def test_ranks_that_start_from_different_epochs_stop_rather_than_hang(ranks: list[Rank]) -> None:
    for rank in ranks:
        assert rank["refusal"] == "workers differ in the epoch they go on from: 3, 0"


def test_what_holds_on_one_rank_is_known_to_all(ranks: list[Rank]) -> None:
    assert [rank["any"] for rank in ranks] == [[True, False]] * 2


def test_ranks_that_learn_from_a_batch_in_parts_agree_on_the_gradient_of_the_whole(
    ranks: list[Rank],
) -> None:
    for rank in ranks:
        whole, halves, thirds = rank["gradients"]
        assert max(map(abs, whole)) > 1e-4
        assert halves == pytest.approx(whole, rel=1e-3, abs=1e-6)
        assert thirds == pytest.approx(whole, rel=1e-3, abs=1e-6)
    assert ranks[0]["gradients"] == ranks[1]["gradients"]
