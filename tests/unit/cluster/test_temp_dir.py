"""Ray's temporary folders: short, removed at the end, and swept up after a killed owner."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cluster.temp_dir import short_temp_dir


@pytest.fixture
def parent(monkeypatch: pytest.MonkeyPatch) -> Path:
    with tempfile.TemporaryDirectory(prefix="t", dir="/tmp") as folder:
        monkeypatch.setattr(tempfile, "tempdir", folder)
        yield Path(folder)


def test_it_is_removed_in_the_end(parent: Path) -> None:
    with short_temp_dir() as folder:
        assert folder.parent == parent
        assert len(str(folder)) <= 40
    assert list(parent.iterdir()) == []


def test_what_a_killed_owner_left_is_swept_up_and_what_is_owned_stays(parent: Path) -> None:
    owner = (
        "import os, signal\n"
        "from cluster.temp_dir import short_temp_dir\n"
        "with short_temp_dir() as folder:\n"
        "    print(folder, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with short_temp_dir() as mine:
        killed = subprocess.run(
            [sys.executable, "-c", owner],
            env={"TMPDIR": str(parent), "PYTHONPATH": str(Path(__file__).parents[3])},
            capture_output=True,
            text=True,
        )
        left = Path(killed.stdout.strip())
        assert left.is_dir()
        with short_temp_dir():
            assert not left.exists()
            assert mine.is_dir()


def test_a_folder_of_something_else_is_left_alone(parent: Path) -> None:
    other = parent / "ecg-notes"
    other.mkdir()
    with short_temp_dir():
        pass
    assert other.is_dir()
