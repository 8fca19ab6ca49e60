"""What an engine decides, and what it is told: plain values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from cluster.resources import Resources


class Verdict(Enum):
    """What becomes of a candidate after an epoch."""

    CONTINUE = "continue"
    PAUSE = "pause"
    """Leave the slot; a later promotion goes on from the checkpoint."""
    STOP = "stop"
    """Leave the slot for good: full length is reached, or learning ended of its own accord."""
    ABANDON = "abandon"
    """Leave the slot for good, on the way: the front is out of reach (`search.engine.optimism`)."""


@dataclass(frozen=True)
class Start:
    number: int


@dataclass(frozen=True)
class Resume:
    number: int


@dataclass(frozen=True)
class Wait:
    """Nothing fits or nothing is due; ask again after the next report."""


@dataclass(frozen=True)
class Done:
    """The search is over; `reason` is set when it ended before everything asked for was done."""

    reason: str | None = None
    resumable: bool = False
    """True when candidates are left as they stand, to go on once the reason is mended."""
    limit: str | None = field(default=None, compare=False)
    """Which limit was reached, in words for people, when that ended it before all candidates were
    tried; nothing is missing then."""


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A proposal that was accepted and written down."""

    number: int
    resources: Resources


@dataclass(frozen=True, kw_only=True)
class Promoted:
    """A paused candidate that is worth more than anything new."""

    number: int
