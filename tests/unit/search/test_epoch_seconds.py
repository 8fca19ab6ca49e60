"""Foreseeing how long an epoch takes: what is fitted to a few timings, and what a study knows."""

from __future__ import annotations

import pytest

from cluster.resources import Resources
from search.engine.spending import Spending
from search.planning.epoch_seconds import Pace, Timing, fit_seconds, largest_error, timings_of
from search.study.records import CandidateRecord, EpochResult, Hearing, LeaseTime, Phase

NARROW, WIDE = Resources(), Resources(workers=2)


def timing(
    seconds: float, *, resources: Resources = NARROW, start_s: float | None = None, **costs: float
) -> Timing:
    return Timing(costs=costs, resources=resources, seconds=seconds, epochs=2, start_s=start_s)


def test_seconds_are_a_straight_line_of_macs() -> None:
    model = fit_seconds([timing(0.5 + 2e-6 * macs, macs=macs) for macs in (1e4, 2e5, 3e6)])
    assert model.seconds({"macs": 1e6}) == pytest.approx(2.5)
    assert str(model) == "0.5 s + 2 s per million macs"


def test_the_line_neither_falls_nor_begins_below_zero() -> None:
    falling = fit_seconds([timing(3.0, macs=1e5), timing(1.0, macs=1e6)])
    assert falling.seconds({"macs": 1e7}) == pytest.approx(falling.seconds({"macs": 0.0}), rel=0.01)
    steep = fit_seconds([timing(0.01, macs=1e5), timing(1.0, macs=1e6)])
    assert steep.seconds({"macs": 0.0}) >= 0.0


def test_an_error_counts_as_a_share_so_that_small_candidates_are_met_too() -> None:
    timings = [timing(0.1, macs=1e4), timing(0.12, macs=3e4), timing(100.0, macs=1e8)]
    assert largest_error(fit_seconds(timings), timings) < 0.15


def test_twice_and_half_are_equally_wrong_so_that_noise_does_not_make_it_foresee_too_little() -> (
    None
):
    timings = [timing(seconds, macs=macs) for seconds in (1.0, 4.0) for macs in (1e6, 2e6)]
    assert fit_seconds(timings).seconds({"macs": 1.5e6}) == pytest.approx(2.0, rel=0.01)


def test_other_costs_are_taken_to_a_power_and_the_one_that_explains_most_is_chosen() -> None:
    timings = [
        timing(0.1 * width**1.5, depth=depth, width=width)
        for depth, width in ((3.0, 4.0), (1.0, 9.0), (2.0, 16.0))
    ]
    model = fit_seconds(timings)
    assert model.cost == "width"
    assert model.seconds({"depth": 1.0, "width": 25.0}) == pytest.approx(12.5)
    assert str(model) == "0.1 s x width^1.50"


def test_without_a_cost_to_go_by_every_candidate_takes_the_same() -> None:
    for timings in (
        [timing(1.0, macs=5.0), timing(4.0, macs=5.0)],
        [timing(1.0, errors=0.0), timing(4.0, errors=2.0)],
    ):
        model = fit_seconds(timings)
        assert model.seconds({}) == pytest.approx(2.0)
        assert str(model) == "2 s"


def test_each_shape_has_a_model_and_what_was_not_timed_is_taken_to_be_like_the_others() -> None:
    timings = [timing(2.0, macs=1e6), timing(4.0, macs=2e6)]
    timings += [timing(1.0, resources=WIDE, macs=1e6), timing(2.0, resources=WIDE, macs=2e6)]
    pace = Pace.of(timings, {NARROW: 4, WIDE: 2})
    assert pace.seconds(NARROW, {"macs": 3e6}) == pytest.approx(6.0)
    assert pace.seconds(WIDE, {"macs": 3e6}) == pytest.approx(3.0)
    lonely = Pace.of(timings[:2], {NARROW: 4, WIDE: 2})
    assert WIDE not in lonely.models
    assert lonely.seconds(WIDE, {"macs": 3e6}) == pytest.approx(6.0)


def test_only_those_who_began_first_tell_what_a_slot_takes_to_start() -> None:
    timings = [timing(1.0, start_s=start_s, macs=1.0) for start_s in (5.0, 7.0, 0.1, 0.1, 0.1)]
    assert Pace.of(timings, {NARROW: 2}).start_s == {NARROW: 6.0}


def record(number: int, seconds: list[float], **changes: object) -> CandidateRecord:
    values = {
        "number": number,
        "key": str(number),
        "params": {},
        "candidate": {},
        "costs": {"macs": 1e6},
        "resources": NARROW,
        "phase": Phase.DONE,
        "curve": tuple(
            EpochResult(number=n, metrics={}, seconds=s) for n, s in enumerate(seconds, 1)
        ),
    }
    return CandidateRecord(**{**values, **changes})  # type: ignore[arg-type]


def test_the_first_epoch_warms_up_and_counts_only_where_it_is_the_only_one() -> None:
    found = timings_of([record(2, [8.0]), record(1, [9.0, 1.0, 3.0, 2.0])])
    assert [each.seconds for each in found] == [2.0, 8.0]
    assert [each.epochs for each in found] == [4, 1]


def test_what_another_study_trained_or_nobody_has_is_no_timing() -> None:
    assert timings_of([record(0, []), record(1, [1.0], imported="other, trial 3")]) == []


def test_starting_is_what_the_first_lease_took_before_its_first_epoch() -> None:
    lease = LeaseTime(attempt=1, workers=1, gpus=0.0, began_s=10.0, ended_s=30.0)
    heard = Hearing(attempt=1, spent=Spending(search_s=16.0))
    (found,) = timings_of([record(0, [2.0], leases=(lease,), hearings=(heard,))])
    assert found.start_s == pytest.approx(4.0)
    (unknown,) = timings_of([record(0, [2.0])])
    assert unknown.start_s is None
