"""Training interrupted at any epoch goes on bit for bit, with every option on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ecgmodels.training.checkpoint import read_checkpoint
from tests.unit.training.resuming import DATA, TRAINING, Ending, train

REPOSITORY = Path(__file__).parents[3]
of_every_kind = pytest.mark.parametrize("kind", DATA)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(folder: Path) -> dict[str, Ending]:
    """Uninterrupted trainings, which leave a checkpoint of every epoch in `folder`."""
    for kind in DATA:
        (folder / kind).mkdir()
    return {kind: train(kind, save_to=folder / kind) for kind in DATA}


@of_every_kind
def test_going_on_from_any_epoch_ends_in_the_same_weights(
    folder: Path, whole: dict[str, Ending], kind: str
) -> None:
    epochs, digests = whole[kind]
    assert len(epochs) == TRAINING.epochs
    for last in range(1, TRAINING.epochs):
        torch.manual_seed(last)  # whatever else happened in between
        assert train(kind, folder / kind / f"{last}.ckpt") == (epochs[last:], digests), last


def test_going_on_is_no_different_in_another_process(
    folder: Path, whole: dict[str, Ending]
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.training.resuming", str(folder)],
        cwd=REPOSITORY,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    resumed = json.loads(done.stdout)
    for kind, (epochs, digests) in whole.items():
        assert resumed[kind] == [epochs[2:], digests], kind


@of_every_kind
def test_a_checkpoint_resumed_and_saved_again_holds_the_same(
    folder: Path, whole: dict[str, Ending], kind: str, tmp_path: Path
) -> None:
    train(kind, folder / kind / "2.ckpt", save_to=tmp_path)
    for number in range(3, TRAINING.epochs + 1):
        expected, found = (
            read_checkpoint(path / f"{number}.ckpt") for path in (folder / kind, tmp_path)
        )
        assert found.keys() == expected.keys()
        for name in ("model", "ema", "optimizer", "best"):
            torch.testing.assert_close(found[name], expected[name], rtol=0, atol=0)
        assert found["identity"] == expected["identity"]
