"""Failures in the engine: who is tried again, and what ends a search."""

from __future__ import annotations

import dataclasses

from search.engine.decisions import Done, Resume, Start, Verdict
from search.engine.failures import Cause, FailurePolicy, GiveUp, Retry
from search.study.records import Failure, Phase
from tests.unit.search.engines import anything, engine_of, record, report

BUG = "KeyError: 'lead'"


def test_losses_of_a_kind_are_counted_apart() -> None:
    policy = FailurePolicy(max_losses=1, max_node_losses=2, max_out_of_memory=1)
    engine = engine_of(1, halving=None, failure_policy=policy)
    assert engine.next(anything) == Start(0)
    for cause in (Cause.LOST_NODE, Cause.LOST_WORKER, Cause.OUT_OF_MEMORY, Cause.LOST_NODE):
        assert engine.failed(0, cause, "gone") == Retry()
        assert engine.next(anything) == Resume(0)
    assert engine.failed(0, Cause.LOST_NODE, "gone") == GiveUp()


def test_setbacks_before_an_interruption_count_by_their_cause() -> None:
    setbacks = (Failure(cause="out of memory", message="full"),)
    known = dataclasses.replace(record(0, Phase.PAUSED, [0.5]), setbacks=setbacks)
    engine = engine_of(1, halving=None, records=[known])
    assert engine.next(anything) == Resume(0)
    assert engine.failed(0, Cause.LOST_WORKER, "gone") == Retry()
    assert engine.next(anything) == Resume(0)
    assert engine.failed(0, Cause.OUT_OF_MEMORY, "full") == GiveUp()


def test_a_bug_of_a_later_epoch_halts_although_every_candidate_learns_the_first() -> None:
    engine = engine_of(10, halving=None)
    for number in range(3):
        assert engine.next(anything) == Start(number)
        assert report(engine, number, 1) is Verdict.CONTINUE
        engine.failed(number, Cause.BUG, BUG)
    halt = Done(f"3 candidates in a row failed alike: {BUG}", resumable=True)
    assert engine.next(anything) == halt


def test_a_candidate_that_is_beyond_a_bug_does_not_hide_it() -> None:
    engine = engine_of(10, halving=None)
    assert engine.next(anything) == Start(0)
    assert report(engine, 0, 1) is Verdict.CONTINUE
    for number in range(1, 4):
        assert engine.next(anything) == Start(number)
        engine.failed(number, Cause.BUG, BUG)
        halted = number == 3
        after = Verdict.PAUSE if halted else Verdict.CONTINUE
        assert report(engine, 0, 1 + number) is after
    assert isinstance(engine.next(anything), Done)


def test_after_a_halt_whoever_runs_is_paused_at_the_next_epoch_and_goes_on_from_there() -> None:
    engine = engine_of(10, halving=None)
    for number in range(5):
        assert engine.next(anything) == Start(number)
    for number in range(3):
        engine.failed(number, Cause.BUG, BUG)
    assert report(engine, 3, 1) is Verdict.PAUSE
    assert report(engine, 4, 1) is Verdict.PAUSE
    assert isinstance(engine.next(anything), Done)
    paused = [record(number, Phase.PAUSED, [0.5]) for number in (3, 4)]
    failed = [record(number, Phase.FAILED) for number in range(3)]
    resumed = engine_of(10, halving=None, records=[*failed, *paused])
    assert [resumed.next(anything), resumed.next(anything)] == [Resume(3), Resume(4)]


def test_a_candidate_that_gets_through_the_epoch_of_a_bug_ends_the_row() -> None:
    engine = engine_of(10, halving=None)
    for number in range(5):
        assert engine.next(anything) == Start(number)
        report(engine, number, 1)
        if number == 2:
            report(engine, number, 2)
        else:
            engine.failed(number, Cause.BUG, BUG)
    assert engine.next(anything) == Start(5)
