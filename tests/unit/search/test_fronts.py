"""The front of a study, as it is listed, exported and retrained."""

from __future__ import annotations

import json
from collections.abc import Sequence

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.storages import InMemoryStorage

from cluster.resources import Resources
from search.objectives import Objective
from search.reports.export_table import latency_table
from search.reports.front_table import front_table
from search.reports.progress import counted
from search.study.creation import create_study
from search.study.fronts import NO_FRONT, front_records, front_rows, most_accurate
from search.study.records import EpochResult, Failure, Phase
from search.study.stored import Proposal
from search.study.study import Study

optuna.logging.set_verbosity(optuna.logging.WARNING)

F1 = Objective("mean_f1", "max")
SIZE = Objective("parameters", "min", exact=True)


def study_of(objectives: Sequence[Objective] = (F1, SIZE)) -> Study:
    return create_study(InMemoryStorage(), "ecg", objectives)


def add(study: Study, size: int, *scores: float) -> int:
    """Add a candidate that trains with these scores, epoch after epoch."""
    number = study.add(
        Proposal(
            params={"size": size},
            distributions={"size": IntDistribution(1, 10_000)},
            candidate={"width": size},
            key=f"key-{size}",
            costs={"parameters": float(size)},
            resources=Resources(),
        )
    ).number
    study.begin_attempt(number)
    study.add_epochs(
        number,
        [
            EpochResult(number=n, metrics={"mean_f1": score, "loss": 1 - score}, seconds=0.25)
            for n, score in enumerate(scores, 1)
        ],
    )
    return number


@pytest.fixture
def study() -> Study:
    """Three on the front (sizes 10, 50, 900), two that are beaten."""
    study = study_of()
    for size, score in ((900, 0.9), (10, 0.3), (60, 0.5), (50, 0.6), (1000, 0.8)):
        study.complete(add(study, size, score))
    return study


def sizes(study: Study) -> list[int]:
    return [record.params["size"] for record in front_records(study)]


def test_a_study_without_results_has_no_front() -> None:
    study = study_of()
    assert front_records(study) == []
    add(study, 10)
    assert front_records(study) == []
    assert front_rows(study) == []


def test_the_front_is_listed_smallest_first(study: Study) -> None:
    assert sizes(study) == [10, 50, 900]


def test_results_count_as_they_stand_at_the_last_epoch() -> None:
    study = study_of()
    add(study, 10, 0.9, 0.1)
    add(study, 20, 0.2, 0.5)
    add(study, 30, 0.4)
    assert sizes(study) == [10, 20]


def test_a_candidate_that_keeps_an_earlier_epochs_model_counts_with_that_epoch() -> None:
    study = study_of()
    add(study, 20, 0.5)
    stopping_early = add(study, 10, 0.9)
    worse = {"mean_f1": 0.1, "loss": 0.9}
    study.add_epochs(
        stopping_early, [EpochResult(number=2, metrics=worse, seconds=0.25, final=True, kept=1)]
    )
    study.complete(stopping_early)
    assert sizes(study) == [10]
    assert front_rows(study)[0]["metrics"]["mean_f1"] == 0.9


def test_a_stopped_candidate_counts_with_what_it_reached(study: Study) -> None:
    stopped = add(study, 20, 0.5)
    study.stop(stopped)
    assert sizes(study) == [10, 20, 50, 900]
    assert [row["phase"] for row in front_rows(study)] == ["done", "stopped", "done", "done"]


def test_a_failed_candidate_does_not_count(study: Study) -> None:
    study.fail(add(study, 1, 0.99), Failure(cause="bug", message="KeyError"))
    assert sizes(study) == [10, 50, 900]


def test_equal_candidates_are_all_on_the_front(study: Study) -> None:
    twin = add(study, 10, 0.3)
    assert sizes(study) == [10, 10, 50, 900]
    assert twin in {record.number for record in front_records(study)}


def test_a_front_without_exact_objectives_is_sorted_by_what_is_learned() -> None:
    study = study_of([F1, Objective("loss", "min")])
    add(study, 10, 0.3)
    add(study, 20, 0.6)
    assert sizes(study) == [20]


def test_rows_can_be_written_as_json_and_hold_what_a_model_zoo_needs(study: Study) -> None:
    rows = json.loads(json.dumps(front_rows(study)))
    assert rows[0] == {
        "trial": 1,
        "key": "key-10",
        "parameters": 10.0,
        "metrics": {"mean_f1": 0.3, "loss": 0.7},
        "epochs": 1,
        "seconds": 0.25,
        "phase": Phase.DONE.value,
        "config": {"width": 10},
    }


def test_the_tables_last_line_counts_failures_and_tries_that_were_repeated(study: Study) -> None:
    def failure(cause: str) -> Failure:
        return Failure(cause=cause, message="...", attempt=1)

    number = add(study, 70, 0.1)
    study.note_setback(number, failure("lost worker"))
    study.note_setback(number, failure("out of memory"))
    study.note_setback(number, failure("lost worker"))
    study.fail(number, failure("bug"))
    assert (
        front_table(study)
        .splitlines()[-1]
        .endswith("; failed: 1 x bug; tried again: 2 x lost worker, 1 x out of memory")
    )


def test_without_a_front_the_table_says_what_became_of_the_candidates() -> None:
    study = study_of()
    assert front_table(study).splitlines()[-1].startswith("0 candidates tried, 0 proposals")
    study.fail(add(study, 10, 0.3), Failure(cause="bug", message="...", attempt=1))
    first, *_, last = front_table(study).splitlines()
    assert first == f"the front is empty: {NO_FRONT}"
    assert last.startswith("1 candidate tried (1 failed), 0 proposals turned down")
    assert "; 1 epoch, " in last
    assert last.endswith("; failed: 1 x bug")


def test_the_most_accurate_come_first_whatever_their_size(study: Study) -> None:
    assert [record.params["size"] for record in most_accurate(study, 2)] == [900, 50]
    assert [record.params["size"] for record in most_accurate(study, 9)] == [900, 50, 10]


def test_most_accurate_follows_the_direction_of_the_objective() -> None:
    study = study_of([Objective("loss", "min"), SIZE])
    add(study, 10, 0.3)
    add(study, 20, 0.6)
    assert [record.params["size"] for record in most_accurate(study, 1)] == [20]


def test_a_front_that_failures_emptied_is_not_said_to_have_no_epochs() -> None:
    study = study_of()
    study.fail(add(study, 10, 0.3), Failure(cause="bug", message="...", attempt=1))
    assert not front_records(study)
    assert latency_table([]) == f"the front is empty: {NO_FRONT}"
    assert NO_FRONT.endswith("or all that did failed")


def test_one_candidate_is_not_counted_in_the_plural() -> None:
    assert counted(1, "epoch") == "1 epoch"
    assert counted(12, "epoch") == "12 epochs"
    assert counted(1, "candidate", "was", "were") == "1 candidate was"
    assert counted(0, "candidate", "was", "were") == "0 candidates were"
