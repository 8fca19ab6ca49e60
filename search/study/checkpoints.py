"""Where a candidate's training state lies: one folder a checkpoint, complete or not there.

    trials/00007-1f3a.../            one candidate
        attempt-002-epoch-00009/     written under a temporary name, then renamed
            state                    what `Epoch.save` wrote
            history.json             every epoch's metrics and seconds so far

State and history are one rename, so they never disagree. The study's journal can lag behind by the
results of a rung when a driver is killed; the history fills that in. Workers of a killed driver
live on for a second or two and may still write: their folders carry an older attempt and are
outranked by anything a newer attempt writes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from search.problem import Epoch
from search.study.records import EpochResult

_NAME = re.compile(r"attempt-(\d+)-epoch-(\d+)")
_KEPT_PER_ATTEMPT = 2
"""A newer attempt may just be reading the last one while the one after it is being written."""


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One complete checkpoint."""

    folder: Path
    attempt: int
    epoch: int

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def history(self) -> tuple[EpochResult, ...]:
        """Return the results of every epoch up to this one."""
        rows = json.loads((self.folder / "history.json").read_text(encoding="utf-8"))
        return tuple(EpochResult(**row) for row in rows)


class CheckpointFolder:
    """The checkpoints of one candidate."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def latest(self) -> Checkpoint | None:
        """Return the checkpoint of the newest attempt that wrote one, at its last epoch."""
        found = self._all()
        return max(found, key=lambda c: (c.attempt, c.epoch)) if found else None

    def save(self, attempt: int, epoch: Epoch, history: Sequence[EpochResult]) -> None:
        """Write a checkpoint atomically, then drop this attempt's older ones."""
        self.path.mkdir(parents=True, exist_ok=True)
        name = f"attempt-{attempt:03d}-epoch-{epoch.number:05d}"
        final = self.path / name
        self._sweep(attempt)
        draft = self.path / f".{name}.{os.getpid()}"
        draft.mkdir()
        epoch.save(draft / "state")
        with open(draft / "history.json", "w", encoding="utf-8") as file:
            json.dump([_row(result) for result in history], file)
            file.flush()
            os.fsync(file.fileno())
        if final.exists():
            shutil.rmtree(draft)
            return
        draft.rename(final)
        self._prune(attempt)

    def _all(self) -> list[Checkpoint]:
        if not self.path.is_dir():
            return []
        return [
            Checkpoint(folder=entry, attempt=int(match[1]), epoch=int(match[2]))
            for entry in self.path.iterdir()
            if (match := _NAME.fullmatch(entry.name))
        ]

    def _sweep(self, attempt: int) -> None:
        """Remove drafts of workers that were killed; a newer attempt's is being written."""
        for draft in self.path.glob(".attempt-*"):
            match = _NAME.match(draft.name[1:])
            if match and int(match[1]) <= attempt:
                shutil.rmtree(draft, ignore_errors=True)

    def _prune(self, attempt: int) -> None:
        """Keep this attempt's last two, and nothing of attempts before the one it went on from."""
        checkpoints = self._all()
        own = sorted((c for c in checkpoints if c.attempt == attempt), key=lambda c: c.epoch)
        outdated = own[:-_KEPT_PER_ATTEMPT]
        if len(own) >= _KEPT_PER_ATTEMPT:
            outdated += [c for c in checkpoints if c.attempt < attempt]
        for checkpoint in outdated:
            shutil.rmtree(checkpoint.folder, ignore_errors=True)


def _row(result: EpochResult) -> Mapping[str, object]:
    return {
        "number": result.number,
        "metrics": dict(result.metrics),
        "seconds": result.seconds,
        "final": result.final,
        "kept": result.kept,
    }
