"""The start line: first results wait for the runners that were leased together."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from search.execution.start_line import StartLine


def test_runners_wait_until_all_that_were_announced_have_come(tmp_path: Path) -> None:
    line = StartLine(tmp_path / "start")
    line.announce(2)
    passed: list[str] = []

    def run(name: str) -> None:
        line.wait(name)
        passed.append(name)

    first = threading.Thread(target=run, args=("first",))
    first.start()
    time.sleep(0.2)
    assert passed == []
    run("second")
    first.join(timeout=5)
    assert sorted(passed) == ["first", "second"]


def test_a_runner_alone_does_not_wait(tmp_path: Path) -> None:
    line = StartLine(tmp_path / "start", patience_s=60.0)
    line.announce(1)
    begun_s = time.monotonic()
    line.wait("alone")
    assert time.monotonic() - begun_s < 10


def test_one_that_never_comes_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    line = StartLine(tmp_path / "start", patience_s=0.1)
    line.announce(2)
    line.wait("first")
    assert sorted(mark.name for mark in line.folder.iterdir()) == ["expected-2", "ready-first"]
