"""Checkpoints: complete or not there, newer attempts before later epochs, two kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from search.study.checkpoints import CheckpointFolder
from search.study.records import EpochResult


@dataclass
class WrittenEpoch:
    """An epoch that saves its number, after whatever happens `meanwhile`."""

    number: int
    meanwhile: Callable[[], None] = lambda: None
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 1.0

    def save(self, path: Path) -> None:
        path.write_text(str(self.number))
        self.meanwhile()


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / "00007-key")


def history(epochs: int) -> list[EpochResult]:
    return [
        EpochResult(number=n, metrics={"mean_f1": n / 10}, seconds=0.5)
        for n in range(1, epochs + 1)
    ]


def save(folder: CheckpointFolder, attempt: int, *epochs: int) -> None:
    for number in epochs:
        folder.save(attempt, WrittenEpoch(number), history(number))


def names(folder: CheckpointFolder) -> list[str]:
    return sorted(entry.name for entry in folder.path.iterdir())


def test_there_is_no_checkpoint_before_the_first(folder: CheckpointFolder) -> None:
    assert folder.latest() is None


def test_a_checkpoint_holds_the_state_and_the_history_up_to_it(folder: CheckpointFolder) -> None:
    save(folder, 1, 3)
    latest = folder.latest()
    assert latest is not None
    assert (latest.attempt, latest.epoch) == (1, 3)
    assert latest.state.read_text() == "3"
    assert latest.history() == tuple(history(3))


def test_a_checkpoint_that_is_being_written_is_not_there(folder: CheckpointFolder) -> None:
    seen: list[object] = []
    writing = WrittenEpoch(1, meanwhile=lambda: seen.append(folder.latest()))
    folder.save(1, writing, history(1))
    assert seen == [None]


def test_a_writer_that_dies_leaves_the_checkpoint_before(folder: CheckpointFolder) -> None:
    save(folder, 1, 1)

    def die() -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        folder.save(1, WrittenEpoch(2, meanwhile=die), history(2))
    latest = folder.latest()
    assert latest is not None
    assert latest.state.read_text() == "1"


def test_a_draft_of_this_process_that_was_left_is_written_over(folder: CheckpointFolder) -> None:
    def die() -> None:
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        folder.save(1, WrittenEpoch(1, meanwhile=die), history(1))
    save(folder, 1, 1)
    assert names(folder) == ["attempt-001-epoch-00001"]


def test_the_last_epoch_is_the_latest(folder: CheckpointFolder) -> None:
    save(folder, 1, 9, 10)
    latest = folder.latest()
    assert latest is not None
    assert latest.epoch == 10


def test_a_newer_attempt_outranks_a_later_epoch(folder: CheckpointFolder) -> None:
    save(folder, 1, 3)
    save(folder, 2, 4)
    save(folder, 1, 9)  # a worker of a killed driver, still writing
    latest = folder.latest()
    assert latest is not None
    assert (latest.attempt, latest.epoch) == (2, 4)


def test_attempts_are_compared_as_numbers(folder: CheckpointFolder) -> None:
    save(folder, 999, 1)
    save(folder, 1000, 1)
    latest = folder.latest()
    assert latest is not None
    assert latest.attempt == 1000


def test_an_attempt_keeps_its_last_two(folder: CheckpointFolder) -> None:
    save(folder, 1, 1, 2, 3, 4)
    assert names(folder) == ["attempt-001-epoch-00003", "attempt-001-epoch-00004"]


def test_what_an_attempt_went_on_from_stays_until_it_has_two_of_its_own(
    folder: CheckpointFolder,
) -> None:
    save(folder, 1, 1, 2)
    save(folder, 2, 3)
    assert len(names(folder)) == 3
    save(folder, 2, 4)
    assert names(folder) == ["attempt-002-epoch-00003", "attempt-002-epoch-00004"]


def test_an_old_worker_does_not_remove_what_a_newer_one_wrote(folder: CheckpointFolder) -> None:
    save(folder, 2, 3, 4)
    save(folder, 1, 5, 6, 7)
    assert "attempt-002-epoch-00003" in names(folder)
    assert "attempt-002-epoch-00004" in names(folder)


def test_an_epoch_that_is_saved_twice_stays_as_it_was_first(folder: CheckpointFolder) -> None:
    save(folder, 1, 1)
    folder.save(1, WrittenEpoch(1), [])
    latest = folder.latest()
    assert latest is not None
    assert latest.history() == tuple(history(1))
    assert names(folder) == ["attempt-001-epoch-00001"]


def test_other_files_in_the_folder_are_not_taken_for_checkpoints(folder: CheckpointFolder) -> None:
    save(folder, 1, 1)
    (folder.path / "attempt-002-epoch-00002.partial").mkdir()
    (folder.path / ".attempt-003-epoch-00003.99").mkdir()
    latest = folder.latest()
    assert latest is not None
    assert latest.attempt == 1


def test_a_reader_always_finds_a_complete_checkpoint_while_another_writes(
    folder: CheckpointFolder,
) -> None:
    save(folder, 1, 1)
    writer = threading.Thread(target=save, args=(folder, 1, *range(2, 60)))
    writer.start()
    is_over = False
    while not is_over:
        is_over = not writer.is_alive()
        latest = folder.latest()
        assert latest is not None
        try:
            found = int(latest.state.read_text()), len(latest.history())
        except FileNotFoundError:
            assert not is_over  # two newer ones were written meanwhile, and this one was dropped
            continue
        assert found == (latest.epoch, latest.epoch)
    assert found == (59, 59)
