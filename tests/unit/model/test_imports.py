from __future__ import annotations

import subprocess
import sys

import pytest

import ecgmodels


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in run.stdout.split()}


def test_configurations_and_costs_load_neither_torch_nor_numpy() -> None:
    statement = (
        "from ecgmodels import EfficientECGConfig, TrainingConfig, cost; "
        "cost(EfficientECGConfig(leads=1, samples=256, classes=5))"
    )
    assert not loaded_by(statement) & {"torch", "numpy", "sklearn", "pyarrow", "wfdb"}


def test_training_loads_neither_ray_nor_optuna_nor_wfdb() -> None:
    loaded = loaded_by("from ecgmodels import fit, load_model, predict")
    assert "torch" in loaded
    assert not loaded & {"ray", "optuna", "wfdb"}


@pytest.mark.parametrize("name", ecgmodels.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(ecgmodels, name) is not None
    assert name in dir(ecgmodels)
