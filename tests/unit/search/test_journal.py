"""The journal after any kind of death: torn lines, orphaned locks."""

from __future__ import annotations

import os
import threading
import time
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

from cluster.resources import Resources
from search.objectives import Objective
from search.study.creation import create_study
from search.study.journal import mend_journal
from search.study.lock import driver_lock
from search.study.records import Phase
from search.study.stored import Proposal
from search.study.study import Study

REPOSITORY = Path(__file__).parents[3]
OBJECTIVES = [Objective("mean_f1", "max")]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """A study with one candidate in its journal."""
    path = tmp_path / "journal.log"
    create_study(storage(path), "ecg", OBJECTIVES).add(proposal(1))
    return path


def storage(path: Path) -> JournalStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return JournalStorage(JournalFileBackend(str(path)))


def proposal(size: int) -> Proposal:
    return Proposal(
        params={"size": size},
        distributions={"size": IntDistribution(1, 99)},
        candidate={"size": size},
        key=f"key-{size}",
        costs={},
        resources=Resources(),
    )


def sizes(path: Path) -> list[int]:
    study = Study(storage(path), "ecg", OBJECTIVES)
    return [record.params["size"] for record in study.records.values()]


# Torn lines -------------------------------------------------------------------------------------


def test_a_line_torn_at_any_byte_is_cut_and_the_study_opens_and_appends(journal: Path) -> None:
    whole = journal.read_bytes()
    Study(storage(journal), "ecg", OBJECTIVES).pause(0)
    record = journal.read_bytes()[len(whole) :]
    assert record.count(b"\n") == 1
    for length in range(len(record)):
        journal.write_bytes(whole + record[:length])
        assert mend_journal(journal) == length
        Study(storage(journal), "ecg", OBJECTIVES).add(proposal(2))
        study = Study(storage(journal), "ecg", OBJECTIVES)
        assert [record.phase for record in study.records.values()] == [Phase.QUEUED] * 2


def test_an_append_to_a_torn_line_would_make_the_journal_unreadable(journal: Path) -> None:
    """What `mend_journal` is for; should Optuna read such a file one day, it can go."""
    last = journal.read_bytes().splitlines(keepends=True)[-1]
    with open(journal, "ab") as file:
        file.write(last[:20] + last + last)
    with pytest.raises(ValueError, match=r"delimiter|Expecting|Invalid"):
        sizes(journal)


def test_a_whole_journal_stays_as_it_is(journal: Path) -> None:
    before = journal.read_bytes()
    assert mend_journal(journal) == 0
    assert journal.read_bytes() == before


def test_a_journal_that_is_one_torn_line_becomes_empty(tmp_path: Path) -> None:
    path = tmp_path / "journal.log"
    path.write_bytes(b'{"op_code":0,"worker_id":"')
    assert mend_journal(path) == 26
    assert path.read_bytes() == b""


def test_a_torn_line_longer_than_a_block_of_reading_is_cut(journal: Path) -> None:
    before = journal.read_bytes()
    journal.write_bytes(before + b'{"x":"' + b"y" * 200_000)
    assert mend_journal(journal) == 200_006
    assert journal.read_bytes() == before


def test_where_there_is_no_journal_there_is_nothing_to_mend(tmp_path: Path) -> None:
    assert mend_journal(tmp_path / "journal.log") == 0
    assert list(tmp_path.iterdir()) == []


# Optuna's own lock ------------------------------------------------------------------------------


def test_a_lock_that_a_killed_process_left_is_removed_within_seconds(journal: Path) -> None:
    assert JournalFileSymlinkLock(str(journal)).acquire()
    begun = time.monotonic()
    mend_journal(journal)
    Study(storage(journal), "ecg", OBJECTIVES).add(proposal(2))
    assert time.monotonic() - begun < 3
    assert sizes(journal) == [1, 2]


def test_a_lock_that_is_held_for_the_time_of_a_write_is_waited_for(journal: Path) -> None:
    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    released: list[bool] = []

    def release() -> None:
        released.append(os.path.lexists(f"{journal}.lock"))
        lock.release()

    threading.Timer(0.2, release).start()
    mend_journal(journal)
    assert released == [True]


def test_a_study_can_be_read_while_it_is_driven(journal: Path) -> None:
    with driver_lock(journal.parent):
        told = optuna.load_study(study_name="ecg", storage=storage(journal))
        assert len(told.trials) == 1
