"""What the cluster offers as nodes join and leave, and what can no longer be waited for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from cluster.ledger import Ledger, require_fit, slots
from cluster.resources import Capacity, Resources

Clock = Callable[[], float]

_NOTICED_S = 20.0
"""A cluster notices a dead node after 12 s, with Ray's defaults."""


class CapacityWatch:
    """Keeps a ledger in step with the cluster; asks it anew every few seconds at most."""

    def __init__(
        self,
        capacity: Capacity,
        read: Callable[[], Capacity],
        *,
        changed: Callable[[Capacity], None] = lambda capacity: None,
        every_s: float = 2.0,
        patience_s: float = 300.0,
        clock: Clock = time.monotonic,
    ) -> None:
        """Begin with what is known.

        Args:
            read: asks the cluster; a few milliseconds.
            changed: told of every other capacity.
            patience_s: how long a trial that nodes were lost to waits for others to join. Ray and
                whoever starts its nodes need a minute or two to replace one.
        """
        self.ledger = Ledger(capacity)
        self._capacity = capacity
        self._read = read
        self._changed = changed
        self._every_s = every_s
        self._patience_s = patience_s
        self._clock = clock
        self._asked_s = clock()
        self._changed_s = -math.inf
        self._distrusted_until_s = -math.inf
        self._seen: set[Resources] = set()
        """Shapes that have fitted."""
        self._missed_since_s: dict[Resources, float] = {}

    def fits(self, resources: Resources) -> bool:
        """Say whether a trial fits now.

        Raises:
            ClusterError: it never will: no such trial has ever fitted, or the nodes it needs have
                been gone for too long.
        """
        self._refresh()
        if self._clock() < self._distrusted_until_s:
            return False
        if slots(self._capacity, resources) >= 1:
            self._seen.add(resources)
            self._missed_since_s.pop(resources, None)
            return self.ledger.can_place(resources)
        since_s = self._missed_since_s.setdefault(resources, self._clock())
        if resources not in self._seen or self._clock() - since_s >= self._patience_s:
            require_fit(self._capacity, resources, "a trial")
        return False

    def distrust(self) -> None:
        """Lease nothing until the cluster has noticed what its workers say: a node is lost.

        A trial put there would wait for a node that never answers. If it notices nothing within
        20 s, the node was only out of reach for a moment.
        """
        if self._clock() - self._changed_s > _NOTICED_S:  # else it is the node that it noticed
            self._distrusted_until_s = self._clock() + _NOTICED_S

    def _refresh(self) -> None:
        if self._clock() - self._asked_s < self._every_s:
            return
        capacity = self._read()
        self._asked_s = self._clock()
        if capacity != self._capacity:
            self._capacity = capacity
            self._changed_s = self._clock()
            self._distrusted_until_s = -math.inf
            self.ledger.follow(capacity)
            self._changed(capacity)
