"""Holds the first results of a search back until the first runners have all started.

Tune hands a warm actor to a trial whose own actor is still starting, and drops that one. With
epochs shorter than a cold start, a search would stay on its first slot for ever. So a runner's
first result waits here for the others that were leased with it; where epochs take longer than
processes need to start, nobody waits. Marks are files in a folder that all nodes see.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

_POLL_S = 0.02
_READY = "ready-"
_EXPECTED = "expected-"


@dataclass(frozen=True)
class StartLine:
    """The line of one search."""

    folder: Path
    patience_s: float = 15.0
    """A runner that cannot start (its node has gone, say) holds the others no longer than this."""

    def announce(self, runners: int) -> None:
        """Say how many runners there will be; until then, those at the line wait."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{_EXPECTED}{runners}").touch()

    def wait(self, runner: str) -> None:
        """Come to the line, and wait for the others."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / f"{_READY}{runner}").touch()
        deadline = time.monotonic() + self.patience_s
        while time.monotonic() < deadline and not self._is_complete():
            time.sleep(_POLL_S)

    def _is_complete(self) -> bool:
        marks = [entry.name for entry in self.folder.iterdir()]
        ready = sum(mark.startswith(_READY) for mark in marks)
        expected = [int(m.removeprefix(_EXPECTED)) for m in marks if m.startswith(_EXPECTED)]
        return any(ready >= runners for runners in expected)
