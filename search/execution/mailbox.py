"""How a group under Ray Train tells of its epochs: a class for an actor, which needs no Ray."""

from __future__ import annotations

import asyncio

from search.study.records import EpochResult

Report = tuple[EpochResult, ...]


class Mailbox:
    """Takes the reports of one training, and hands them out in order."""

    def __init__(self) -> None:
        self._reports: asyncio.Queue[Report] = asyncio.Queue()

    async def put(self, report: Report) -> None:
        await self._reports.put(report)

    async def next(self, timeout_s: float) -> Report | None:
        """Wait for a report; None when none comes in time."""
        try:
            return await asyncio.wait_for(self._reports.get(), timeout_s)
        except TimeoutError:
            return None
