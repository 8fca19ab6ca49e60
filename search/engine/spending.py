"""What a search costs: hours of searching, of workers, and of GPUs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from cluster.resources import Resources

SECONDS_PER_HOUR = 3600.0
_DIGITS = 6
"""After the decimal point, of seconds as they are written down."""


@dataclass(frozen=True, kw_only=True)
class Spending:
    """What a study has cost up to some moment, all its runs together.

    A worker costs from the moment it is leased to a candidate until it is free again, whatever it
    does meanwhile; while nobody leases it, it costs nothing.
    """

    search_s: float = 0.0
    """Wall-clock seconds during which somebody was searching."""
    worker_s: float = 0.0
    """Seconds, times workers."""
    gpu_s: float = 0.0
    """Seconds, times workers, times GPUs of each."""

    @property
    def search_hours(self) -> float:
        return self.search_s / SECONDS_PER_HOUR

    @property
    def worker_hours(self) -> float:
        return self.worker_s / SECONDS_PER_HOUR

    @property
    def gpu_hours(self) -> float:
        return self.gpu_s / SECONDS_PER_HOUR

    def or_later(self, other: Spending) -> Spending:
        """Return the later one: no part of it ever shrinks."""
        return Spending(
            search_s=max(self.search_s, other.search_s),
            worker_s=max(self.worker_s, other.worker_s),
            gpu_s=max(self.gpu_s, other.gpu_s),
        )

    def to_list(self) -> list[float]:
        """Return it as it is written down: [search_s, worker_s, gpu_s]."""
        return [self.search_s, self.worker_s, self.gpu_s]

    @classmethod
    def from_list(cls, values: Sequence[float]) -> Spending:
        search_s, worker_s, gpu_s = values
        return cls(search_s=search_s, worker_s=worker_s, gpu_s=gpu_s)


class Meter:
    """Adds up what leases cost while they last."""

    def __init__(self, clock: Callable[[], float], before: Spending) -> None:
        """Begin to count, on top of what earlier runs have spent.

        Args:
            clock: seconds since any moment; may stand still, never goes back.
        """
        self._clock = clock
        self._begun_s = clock()
        self._before = before
        self._counted_s = 0.0
        self._worker_s = 0.0
        self._gpu_s = 0.0
        self._workers = 0
        self._gpus = 0.0
        self._leases: dict[Hashable, Resources] = {}

    def begin(self, lease: Hashable, resources: Resources) -> None:
        """Count these resources from now on."""
        self._count()
        self._leases[lease] = resources
        self._add(resources, 1)

    def end(self, lease: Hashable) -> None:
        """Count them no longer; one that is not known is none to end."""
        resources = self._leases.pop(lease, None)
        if resources is not None:
            self._count()
            self._add(resources, -1)

    def now(self) -> Spending:
        """Return what has been spent up to now."""
        self._count()
        return Spending(
            search_s=round(self._before.search_s + self._counted_s, _DIGITS),
            worker_s=round(self._before.worker_s + self._worker_s, _DIGITS),
            gpu_s=round(self._before.gpu_s + self._gpu_s, _DIGITS),
        )

    def _count(self) -> None:
        now_s = self._clock() - self._begun_s
        since_s = now_s - self._counted_s
        self._worker_s += since_s * self._workers
        self._gpu_s += since_s * self._gpus
        self._counted_s = now_s

    def _add(self, resources: Resources, sign: int) -> None:
        self._workers += sign * resources.workers
        # Rounded, or fractions of GPUs that come and go would leave some behind.
        self._gpus = round(self._gpus + sign * resources.workers * resources.gpus, _DIGITS)
