"""The rule that gives up hope: what it says of curves, and what a search makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from optuna.storages import InMemoryStorage

from search.engine.conductor import Conductor, Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.optimism import Improvements, Optimism
from search.errors import StudyError
from search.execution.simulator import SimulationResult, simulate
from search.problem import Context
from search.reports.optimism_audit import optimism_audit, optimism_line
from search.study.creation import create_study
from search.study.records import Phase
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyEpoch, ToyProblem
from tests.unit.search.driving import Killed, carry_out

MARKS = (1, 3, 6)


def curve(*values: float, size: float = 2.0) -> list[tuple[float, float]]:
    """Return a curve of accuracies (negated: minimised) of one size."""
    return [(-value, size) for value in values]


def told(improvements: Improvements, whole: list[tuple[float, float]]) -> None:
    for epoch in range(1, len(whole) + 1):
        improvements.add(whole[:epoch])


def test_what_can_be_hoped_for_is_the_best_that_others_did_on_each_part_of_the_way() -> None:
    improvements = Improvements(MARKS)
    told(improvements, curve(0.1, 0.2, 0.3))  # 0.2 better from epoch 1 to 3, then stopped
    told(improvements, curve(0.5, 0.5, 0.6, 0.6, 0.65, 0.7))  # 0.1, and 0.1 from 3 to 6
    hoped = improvements.hoped(1, (-0.4, 3.0), 1)
    assert hoped == pytest.approx([-(0.4 + 0.2 + 0.1), 3.0])
    hoped = improvements.hoped(4, (-0.4, 3.0), 1)
    assert hoped == pytest.approx([-(0.4 + 0.1), 3.0])


def test_a_curve_that_falls_again_counts_with_its_best() -> None:
    improvements = Improvements(MARKS)
    told(improvements, curve(0.3, 0.3, 0.3, 0.9, 0.5, 0.4))
    assert improvements.hoped(3, (0.0, 1.0), 1) == pytest.approx([-0.6, 1.0])


def test_nothing_is_said_before_enough_curves_were_seen_on_every_part_of_the_way() -> None:
    improvements = Improvements(MARKS)
    for _ in range(3):
        told(improvements, curve(0.1, 0.2, 0.3))
    assert improvements.hoped(1, (0.0, 1.0), 1) is None  # nobody went on from 3
    told(improvements, curve(0.1, 0.2, 0.3, 0.4, 0.4, 0.4))
    assert improvements.hoped(1, (0.0, 1.0), 1) is not None
    assert improvements.hoped(1, (0.0, 1.0), 2) is None


def test_it_does_not_matter_in_which_order_curves_come() -> None:
    rng = np.random.default_rng(0)
    curves = [curve(*rng.random(6).tolist()) for _ in range(8)]
    hoped = []
    for order in (curves, curves[::-1]):
        improvements = Improvements(MARKS)
        for whole in order:
            told(improvements, whole)
        hoped.append(improvements.hoped(2, (-0.5, 1.0), 1))
    np.testing.assert_array_equal(*hoped)


@pytest.mark.parametrize("changes", [{"min_curves": 0}, {"audit_share": 1.5}])
def test_settings_that_cannot_be_are_refused(changes: dict[str, float]) -> None:
    with pytest.raises(StudyError, match="cannot be"):
        Optimism(**changes)  # type: ignore[arg-type]


# In a search --------------------------------------------------------------------------------------


class Plateaus(ToyProblem):
    """Everybody learns alike, half of them from a low level: there is no way to catch up."""

    def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
        for epoch in super().learn(candidate, context):
            level = 0.9 if candidate["rate"] > 0.01 else 0.3
            reached = level + 0.01 * epoch.number + 0.001 * candidate["rate"]
            yield ToyEpoch(epoch.number, {"accuracy": reached}, epoch.seconds)


def searched(**changes: Any) -> SimulationResult:
    options: dict[str, Any] = {
        "max_epochs": 9,
        "candidates": 60,
        "sampler": "random",
        "halving": None,
        "optimism": Optimism(audit_share=0.3),
    }
    return simulate(Plateaus(), TOY_OBJECTIVES, **(options | changes))


def test_those_that_cannot_catch_up_are_stopped_and_some_are_let_through() -> None:
    result = searched()
    records = result.study.records.values()
    stopped = [record for record in records if record.abandoned]
    through = [r for r in records if r.hopeless_after is not None and not r.abandoned]
    assert len(stopped) > 10
    assert 2 < len(through) < len(stopped)
    assert all(record.epochs == record.hopeless_after < 9 for record in stopped)
    assert all(record.epochs == 9 for record in through), "let through to the end"
    audit = optimism_audit(result.study)
    assert (audit.stopped, audit.let_through, audit.trained_in_full) == (
        len(stopped),
        len(through),
        len(through),
    )
    assert audit.wrong == 0
    with_all = searched(optimism=None)
    epochs = [sum(len(trial.curve) for trial in r.trials) for r in (result, with_all)]
    assert epochs[1] - epochs[0] == pytest.approx(audit.saved_epochs, rel=0.35)
    assert f"{len(stopped)} stopped on the way" in optimism_line(result.study)


def test_who_was_given_up_stays_so_although_the_driver_was_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the verdict, which comes with the result, and what is written of the stop."""
    storage = InMemoryStorage()
    create_study(storage, "toy", TOY_OBJECTIVES)
    asked = Plan(
        goal=Goal(candidates=20, max_epochs=9), sampler="random", optimism=Optimism(audit_share=0.0)
    )

    def killed(number: int) -> None:
        raise Killed

    study = Study(storage, "toy", TOY_OBJECTIVES)
    monkeypatch.setattr(study, "stop", killed)
    conductor = Conductor(Plateaus(), study, asked, checkpoints=tmp_path)
    with pytest.raises(Killed):
        carry_out(conductor, Plateaus())
    study = Study(storage, "toy", TOY_OBJECTIVES)
    (given_up,) = (record for record in study.records.values() if record.abandoned)
    carry_out(Conductor(Plateaus(), study, asked, checkpoints=tmp_path), Plateaus())
    found = study.records[given_up.number]
    assert (found.phase, found.epochs) == (Phase.STOPPED, given_up.hopeless_after)


