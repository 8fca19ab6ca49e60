"""The log of a search as a replay follows it: event by event, each held against what comes out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from search.study.order import (
    BroughtIn,
    Event,
    Failed,
    Leased,
    Promoted,
    Reopened,
    Session,
    Suggested,
    Told,
)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """The first thing that came out otherwise."""

    place: int
    """Where in the order of all that happened."""
    recorded: str
    replayed: str


class OtherwiseError(Exception):
    def __init__(self, difference: Difference) -> None:
        super().__init__(difference)
        self.difference = difference


class KilledError(Exception):
    """Here the driver was killed, in the middle of what is being done."""


class Script:
    """The log, and how far it has been followed."""

    def __init__(self, log: Sequence[Event]) -> None:
        self._log = log
        self._at = 0
        self.suggestions = 0
        self.decisions = 0

    def ahead(self, further: int = 0) -> Event | None:
        """Return the next event, or one after it; None behind the last."""
        place = self._at + further
        return self._log[place] if place < len(self._log) else None

    def begin_session(self) -> None:
        self._at += 1

    def take(self, kind: type[Event], replayed: str, number: int) -> Any:
        """Return the next event, which is of that kind and that candidate's.

        Raises:
            OtherwiseError: it is not.
            KilledError: this run of the search did not get so far.
        """
        event = self.ahead()
        if event is None or (isinstance(event, Session | BroughtIn) and kind is not BroughtIn):
            raise KilledError
        if not isinstance(event, kind) or _number_of(event) != number:
            self.differ(named(event), replayed)
        self._at += 1
        return event

    def differ(self, recorded: str, replayed: str) -> None:
        """Raise what came out otherwise."""
        event = self.ahead() or self._log[-1]
        raise OtherwiseError(Difference(place=event.place, recorded=recorded, replayed=replayed))

    def starts_at_once(self) -> bool:
        """Say whether what is chosen next got its slot in the same moment."""
        admitted, further = None, 0
        while isinstance(event := self.ahead(further), Suggested | Reopened):
            if isinstance(event, Suggested) and event.admitted:
                admitted = event.number
            further += 1
        if isinstance(event, Leased):
            return admitted is None or admitted == event.number
        return event is None or isinstance(event, Session | BroughtIn)  # killed before it was noted


def _number_of(event: Event) -> int:
    if isinstance(event, BroughtIn):
        return event.trial.number
    return cast(int, event.number)  # type: ignore[attr-defined]


def named(event: Event | None) -> str:
    match event:
        case Suggested():
            how = "is suggested" if event.admitted else "is suggested and turned down"
            return f"candidate {event.number} {how}: {json.dumps(dict(event.trial.params))}"
        case Promoted():
            return f"candidate {event.number} is promoted"
        case Leased():
            how = "is promoted and goes on" if event.promoted else "gets a slot"
            return f"candidate {event.number} {how}"
        case Reopened():
            return f"candidate {event.number} is taken up again"
        case Told():
            return f"candidate {event.number} reports epoch {event.epochs[-1].number}"
        case Failed():
            return f"candidate {event.number} fails: {event.failure.message}"
        case None:
            return "nothing more"
        case _:
            return type(event).__name__
