"""A short run of the fuzzer, and that it would notice; `make fuzz` runs many more inputs."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from tests.fuzz.databases import DATABASES
from tests.fuzz.fuzzing import LIMIT_BYTES, make_case, run
from tests.fuzz.seeds import RECORD, RECORDS, Files
from tests.fuzz.targets import Attempts, read_database, read_record


def write(folder: Path, files: Files) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_is_sound_before_it_is_spoilt(tmp_path: Path, name: str) -> None:
    files = RECORDS[name]()
    write(tmp_path, files)
    attempts = Attempts()
    read_record(tmp_path, RECORD, attempts)
    missing = 0 if f"{RECORD}.atr" in files else 2  # marks and beats
    assert (attempts.read, attempts.refused) == (5 - missing, missing)


@pytest.mark.parametrize(
    ("name", "task"), [(name, task) for name, (_, tasks) in DATABASES.items() for task in tasks]
)
def test_a_database_is_sound_before_it_is_spoilt(tmp_path: Path, name: str, task: str) -> None:
    write(tmp_path, DATABASES[name][0]())
    attempts = Attempts()
    read_database(tmp_path, name, task, attempts)
    assert attempts.refused == 0
    assert attempts.read > 6  # some record was read, too


def test_1500_inputs_raise_nothing_but_refusals(tmp_path: Path) -> None:
    outcome = run(range(1500), seed=0, failures=tmp_path)
    assert not outcome.failures, "\n".join(
        f"seed 0, input {failure.number} ({failure.kind}): {failure.what}"
        for failure in outcome.failures
    )
    calls = outcome.calls_read + outcome.calls_refused
    assert 0.2 < outcome.calls_read / calls < 0.8  # neither all nonsense nor all sound


def test_an_input_is_the_same_again() -> None:
    assert [make_case(3, number) for number in range(50)] == [
        make_case(3, number) for number in range(50)
    ]
    assert make_case(3, 0) != make_case(4, 0)


def crash(folder: Path, kind: str, attempts: Attempts) -> None:
    raise KeyError("planted")


def hang(folder: Path, kind: str, attempts: Attempts) -> None:
    end = time.process_time() + 20
    while time.process_time() < end:
        pass


def allocate(folder: Path, kind: str, attempts: Attempts) -> None:
    np.empty(4 * LIMIT_BYTES, np.uint8)


@pytest.mark.parametrize(
    ("read", "what"), [(crash, "KeyError"), (hang, "Hang"), (allocate, "Memory")]
)
def test_a_crash_a_hang_and_a_huge_allocation_are_failures_that_are_kept(
    tmp_path: Path, read: object, what: str
) -> None:
    begin = time.process_time()
    outcome = run(range(7, 8), seed=0, failures=tmp_path, read=read)  # type: ignore[arg-type]
    assert time.process_time() - begin < 10
    (failure,) = outcome.failures
    assert what in failure.what
    assert failure.number == 7
    assert failure.folder == tmp_path / "seed-0-input-7"
    case = make_case(0, 7)
    for name, content in case.files.items():
        assert (failure.folder / name).read_bytes() == content
    assert what in (failure.folder / "traceback.txt").read_text()
