"""Real recordings where there are any, small synthetic ones everywhere."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ecgmodels.data import (
    Beats,
    Manifest,
    PrepareOptions,
    Record,
    prepare,
    write_synthetic_recordings,
)

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def mitdb_source() -> Path:
    root = Path(os.environ.get("ECG_DATA_ROOT", REPOSITORY.parent / "shared" / "data"))
    if not (root / "mitdb" / "RECORDS").is_file():
        pytest.skip(f"no MIT-BIH recordings in {root} (set ECG_DATA_ROOT)")
    return root / "mitdb"


@pytest.fixture(scope="session")
def mitdb_dataset(mitdb_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("mitdb") / "dataset"
    prepare("mitdb", mitdb_source, out, PrepareOptions(), processes=2)
    return out


@pytest.fixture(scope="session")
def synthetic_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "recordings"
    write_synthetic_recordings(folder, records=12, seconds_per_record=40, seed=1)
    return folder


@pytest.fixture(scope="session")
def prepared_once(
    synthetic_source: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Manifest]:
    out = tmp_path_factory.mktemp("prepared") / "dataset"
    manifest = prepare("synthetic", synthetic_source, out, PrepareOptions(folds=2), processes=1)
    return out, manifest


@pytest.fixture
def recordings(synthetic_source: Path, tmp_path: Path) -> Path:
    """A copy of the synthetic recordings that a test may spoil."""
    return Path(shutil.copytree(synthetic_source, tmp_path / "recordings"))


@pytest.fixture
def dataset_folder(prepared_once: tuple[Path, Manifest], tmp_path: Path) -> Path:
    """A copy of the synthetic dataset that a test may spoil."""
    return Path(shutil.copytree(prepared_once[0], tmp_path / "dataset"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ECGSEARCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Build a record of 10 s with a beat each second; keywords replace what a test is about."""

    def build(**replaced: object) -> Record:
        rate_hz = replaced.get("rate_hz", 100.0)
        assert isinstance(rate_hz, float)
        noise = np.random.default_rng(0).normal(0, 0.2, (1, round(10 * rate_hz)))
        beats = (np.arange(10) * rate_hz + rate_hz / 2).astype(np.int64)
        values: dict[str, object] = {
            "id": "r1",
            "patient_id": "p1",
            "signal_mv": noise,
            "rate_hz": rate_hz,
            "leads": ("MLII",),
            "age": 60.0,
            "sex": "female",
            "beats": Beats(sample=beats, symbol=np.array(["N"] * 10)),
        }
        return Record(**(values | replaced))  # type: ignore[arg-type]

    return build
