"""A study's plan in lines for people."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cluster.resources import Capacity, NodeCapacity, Resources
from search.engine.conductor import Plan
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.planning.epoch_seconds import Pace, Timing
from search.planning.forecast import forecast
from search.planning.outline import Outline, Slots
from search.planning.study_plan import StudyPlan
from search.reports.plan_table import plan_table
from search.study_file.reading import StudyFile
from tests.integration.driver import toy_study
from tests.toy import TOY_OBJECTIVES, ToyProblem

NARROW, WIDE = Resources(), Resources(workers=2)


def timing(size: int, seconds: float) -> Timing:
    return Timing(
        costs={"parameters": float(size)}, resources=NARROW, seconds=seconds, epochs=2, start_s=3.0
    )


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> StudyPlan:
    path: Path = tmp_path_factory.mktemp("plan") / "toy.toml"
    path.write_text(toy_study("toy", candidates=6, epochs=9))
    problem = ToyProblem(wide_above=500)
    outline = Outline.of(problem, [], seed=0)
    capacity = Capacity((NodeCapacity(node_id="one", cpus=4),))
    slots = tuple(Slots.of(capacity, shape) for shape in (NARROW, WIDE))
    timings = (timing(4, 2.0), timing(16, 4.0), timing(64, 8.0))
    counts = {each.shape: each.count for each in slots}
    pace = Pace.of(timings, counts)
    return StudyPlan(
        study_file=StudyFile.from_toml(path),
        outline=outline,
        cluster="one node",
        slots=slots,
        timings=timings,
        probed=4,
        pace=pace,
        forecast=forecast(
            problem,
            TOY_OBJECTIVES,
            Plan(goal=Goal(max_epochs=9, candidates=6), halving=ParetoHalving()),
            outline=outline,
            pace=pace,
            capacity=capacity,
            slots=counts,
        ),
    )


def line(planned: StudyPlan, beginning: str) -> str:
    (found,) = (each for each in plan_table(planned).splitlines() if each.startswith(beginning))
    return found


def test_it_says_how_many_of_each_shape_there_are_at_a_time_and_why(planned: StudyPlan) -> None:
    told = plan_table(planned)
    assert "4 at a time, each 1 worker x (1 CPU): CPUs limit it" in told
    assert "2 at a time, each 2 workers x (1 CPU): CPUs limit it" in told


def test_it_says_what_was_timed_and_what_was_not(planned: StudyPlan) -> None:
    assert "of 3 of 4 candidates of the probe" in line(planned, "epochs")
    told = plan_table(planned)
    assert "beyond those below is a guess" in told
    assert "an epoch takes 1 s x parameters^0.50 on 1 worker x (1 CPU)" in told
    assert "on 2 workers x (1 CPU) none was timed: taken to be 1 s x parameters^0.50" in told
    known = dataclasses.replace(planned, probed=None)
    assert "of the 3 candidates that the study has trained" in line(known, "epochs")


def test_it_shows_the_cost_with_halving_in_full_and_the_share(planned: StudyPlan) -> None:
    rows = [each.split() for each in plan_table(planned).splitlines()]
    full = next(row for row in rows if row[:3] == ["all", "in", "full"])
    assert full[3:5] == ["6", "54"]
    halved = next(row for row in rows if row[:2] == ["with", "halving"])
    share = next(row for row in rows if row[:1] == ["share"])
    assert float(share[2]) == pytest.approx(float(halved[3]) / 54, abs=0.005)
    assert "made-up learning curves" in plan_table(planned)
    assert "GPU-hours" not in plan_table(planned)


def test_as_json_it_has_every_number(planned: StudyPlan) -> None:
    values = json.loads(json.dumps(planned.to_dict()))
    assert values["space"]["within_bounds"] == planned.outline.within
    assert [each["at_a_time"] for each in values["trials"]] == [4, 2]
    assert len(values["timings"]) == 3
    assert values["seconds_per_epoch"]["models"][0]["model"]["power"] == pytest.approx(0.5)
    assert {each["epochs"] for each in values["cost"]["in_full"]} == {54}
