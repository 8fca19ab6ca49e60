"""Real recordings where there are any, small synthetic ones everywhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from ecgmodels.data import Manifest, PrepareOptions, prepare, write_synthetic_recordings
from tests.unit.data.preparing import made, many_source
from tests.unit.data.spoiling import folder

# Fixtures that several files share, beside what belongs to them.
__all__ = ["folder", "made", "many_source"]

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