def test_one_let_through_that_halving_stops_there_and_then_was_not_given_up() -> None:
    result = searched(
        halving=ParetoHalving(), optimism=Optimism(min_curves=1, audit_share=1.0), candidates=30
    )
    records = result.study.records.values()
    at_once = [r for r in records if r.hopeless_after == r.epochs and r.phase is Phase.STOPPED]
    assert at_once
    assert not any(record.abandoned for record in at_once)
    assert optimism_audit(result.study).stopped == 0


def test_the_front_is_the_same_without_them() -> None:
    fronts = [searched(optimism=o).front() for o in (Optimism(), None)]
    assert [trial.params for trial in fronts[0]] == [trial.params for trial in fronts[1]]


def test_who_is_let_through_depends_on_the_seed() -> None:
    first, again, other = (
        {n for n, r in searched(seed=seed).study.records.items() if r.hopeless_after == r.epochs}
        for seed in (0, 0, 1)
    )
    assert first == again != other


def test_nothing_is_said_where_hope_was_given_up_of_nobody() -> None:
    assert optimism_line(searched(optimism=None).study) == ""


class LateBloomer(Plateaus):
    """Beside them, the one of the lowest rate is best in the very end."""

    def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
        for epoch in super().learn(candidate, context):
            late = candidate["rate"] < 0.003 and epoch.number == 9
            metrics = {"accuracy": 0.99 + 0.001 * candidate["size"]} if late else epoch.metrics
            yield ToyEpoch(epoch.number, metrics, epoch.seconds)


def test_the_audit_finds_the_rule_wrong_where_it_is() -> None:
    result = simulate(
        LateBloomer(),
        TOY_OBJECTIVES,
        max_epochs=9,
        candidates=60,
        sampler="random",
        halving=None,
        optimism=Optimism(min_curves=1, audit_share=1.0),
    )
    audit = optimism_audit(result.study)
    assert audit.stopped == 0
    assert audit.wrong > 0
    assert "none let through" not in optimism_line(result.study)
