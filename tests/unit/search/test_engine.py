"""The engine: what starts, what goes on, what is stopped and what ends the search."""

from __future__ import annotations

import pytest

from cluster.resources import Resources
from search.engine.decisions import Done, Resume, Start, Verdict, Wait
from search.engine.failures import Cause, FailurePolicy, GiveUp, Retry
from search.engine.halving import ParetoHalving
from search.study.records import EpochResult, Phase
from tests.unit.search.engines import (
    NARROW,
    WIDE,
    Space,
    anything,
    engine_of,
    nothing,
    record,
    report,
    result,
    start_all,
    train,
)

# Starting ---------------------------------------------------------------------------------------


def test_candidates_start_one_after_the_other_up_to_the_goal() -> None:
    engine = engine_of(3)
    assert [engine.next(anything) for _ in range(4)] == [Start(0), Start(1), Start(2), Wait()]


def test_nothing_starts_where_nothing_fits_and_the_candidate_keeps_its_place() -> None:
    space = Space()
    engine = engine_of(3, space=space)
    assert [engine.next(nothing) for _ in range(3)] == [Wait()] * 3
    assert space.offered == 1
    assert engine.next(anything) == Start(0)


def test_a_wide_candidate_drains_the_slots_instead_of_being_overtaken() -> None:
    space = Space(shapes=[NARROW, WIDE, NARROW])
    engine = engine_of(3, halving=None, space=space)

    def one_slot_is_free(resources: Resources) -> bool:
        return resources == NARROW

    assert engine.next(anything) == Start(0)
    assert engine.next(one_slot_is_free) == Wait()  # candidate 2 would fit
    train(engine, 0, range(1, 10))
    assert engine.next(anything) == Start(1)
    assert engine.next(nothing) == Wait()
    assert engine.next(anything) == Start(2)


def test_without_halving_every_candidate_trains_to_full_length() -> None:
    engine = engine_of(2, halving=None)
    assert engine.rungs == ()
    for number in (0, 1):
        assert engine.next(anything) == Start(number)
        assert train(engine, number, range(1, 10), loss=number) is Verdict.STOP
    assert engine.next(anything) == Done()
    assert engine.conclude() == []


def test_a_search_for_nothing_is_done_at_once() -> None:
    assert engine_of(0).next(anything) == Done()


# Rungs ------------------------------------------------------------------------------------------


def test_rungs_lie_eta_times_apart_below_full_length() -> None:
    assert engine_of().rungs == (1, 3)


def test_who_comes_to_an_empty_rung_is_paused() -> None:
    engine = engine_of()
    engine.next(anything)
    assert report(engine, 0, 1) is Verdict.PAUSE


def test_the_best_of_three_goes_on_without_a_pause() -> None:
    engine = engine_of()
    start_all(engine, {0: 0.5, 1: 0.6})
    assert engine.next(anything) == Start(2)
    assert report(engine, 2, 1, loss=0.4) is Verdict.CONTINUE
    assert report(engine, 2, 2, loss=0.4) is Verdict.CONTINUE
    assert report(engine, 2, 3, loss=0.4) is Verdict.PAUSE


def test_who_went_on_without_a_pause_is_counted_in_the_quota() -> None:
    engine = engine_of(4)
    start_all(engine, {0: 0.5, 1: 0.6})
    assert [engine.next(anything), engine.next(anything)] == [Start(2), Start(3)]
    assert report(engine, 2, 1, loss=0.4) is Verdict.CONTINUE
    assert report(engine, 3, 1, loss=0.3) is Verdict.PAUSE  # four results, one has left


def test_a_paused_candidate_is_promoted_when_enough_came_in_behind_it() -> None:
    engine = engine_of(10)
    start_all(engine, {0: 0.4, 1: 0.5, 2: 0.6})
    assert engine.next(anything) == Resume(0)
    assert report(engine, 0, 2) is Verdict.CONTINUE
    assert engine.next(anything) == Start(3)  # once


def test_a_promotion_comes_before_a_new_candidate_and_the_highest_rung_first() -> None:
    upper = [record(number, Phase.PAUSED, [number / 100] * 3) for number in range(3)]
    lower = [record(number, Phase.PAUSED, [number / 100]) for number in range(3, 12)]
    engine = engine_of(20, records=[*upper, *lower])
    # One of three may leave the upper rung; of twelve four may leave the lower, and three have.
    promotions = [engine.next(anything) for _ in range(3)]
    assert promotions == [Resume(0), Resume(3), Start(12)]
    assert train(engine, 0, range(4, 10)) is Verdict.STOP


def test_a_promoted_candidate_waits_at_the_head_until_it_fits() -> None:
    engine = engine_of(10)
    start_all(engine, {0: 0.4, 1: 0.5, 2: 0.6})
    assert [engine.next(nothing), engine.next(nothing)] == [Wait(), Wait()]
    assert engine.next(anything) == Resume(0)


