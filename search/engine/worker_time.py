"""The ledger of worker time: what became of every second that workers were leased for.

    learned in     epochs whose results stand: by what became of their candidate
    failed         besides, the rest of a lease that its candidate ended by failing
    lost           the rest of a lease that ended with a lost worker or with the search (killed, or
                   left), or after which the candidate was tried again; and epochs trained again
    overhead       the rest of leases that ended as they should: starting, waiting, letting go

A lease that lasts still, or whose study nobody has taken up since its driver was killed, counts as
long as its driver was heard of, and its rest with its candidate. What came after that is in no
column: when a driver is killed, at most what a minute costs.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from search.engine.spending import Spending
from search.study.records import CandidateRecord, Ending, LeaseTime, Phase


class Outcome(StrEnum):
    """What became of a second."""

    FRONT = "front"
    """Its candidate is on the front, however far it was trained."""
    DOMINATED = "dominated"
    """It is done, and not on the front."""
    STOPPED = "stopped early"
    """It is not on the front, and was not trained in full: stopped, paused, or not done yet."""
    FAILED = "failed"
    LOST = "lost"
    OVERHEAD = "overhead"


_OUTCOMES = {Phase.DONE: Outcome.DOMINATED, Phase.FAILED: Outcome.FAILED}
"""Of candidates that are not on the front; all other phases: stopped early."""


@dataclass(frozen=True)
class WorkerTime:
    """Seconds by outcome; together they are everything that was paid."""

    worker_s: Mapping[Outcome, float]
    """Seconds, times workers."""
    gpu_s: Mapping[Outcome, float]
    """Seconds, times workers, times GPUs of each."""

    @property
    def total_worker_s(self) -> float:
        return sum(self.worker_s.values())

    @property
    def total_gpu_s(self) -> float:
        return sum(self.gpu_s.values())


def worker_time(
    records: Iterable[CandidateRecord], front: Collection[int], spent: Spending
) -> WorkerTime:
    """Return the ledger of a study.

    Args:
        front: numbers of the candidates on its front.
        spent: all that it has cost. What is not in any lease's time (workers that are not free yet
            though their candidate has got its verdict) is overhead.
    """
    worker_s = dict.fromkeys(Outcome, 0.0)
    gpu_s = dict.fromkeys(Outcome, 0.0)
    for record in records:
        found = Outcome.FRONT if record.number in front else _OUTCOMES.get(record.phase)
        for lease in record.leases:
            parts = _parts(record, lease, found or Outcome.STOPPED, spent.search_s)
            for outcome, seconds in parts:
                worker_s[outcome] += seconds * lease.workers
                gpu_s[outcome] += seconds * lease.workers * lease.gpus
    worker_s[Outcome.OVERHEAD] += max(0.0, spent.worker_s - sum(worker_s.values()))
    gpu_s[Outcome.OVERHEAD] += max(0.0, spent.gpu_s - sum(gpu_s.values()))
    return WorkerTime(worker_s, gpu_s)


def _parts(
    record: CandidateRecord, lease: LeaseTime, candidate: Outcome, now_s: float
) -> list[tuple[Outcome, float]]:
    """Divide a lease's seconds; no part takes more than those before it left."""
    ended_s = now_s if lease.ended_s is None else lease.ended_s
    left_s = max(0.0, ended_s - lease.began_s)
    # More than the lease's own seconds when a killed driver had not heard of some epochs, which are
    # read from the checkpoint: their time was lost with the lease before.
    learned_s = min(_learned_s(record, lease), left_s)
    left_s -= learned_s
    again_s = min(lease.again_s, left_s)
    rest = {
        None: candidate,
        Ending.VERDICT: Outcome.OVERHEAD,
        Ending.FAILED: Outcome.FAILED,
        Ending.LOST: Outcome.LOST,
    }[lease.ending]
    return [(candidate, learned_s), (Outcome.LOST, again_s), (rest, left_s - again_s)]


def _learned_s(record: CandidateRecord, lease: LeaseTime) -> float:
    heard = zip(record.curve, record.hearings, strict=False)
    return sum(epoch.seconds for epoch, hearing in heard if hearing.attempt == lease.attempt)
