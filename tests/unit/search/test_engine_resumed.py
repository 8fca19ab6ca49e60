"""The engine, going on from what an interruption left in the study."""

from __future__ import annotations

import pytest

from search.engine.decisions import Done, Resume, Start, Verdict, Wait
from search.engine.failures import Cause, FailurePolicy, GiveUp
from search.study.records import Phase
from tests.unit.search.engines import (
    NARROW,
    WIDE,
    Space,
    anything,
    engine_of,
    record,
    report,
    train,
)


def test_a_queued_candidate_starts_before_a_new_one_is_proposed() -> None:
    engine = engine_of(3, records=[record(0, Phase.QUEUED)])
    assert [engine.next(anything) for _ in range(3)] == [Start(0), Start(1), Start(2)]


def test_candidates_of_every_phase_count_towards_the_goal() -> None:
    full = [0.1] * 9
    records = [
        record(0, Phase.DONE, full),
        record(1, Phase.STOPPED, [0.5]),
        record(2, Phase.FAILED),
        record(3, Phase.RUNNING, full[:2]),
        record(4, Phase.PAUSED, [0.6]),
        record(5, Phase.QUEUED),
    ]
    space = Space()
    engine = engine_of(6, space=space, records=records)
    assert [engine.next(anything), engine.next(anything)] == [Resume(3), Start(5)]
    train(engine, 3, range(3, 4))
    report(engine, 5, 1, loss=0.7)
    assert space.offered == 6
    assert engine.next(anything) == Done()
    assert engine.conclude() == [3, 4, 5]


@pytest.mark.parametrize("phase", [Phase.DONE, Phase.STOPPED, Phase.FAILED])
def test_what_is_final_is_not_run_again(phase: Phase) -> None:
    engine = engine_of(1, records=[record(0, phase, [0.1] * 9)])
    assert engine.next(anything) == Done()
    assert engine.conclude() == []


@pytest.mark.parametrize("epochs", [0, 2, 4])
def test_a_candidate_interrupted_between_rungs_goes_on(epochs: int) -> None:
    engine = engine_of(2, records=[record(0, Phase.RUNNING, [0.5] * epochs)])
    assert [engine.next(anything), engine.next(anything)] == [Resume(0), Start(1)]
    assert report(engine, 0, 5) is Verdict.CONTINUE


def test_a_candidate_interrupted_at_a_rung_is_judged_there() -> None:
    weak = engine_of(1, records=[record(0, Phase.RUNNING, [0.5])])
    assert weak.next(anything) == Done()
    assert weak.conclude() == [0]

    others = [record(1, Phase.STOPPED, [0.6]), record(2, Phase.STOPPED, [0.7])]
    strong = engine_of(3, records=[record(0, Phase.RUNNING, [0.5]), *others])
    assert strong.next(anything) == Resume(0)


@pytest.mark.parametrize("epochs", [0, 2, 5])
def test_a_candidate_that_waited_for_another_worker_between_rungs_goes_on(epochs: int) -> None:
    waiting = record(0, Phase.PAUSED, [0.5] * epochs, lost_workers=1)
    engine = engine_of(2, records=[waiting])
    assert [engine.next(anything), engine.next(anything)] == [Resume(0), Start(1)]


def test_without_rungs_a_candidate_that_waited_for_another_worker_goes_on() -> None:
    waiting = record(0, Phase.PAUSED, [0.5, 0.5, 0.5], lost_workers=1)
    engine = engine_of(1, halving=None, records=[waiting])
    assert engine.next(anything) == Resume(0)


def test_a_paused_candidate_is_promoted_by_results_from_before_and_after() -> None:
    records = [record(0, Phase.PAUSED, [0.4]), record(1, Phase.PAUSED, [0.5])]
    engine = engine_of(3, records=records)
    assert engine.next(anything) == Start(2)
    report(engine, 2, 1, loss=0.6)
    assert engine.next(anything) == Resume(0)


def test_who_left_a_rung_before_the_interruption_is_counted_in_its_quota() -> None:
    records = [
        record(0, Phase.STOPPED, [0.4, 0.4, 0.4]),
        record(1, Phase.PAUSED, [0.3]),
        record(2, Phase.PAUSED, [0.6]),
    ]
    engine = engine_of(3, records=records)
    assert engine.next(anything) == Done()  # three results, one has left


def test_losses_before_the_interruption_count() -> None:
    policy = FailurePolicy(max_losses=1)
    lost_once = record(0, Phase.RUNNING, [0.5, 0.5], lost_workers=1)
    engine = engine_of(1, failure_policy=policy, records=[lost_once])
    assert engine.next(anything) == Resume(0)
    assert engine.failed(0, Cause.LOST_WORKER, "gone") == GiveUp()


def test_a_wide_candidate_drains_the_slots_after_an_interruption_too() -> None:
    records = [record(0, Phase.QUEUED, resources=WIDE), record(1, Phase.QUEUED)]
    engine = engine_of(2, records=records)
    assert engine.next(lambda resources: resources == NARROW) == Wait()
    assert engine.next(anything) == Start(0)


def test_resuming_after_a_halt_counts_bugs_anew() -> None:
    records = [record(number, Phase.FAILED) for number in range(3)]
    assert engine_of(5, records=records).next(anything) == Start(3)
