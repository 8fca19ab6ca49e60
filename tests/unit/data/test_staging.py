from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ecgmodels.data.preparation.staging import staging_folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def wait_until(holds: Callable[[], bool], *, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start_python(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


HOLD = """
import sys, time
from pathlib import Path
from ecgmodels.data.preparation.staging import staging_folder
with staging_folder(Path(sys.argv[1])) as staging:
    (staging.folder / "shard").write_text("half of it")
    print("staged", flush=True)
    time.sleep(60)
"""


def test_a_folder_is_not_there_before_it_is_moved_and_whole_after(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    with staging_folder(out) as staging:
        (staging.folder / "shards").mkdir()
        (staging.folder / "shards" / "a").write_text("a")
        assert not out.exists()
        staging.move_into_place()
        assert names(out) == ["shards"]
    assert names(out.parent) == ["out"]
    assert out.stat().st_mode & 0o777 == 0o755 & ~_umask()


def test_what_fails_leaves_not_even_the_parents_it_made(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), staging_folder(tmp_path / "deep" / "out"):
        raise KeyboardInterrupt
    assert names(tmp_path) == []


def test_what_a_killed_process_left_is_swept_by_the_next_and_that_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    killed, living = start_python(HOLD, str(out)), start_python(HOLD, str(out))
    for process in (killed, living):
        assert process.stdout is not None
        assert process.stdout.readline() == "staged\n"
    killed.kill()
    killed.wait()
    try:
        assert len(names(tmp_path)) == 2
        with staging_folder(out):
            assert len(names(tmp_path)) == 2  # the living one's and this one's
        assert len(names(tmp_path)) == 1
    finally:
        living.kill()
        living.wait()


def test_nobody_sweeps_a_folder_that_is_just_being_made(tmp_path: Path) -> None:
    def stage_again_and_again() -> None:
        for _ in range(150):
            with staging_folder(tmp_path / "out") as staging:
                (staging.folder / "shard").write_text("all of it")

    with ThreadPoolExecutor(4) as pool:
        for done in [pool.submit(stage_again_and_again) for _ in range(4)]:
            done.result()
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "name", [".out-abc.partial", ".other-abcdefgh.partial", ".out-more-abcdefgh.partial"]
)
def test_folders_of_other_names_are_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    (tmp_path / name / "lock").touch()
    with staging_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == [name]


def test_sigterm_to_the_command_leaves_nothing_and_no_process(tmp_path: Path) -> None:
    """The recordings are long enough that the signal comes while they are prepared."""
    process = _start_preparing(tmp_path)
    wait_until(lambda: any(name.endswith(".partial") for name in names(tmp_path)))
    workers = _children(process.pid)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)
    assert process.returncode == 130
    assert told == "interrupted; nothing was written\n"
    assert names(tmp_path) == ["recordings"]
    wait_until(lambda: not any(map(_lives, workers)))


def test_sigkill_leaves_no_process_and_what_it_leaves_is_swept_by_the_next_run(
    tmp_path: Path,
) -> None:
    process = _start_preparing(tmp_path)
    wait_until(lambda: len(_children(process.pid)) >= 4)  # fork server, tracker, two workers
    workers = _children(process.pid)
    process.kill()
    process.communicate()
    wait_until(lambda: not any(map(_lives, workers)))
    assert any(name.endswith(".partial") for name in names(tmp_path))
    with staging_folder(tmp_path / "out"):
        pass
    assert names(tmp_path) == ["recordings"]


def _start_preparing(folder: Path) -> subprocess.Popen[str]:
    from ecgmodels.data import write_synthetic_recordings

    write_synthetic_recordings(folder / "recordings", records=8, seconds_per_record=300)
    code = "import sys; from search.cli import main; sys.exit(main(sys.argv[1:]))"
    return start_python(
        code,
        *("data", "prepare", "synthetic", "--processes", "2"),
        *("--source", str(folder / "recordings"), "--out", str(folder / "out")),
    )


def _children(pid: int) -> set[int]:
    """Return the descendants of a process."""
    parent_of = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(")")[2].split()
        except OSError:  # it ended meanwhile
            continue
        parent_of[int(entry.parent.name)] = int(fields[1])
    found: set[int] = {pid}
    while more := {child for child, parent in parent_of.items() if parent in found} - found:
        found |= more
    return found - {pid}


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask
