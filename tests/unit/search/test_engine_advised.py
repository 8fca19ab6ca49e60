"""The engine where the sampler says who is promoted, and where epochs are what is paid."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from search.engine.decisions import Admitted, Done, Promoted, Resume, Start, Verdict, Wait
from search.engine.engine import Engine
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.study.records import Phase
from tests.unit.search.engines import (
    NARROW,
    STRICT,
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


class Adviser(Space):
    """Offers candidates, unless the next advice is to promote one."""

    def __init__(self, *advice: int | None) -> None:
        super().__init__()
        self.advice = deque(advice)
        self.shown: list[list[int]] = []

    def __call__(self, paused: Collection[int] = ()) -> Admitted | Promoted | None:  # type: ignore[override]
        self.shown.append(list(paused))
        advised = self.advice.popleft() if self.advice else None
        return super().__call__() if advised is None else Promoted(number=advised)


# Advised promotions -----------------------------------------------------------------------------


def test_who_is_advised_goes_on_from_its_rung() -> None:
    space = Adviser(None, None, 1)
    engine = engine_of(5, space=space, advised=True)
    start_all(engine, {0: 0.4, 1: 0.5})
    assert engine.next(anything) == Resume(1)
    assert space.shown[-1] == [0, 1]
    assert train(engine, 1, range(2, 4)) is Verdict.PAUSE
    assert engine.next(anything) == Start(2)
    assert space.shown[-1] == [0, 1]


def test_while_new_ones_may_start_nobody_is_promoted_unadvised() -> None:
    engine = engine_of(5, space=Adviser(), advised=True)
    start_all(engine, {0: 0.4, 1: 0.5, 2: 0.6})  # by the rungs, candidate 0 could go on
    assert engine.next(anything) == Start(3)
    assert report(engine, 3, 1, loss=0.1) is Verdict.PAUSE


def test_who_is_running_is_not_shown_to_the_adviser() -> None:
    space = Adviser(None, None, None, 0)
    engine = engine_of(9, space=space, advised=True)
    start_all(engine, {0: 0.4, 1: 0.5})
    assert [engine.next(anything), engine.next(anything)] == [Start(2), Resume(0)]
    engine.next(anything)
    assert space.shown[-1] == [1]


def test_advice_counts_in_the_quota_of_the_rungs_that_decide_afterwards() -> None:
    engine = engine_of(3, space=Adviser(None, None, 1), advised=True)
    start_all(engine, {0: 0.4, 1: 0.5})
    assert engine.next(anything) == Resume(1)
    assert engine.next(anything) == Start(2)
    report(engine, 2, 1, loss=0.6)
    # Three results, of which one has left: the best may not go on.
    assert train(engine, 1, range(2, 4)) is Verdict.PAUSE
    assert engine.next(anything) == Done()


def test_with_nothing_new_left_the_rungs_decide() -> None:
    space = Adviser()
    engine = engine_of(3, space=space, advised=True)
    start_all(engine, {0: 0.4, 1: 0.5, 2: 0.6})
    assert engine.next(anything) == Resume(0)
    assert len(space.shown) == 3


def test_who_is_advised_waits_for_room_and_is_chosen_once() -> None:
    space = Adviser(None, None, 0, 1)
    engine = engine_of(5, space=space, advised=True)
    start_all(engine, {0: 0.4, 1: 0.5})
    assert [engine.next(nothing), engine.next(nothing)] == [Wait(), Wait()]
    assert engine.waiting == (0,)
    assert engine.take_promoted() == [0]
    assert engine.take_promoted() == []
    assert engine.next(anything) == Resume(0)


def test_spared_candidates_are_told_as_promoted_together() -> None:
    halving = ParetoHalving(eta=3, min_results=5, finish_front=False)
    engine = engine_of(
        2, halving=halving, point=lambda number, metrics: (metrics["loss"], -metrics["loss"])
    )
    start_all(engine, {0: 0.4, 1: 0.5})
    assert engine.next(anything) == Resume(0)
    assert engine.take_promoted() == [0, 1]
    assert engine.waiting == (1,)


# What an interruption between a promotion and its first result leaves ----------------------------


def test_who_was_promoted_before_the_interruption_goes_on_first() -> None:
    records = [record(0, Phase.PAUSED, [0.4], trains_on=True), record(1, Phase.PAUSED, [0.3])]
    engine = engine_of(9, records=records)
    assert [engine.next(anything), engine.next(anything)] == [Resume(0), Start(2)]
    assert report(engine, 0, 2) is Verdict.CONTINUE


def test_who_was_promoted_before_the_interruption_is_counted_in_the_quota() -> None:
    records = [
        record(0, Phase.RUNNING, [0.6], trains_on=True),
        record(1, Phase.PAUSED, [0.3]),
        record(2, Phase.PAUSED, [0.5]),
    ]
    engine = engine_of(3, records=records)
    assert engine.next(anything) == Resume(0)
    assert engine.next(anything) == Wait()


# A budget of epochs -------------------------------------------------------------------------------


def engine_with(budget_epochs: int, space: Space | None = None, **options: object) -> Engine:
    return Engine(
        Goal(max_epochs=9, budget_epochs=budget_epochs),
        propose=space or Space(),
        point=lambda number, metrics: (metrics["loss"],),
        **options,  # type: ignore[arg-type]
    )


def limit(budget_epochs: int) -> str:
    return f"the budget of {budget_epochs} epochs is spent"


def test_once_the_budget_is_spent_nothing_is_chosen_any_more() -> None:
    space = Space()
    engine = engine_with(10, space)
    assert engine.next(anything) == Start(0)
    train(engine, 0, range(1, 10))
    assert engine.next(anything) == Start(1)
    assert report(engine, 1, 1) is Verdict.PAUSE
    assert engine.next(anything) == Done(limit=limit(10))
    assert space.offered == 2
    assert engine.conclude() == [1]


def test_who_is_running_when_the_budget_is_spent_ends_its_epoch() -> None:
    engine = engine_with(3)
    for number in range(3):
        assert engine.next(anything) == Start(number)
    for number in range(3):
        last = Verdict.PAUSE if number == 2 else Verdict.CONTINUE
        assert report(engine, number, 1) is last
    assert engine.next(anything) == Wait()
    assert [report(engine, number, 2) for number in (0, 1)] == [Verdict.PAUSE] * 2
    assert engine.next(anything) == Done(limit=limit(3))


def test_who_waits_for_room_when_the_budget_is_spent_stays_where_it_is() -> None:
    engine = engine_with(1, Space(shapes=[NARROW, WIDE]))
    assert engine.next(anything) == Start(0)
    assert engine.next(lambda resources: resources == NARROW) == Wait()
    report(engine, 0, 1)
    assert engine.next(anything) == Done(limit=limit(1))
    assert engine.conclude() == [0, 1]


def test_the_last_epoch_that_the_budget_pays_may_end_a_candidate() -> None:
    engine = engine_with(9)
    assert engine.next(anything) == Start(0)
    assert train(engine, 0, range(1, 10)) is Verdict.STOP
    assert engine.next(anything) == Done(limit=limit(9))


def test_epochs_from_before_an_interruption_are_paid() -> None:
    records = [record(0, Phase.DONE, [0.1] * 9), record(1, Phase.PAUSED, [0.2])]
    assert engine_with(10, records=records).next(anything) == Done(limit=limit(10))
    assert engine_with(11, halving=STRICT, records=records).next(anything) == Start(0)


def test_an_epoch_that_is_trained_again_is_paid_once() -> None:
    engine = engine_with(3)
    assert engine.next(anything) == Start(0)
    train(engine, 0, range(1, 3))
    assert report(engine, 0, 2) is Verdict.CONTINUE
    assert report(engine, 0, 3) is Verdict.PAUSE


def test_results_that_come_together_are_all_paid() -> None:
    engine = engine_with(3)
    assert engine.next(anything) == Start(0)
    assert engine.report(0, [result(1), result(2), result(3)]) is Verdict.PAUSE
