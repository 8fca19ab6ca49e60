"""What happened in a study, one thing after the other.

Optuna's storage keeps candidates side by side. Whatever is decided or told carries its place in one
order of all of them, written together with the thing itself, so that no kill can part the two:

    a run of the search                  in a note of the study
    a suggestion, admitted or not        user attribute `place` of its trial
    a candidate brought in, or reopened  `place`, `reopened`
    a promotion                          `promoted` where it waits for a slot, and in `leases`
    a lease                              `leases`
    results of epochs, and the verdict   `epoch:N`; epochs that were told together share a place
    a failure                            `setbacks` when it was tried again, else `failure`

Places may be missing: of a write that a kill prevented, or of one that took another's way.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.trial import FrozenTrial

from search.engine.decisions import Verdict
from search.engine.spending import Spending
from search.study.paid import PLACE
from search.study.records import EpochResult, Failure
from search.study.stored import CONTINUES, EPOCH_PREFIX, number_of, record_of
from search.study.study import Study


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened; `place` counts from 1."""

    place: int


@dataclass(frozen=True, kw_only=True)
class Session(Event):
    """A run of the search began."""

    plan: Mapping[str, Any]
    stopped: Sequence[int]
    """Who was stopped for good since the session before."""
    reopenable: Sequence[int]
    """Who was stopped and could go on."""
    notes: Mapping[str, Any]
    """What the sampler had noted by then."""


@dataclass(frozen=True, kw_only=True)
class Suggested(Event):
    """The sampler suggested a candidate."""

    trial: FrozenTrial
    admitted: bool

    @property
    def number(self) -> int:
        return self.trial.number


@dataclass(frozen=True, kw_only=True)
class BroughtIn(Event):
    """A candidate of another study was written down with its results."""

    trial: FrozenTrial


@dataclass(frozen=True, kw_only=True)
class Reopened(Event):
    """A candidate that had been stopped for good was taken up again."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Promoted(Event):
    """A paused candidate was chosen to train on, and had to wait for a slot."""

    number: int


@dataclass(frozen=True, kw_only=True)
class Leased(Event):
    """A candidate got its slot."""

    number: int
    promoted: bool
    """It was paused and chosen to train on in the same moment."""


@dataclass(frozen=True, kw_only=True)
class Told(Event):
    """Results came in, and were judged by the last of them."""

    number: int
    epochs: Sequence[EpochResult]
    spent: Spending
    """What the search had cost by then."""
    verdict: Verdict | None
    """None: the driver was killed in the middle of writing them down."""


@dataclass(frozen=True, kw_only=True)
class Failed(Event):
    """A lease failed."""

    number: int
    failure: Failure
    retried: bool


def events(study: Study) -> list[Event]:
    """Return everything that happened in a study, in order, as its storage tells it."""
    found: dict[int, Event] = {}
    for session in study.sessions:
        found[session[PLACE]] = Session(
            place=session[PLACE],
            plan=session["plan"],
            stopped=session["stopped"],
            reopenable=session["reopenable"],
            notes=session["notes"],
        )
    for trial in study.trials:  # one that continues another repeats what happened before
        found |= {event.place: event for event in _of_trial(trial) if event.place not in found}
    return [found[place] for place in sorted(found)]


def _of_trial(trial: FrozenTrial) -> Iterator[Event]:
    attrs, number = trial.user_attrs, number_of(trial)
    place = attrs.get(PLACE, 0)
    if not place:
        return  # not ours
    if "imported" in attrs and CONTINUES not in attrs:
        yield BroughtIn(place=place, trial=trial)
        return
    if CONTINUES not in attrs:
        yield Suggested(place=place, trial=trial, admitted=attrs["phase"] != "rejected")
    if "reopened" in attrs:
        yield Reopened(place=attrs["reopened"], number=number)
    if "promoted" in attrs:
        yield Promoted(place=attrs["promoted"], number=number)
    for lease in attrs.get("leases", ()):
        if "noted" in lease:
            yield Promoted(place=lease["noted"], number=number)
        yield Leased(place=lease[PLACE], number=number, promoted="promoted" in lease)
    if attrs["phase"] != "rejected":
        yield from _results(trial, number)


def _results(trial: FrozenTrial, number: int) -> Iterator[Event]:
    record, attrs = record_of(trial), trial.user_attrs
    written = [(attrs[f"{EPOCH_PREFIX}{epoch.number}"], epoch) for epoch in record.curve]
    told = [pair for pair in written if PLACE in pair[0]]
    for place, group in itertools.groupby(told, key=lambda pair: pair[0][PLACE]):
        together = list(group)
        verdict = together[-1][0].get("verdict")
        yield Told(
            place=place,
            number=number,
            epochs=[epoch for _, epoch in together],
            spent=record.hearing(together[-1][1].number).spent,
            verdict=Verdict(verdict) if verdict else None,
        )
    for setback in record.setbacks:
        yield Failed(place=setback.place, number=number, failure=setback, retried=True)
    if (failure := record.failure) is not None:
        yield Failed(place=failure.place, number=number, failure=failure, retried=False)
