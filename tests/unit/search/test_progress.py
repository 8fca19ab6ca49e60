"""Progress lines: what a terminal or a job's log shows of a search."""

from __future__ import annotations

import math
import re

import pytest

from cluster.resources import Resources
from search.engine.decisions import Verdict
from search.engine.goal import Goal
from search.engine.spending import Spending
from search.objectives import Objective
from search.reports.progress import ProgressLines, format_value
from search.study.records import CandidateRecord, EpochResult, Failure, Phase

TEN = Goal(candidates=10, max_epochs=9)
NOTHING = Spending()
OBJECTIVES = [Objective("mean_f1", "max"), Objective("log10_parameters", "min", exact=True)]


def record(number: int = 3, *, epochs: int = 2, **changes: object) -> CandidateRecord:
    values = {
        "number": number,
        "key": "key",
        "params": {},
        "candidate": {},
        "costs": {"parameters": 21_500.0},
        "resources": Resources(),
        "phase": Phase.PAUSED,
        "attempt": 1,
        "curve": tuple(
            EpochResult(number=n, metrics={"mean_f1": 0.25 * n}, seconds=1.0)
            for n in range(1, epochs + 1)
        ),
    }
    return CandidateRecord(**(values | changes))  # type: ignore[arg-type]


class Shown:
    """Progress lines of a study of ten candidates, and what they printed."""

    def __init__(
        self, *known: CandidateRecord, goal: Goal = TEN, spent: Spending = NOTHING
    ) -> None:
        self.lines: list[str] = []
        self.progress = ProgressLines(
            OBJECTIVES,
            goal=goal,
            known={record.number: record for record in known},
            spent=lambda: spent,
            show=self.lines.append,
        )


def test_a_cost_that_is_no_count_stands_behind_its_name() -> None:
    objectives = [*OBJECTIVES, Objective("latency_ms", "min", exact=True)]
    lines: list[str] = []
    measured = record(costs={"parameters": 21_500.0, "latency_ms": 0.0721})
    progress = ProgressLines(objectives, goal=TEN, known={}, spent=Spending, show=lines.append)
    progress.reported(measured, Verdict.PAUSE)
    assert "  21,500 parameters  latency_ms 0.0721  paused" in lines[0]


def test_a_candidate_that_rests_is_shown_with_its_objectives() -> None:
    shown = Shown(record(), record(4, phase=Phase.RUNNING), record(5, phase=Phase.DONE))
    shown.progress.reported(record(), Verdict.PAUSE)
    (line,) = shown.lines
    assert re.fullmatch(
        r" +\d+\.\d s  3/10 tried, 1 running, 1 done  trial 3    epoch 2/9  "
        r"mean_f1 0\.5000  21,500 parameters  paused",
        line,
    )


def test_a_candidate_that_is_done_is_shown() -> None:
    shown = Shown()
    shown.progress.reported(record(epochs=9), Verdict.STOP)
    assert shown.lines[0].endswith("  done")


def test_what_is_spent_of_each_limit_is_shown() -> None:
    goal = Goal(
        max_epochs=9, budget_epochs=1500, gpu_hours=2.5, worker_hours=10, hours=1, candidates=None
    )
    spent = Spending(search_s=900, worker_s=7200, gpu_s=3600)
    shown = Shown(record(), record(4, epochs=9), goal=goal, spent=spent)
    shown.progress.reported(record(), Verdict.PAUSE)
    assert "  2 tried, 0 running, 0 done, " in shown.lines[0]
    assert (
        ", 11/1,500 epochs, 1/2.5 GPU-hours, 2/10 worker-hours, 0.25/1 hours  trial 3"
        in shown.lines[0]
    )


def test_epochs_in_between_are_not_shown() -> None:
    shown = Shown()
    shown.progress.reported(record(), Verdict.CONTINUE)
    assert shown.lines == []


def test_a_failure_is_shown_with_cause_and_message() -> None:
    shown = Shown()
    failure = Failure(cause="out of memory", message="asked for 3 GiB")
    shown.progress.failed(record(), failure, retried=False)
    assert shown.lines[0].endswith("out of memory (asked for 3 GiB): failed")


def test_a_lost_worker_is_shown_as_going_on() -> None:
    shown = Shown()
    failure = Failure(cause="lost worker", message="a worker process died")
    shown.progress.failed(record(), failure, retried=True)
    assert shown.lines[0].endswith("goes on from its checkpoint")


def test_after_it_ran_out_of_memory_a_candidate_is_shown_with_the_parts_of_a_batch() -> None:
    shown = Shown()
    failure = Failure(cause="out of memory", message="asked for 3 GiB", attempt=1)
    shown.progress.failed(record(setbacks=(failure,)), failure, retried=True)
    assert shown.lines[0].endswith("goes on from its checkpoint, each batch in 2 parts")


def test_a_failure_before_the_first_epoch_has_no_result_to_show() -> None:
    shown = Shown()
    shown.progress.failed(record(epochs=0), Failure(cause="bug", message="KeyError"), retried=False)
    assert "epoch 0/9  mean_f1 -  21,500 parameters" in shown.lines[0]


def test_only_a_wide_candidate_is_announced_and_only_once() -> None:
    shown = Shown()
    wide = Resources(workers=2)
    shown.progress.started(record(epochs=0))
    shown.progress.started(record(epochs=0, resources=wide))
    shown.progress.started(record(epochs=3, resources=wide, attempt=2))
    assert [line[line.index("starts") :] for line in shown.lines] == [f"starts on {wide}"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (21_500.0, "21,500"),
        (1234.5, "1,234"),
        (999.0, "999"),
        (0.0, "0"),
        (1.0, "1"),
        (0.71236, "0.7124"),
        (-0.5, "-0.5000"),
        (math.nan, "nan"),
        (math.inf, "inf"),
    ],
)
def test_values_are_shown_as_counts_or_scores(value: float | None, text: str) -> None:
    assert format_value(value) == text
