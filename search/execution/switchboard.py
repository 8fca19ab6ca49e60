"""How a group under Ray Train and whoever judges it talk: an actor that needs no Ray itself."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from search.study.records import EpochResult

Report = tuple[EpochResult, ...]


class Switchboard:
    """Connects the first ranks of running trainings with whoever judges them."""

    def __init__(self) -> None:
        self._reports: dict[str, asyncio.Queue[Report]] = defaultdict(asyncio.Queue)
        self._verdicts: dict[str, asyncio.Queue[str]] = defaultdict(asyncio.Queue)

    async def report(self, run: str, report: Report) -> str:
        """Hand over results; returns the verdict on them, a `Verdict` value."""
        await self._reports[run].put(report)
        return await self._verdicts[run].get()

    async def next_report(self, run: str, timeout_s: float) -> Report | None:
        """Wait for results of a run; None when none come in time."""
        try:
            return await asyncio.wait_for(self._reports[run].get(), timeout_s)
        except TimeoutError:
            return None

    async def answer(self, run: str, verdict: str) -> None:
        await self._verdicts[run].put(verdict)

    async def forget(self, run: str) -> None:
        self._reports.pop(run, None)
        self._verdicts.pop(run, None)