def test_results_that_come_together_are_judged_by_the_last() -> None:
    engine = engine_of()
    start_all(engine, {0: 0.4, 1: 0.5, 2: 0.6})
    assert engine.next(anything) == Resume(0)
    assert engine.report(0, [result(2), result(3)]) is Verdict.PAUSE


# The end ----------------------------------------------------------------------------------------


def test_who_is_still_paused_in_the_end_is_stopped_for_good() -> None:
    engine = engine_of(2)
    start_all(engine, {0: 0.4, 1: 0.5})
    assert engine.next(anything) == Done()
    assert engine.conclude() == [0, 1]
    assert engine.conclude() == []


def test_in_the_end_the_front_is_trained_to_full_length() -> None:
    engine = engine_of(2, halving=ParetoHalving(min_results=1, finish_front=True))
    start_all(engine, {0: 0.4, 1: 0.5})
    assert engine.next(anything) == Resume(0)
    assert train(engine, 0, range(2, 4), loss=0.4) is Verdict.PAUSE
    assert engine.next(anything) == Resume(0)
    assert train(engine, 0, range(4, 10), loss=0.4) is Verdict.STOP
    assert engine.next(anything) == Done()
    assert engine.conclude() == [1]


def test_a_candidate_that_turns_out_worse_on_the_way_makes_room_on_the_front() -> None:
    engine = engine_of(2, halving=ParetoHalving(min_results=1, finish_front=True))
    start_all(engine, {0: 0.4, 1: 0.5})
    assert engine.next(anything) == Resume(0)
    assert train(engine, 0, range(2, 4), loss=0.9) is Verdict.PAUSE
    assert engine.next(anything) == Resume(1)


def test_a_rung_with_few_results_does_not_stop_its_best() -> None:
    engine = engine_of(2, halving=ParetoHalving(min_results=3, finish_front=False))
    start_all(engine, {0: 0.4, 1: 0.5})
    assert engine.next(anything) == Resume(0)
    assert engine.next(anything) == Wait()
    assert train(engine, 0, range(2, 4)) is Verdict.PAUSE
    assert engine.next(anything) == Resume(0)  # the only result of the second rung


def test_an_exhausted_space_ends_the_search_with_its_reason() -> None:
    engine = engine_of(5, space=Space(size=2))
    start_all(engine, {0: 0.4, 1: 0.5})
    done = engine.next(anything)
    assert done == Done("the space has no new candidate within the bounds to offer")
    assert engine.conclude() == [0, 1]


def test_an_exhausted_space_waits_for_who_is_running() -> None:
    engine = engine_of(5, halving=None, space=Space(size=1))
    assert [engine.next(anything), engine.next(anything)] == [Start(0), Wait()]
    train(engine, 0, range(1, 10))
    assert isinstance(engine.next(anything), Done)


def test_an_exhausted_space_still_has_its_front_trained_to_full_length() -> None:
    halving = ParetoHalving(min_results=1, finish_front=True)
    engine = engine_of(5, halving=halving, space=Space(size=2))
    start_all(engine, {0: 0.4, 1: 0.5})
    assert engine.next(anything) == Resume(0)


def test_an_exhausted_space_is_asked_once() -> None:
    space = Space(size=1)
    engine = engine_of(5, halving=None, space=space)
    asked: list[int] = []
    engine._propose = lambda paused: asked.append(1) or space()
    assert engine.next(anything) == Start(0)
    assert [engine.next(anything) for _ in range(3)] == [Wait()] * 3
    assert len(asked) == 2


# Failures ---------------------------------------------------------------------------------------


def test_a_candidate_that_cannot_be_mended_is_given_up_and_the_search_goes_on() -> None:
    engine = engine_of(2, halving=None)
    engine.next(anything)
    assert engine.failed(0, Cause.NON_FINITE, "diverged") == GiveUp()
    assert engine.next(anything) == Start(1)
    train(engine, 1, range(1, 10))
    assert engine.next(anything) == Done()


def test_a_lost_worker_is_leased_again_until_it_was_lost_too_often() -> None:
    engine = engine_of(1, halving=None, failure_policy=FailurePolicy(max_losses=2))
    assert engine.next(anything) == Start(0)
    for _ in range(2):
        assert engine.failed(0, Cause.LOST_WORKER, "gone") == Retry()
        assert engine.next(anything) == Resume(0)
    assert engine.failed(0, Cause.LOST_WORKER, "gone") == GiveUp()
    assert engine.next(anything) == Done()


def test_a_lost_candidate_goes_on_before_anything_new_starts() -> None:
    engine = engine_of(5, halving=None)
    assert [engine.next(anything), engine.next(anything)] == [Start(0), Start(1)]
    engine.failed(0, Cause.LOST_WORKER, "gone")
    assert [engine.next(anything), engine.next(anything)] == [Resume(0), Start(2)]


def test_a_candidate_lost_after_it_left_a_rung_is_not_judged_there_again() -> None:
    engine = engine_of(3)
    start_all(engine, {0: 0.4, 1: 0.5, 2: 0.6})
    assert engine.next(anything) == Resume(0)
    engine.failed(0, Cause.LOST_WORKER, "gone")
    assert engine.next(anything) == Resume(0)
    assert report(engine, 0, 1, loss=0.9) is Verdict.CONTINUE  # its checkpoint was lost too


def test_three_candidates_in_a_row_with_one_bug_halt_the_search() -> None:
    engine = engine_of(10)
    for number in range(4):
        assert engine.next(anything) == Start(number)
    for number in range(3):
        assert engine.failed(number, Cause.BUG, "KeyError: 'lead'") == GiveUp()
    assert engine.next(anything) == Wait()  # candidate 3 may end its lease
    report(engine, 3, 1)
    reason = "3 candidates in a row failed alike: KeyError: 'lead'"
    assert engine.next(anything) == Done(reason, resumable=True)


def test_different_bugs_do_not_halt_the_search() -> None:
    engine = engine_of(10)
    for number in range(6):
        assert engine.next(anything) == Start(number)
        engine.failed(number, Cause.BUG, f"KeyError: {'abc'[number // 2]}")
    assert engine.next(anything) == Start(6)


def test_a_result_between_bugs_shows_that_learning_works() -> None:
    engine = engine_of(10, halving=None)
    for number in range(4):
        assert engine.next(anything) == Start(number)
    for number in (0, 1):
        engine.failed(number, Cause.BUG, "KeyError")
    report(engine, 3, 1)
    engine.failed(2, Cause.BUG, "KeyError")
    assert engine.next(anything) == Start(4)


def test_failures_that_differ_in_numbers_and_paths_only_are_alike() -> None:
    engine = engine_of(10)
    for number in range(3):
        assert engine.next(anything) == Start(number)
        engine.failed(number, Cause.BAD_DATA, f"shard /data{number}/x is missing")
    decision = engine.next(anything)
    assert isinstance(decision, Done)
    assert decision.resumable


@pytest.mark.parametrize("cause", [Cause.NON_FINITE, Cause.OUT_OF_MEMORY])
def test_only_bugs_halt_the_search(cause: Cause) -> None:
    engine = engine_of(10, failure_policy=FailurePolicy(max_out_of_memory=0))
    for number in range(4):
        assert engine.next(anything) == Start(number)
        engine.failed(number, cause, "as ever")
    assert engine.next(anything) == Start(4)


def test_after_a_halt_lost_workers_are_left_for_the_resumed_search() -> None:
    engine = engine_of(10, halving=None)
    for number in range(4):
        assert engine.next(anything) == Start(number)
    for number in range(3):
        engine.failed(number, Cause.BUG, "KeyError")
    assert engine.failed(3, Cause.LOST_WORKER, "gone") == Retry()
    assert engine.next(anything) == Done(
        "3 candidates in a row failed alike: KeyError", resumable=True
    )


# Learning that ends of its own accord ------------------------------------------------------------


def test_learning_that_ends_of_its_own_accord_is_done_below_full_length() -> None:
    engine = engine_of(candidates=1, halving=None)
    assert engine.next(anything) == Start(0)
    assert report(engine, 0, 1) is Verdict.CONTINUE
    last = EpochResult(number=2, metrics={"loss": 0.5}, seconds=1.0, final=True)
    assert engine.report(0, [last]) is Verdict.STOP
    assert engine.next(anything) == Done()


def test_learning_that_ends_at_a_rung_is_done_and_not_paused() -> None:
    engine = engine_of(candidates=2)
    start_all(engine, {0: 0.1})
    assert engine.next(anything) == Start(1)
    last = EpochResult(number=1, metrics={"loss": 0.9}, seconds=1.0, final=True)
    assert engine.report(1, [last]) is Verdict.STOP


@pytest.mark.parametrize(("kept", "verdict"), [(1, Verdict.CONTINUE), (None, Verdict.PAUSE)])
def test_a_candidate_is_compared_by_the_model_that_it_keeps(
    kept: int | None, verdict: Verdict
) -> None:
    others = [record(number, Phase.PAUSED, [0.5] * 3) for number in range(2)]
    engine = engine_of(3, records=[record(2, Phase.RUNNING, [0.1, 0.2]), *others])
    worse = EpochResult(number=3, metrics={"loss": 0.9}, seconds=1.0, kept=kept)
    assert engine.next(anything) == Resume(2)
    assert engine.report(2, [worse]) is verdict
