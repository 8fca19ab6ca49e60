"""What every executor must do: the simulator, and Ray Tune on a real Ray of two CPUs."""

from __future__ import annotations

import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import pytest
import ray
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from cluster.connect import Connection
from cluster.errors import ClusterError
from search.engine.conductor import Conductor, Plan
from search.engine.failures import FailurePolicy
from search.engine.goal import Goal
from search.engine.halving import ParetoHalving
from search.engine.worker_time import Outcome
from search.execution.replay import replay
from search.execution.tune_executor import run_on_tune
from search.problem import ProblemSpec
from search.reports.time_ledger import ledger_of
from search.study.creation import create_study
from search.study.order import Told, events
from search.study.records import Phase
from search.study.study import Study
from tests.toy import TOY_OBJECTIVES, ToyProblem, searched

optuna.logging.set_verbosity(optuna.logging.WARNING)

CPUS = 2
EPOCH_S = 0.02
HALVING = ParetoHalving()
BAD = {"fail": "large+nan+memory"}
Search = Callable[[dict[str, Any], Plan], Study]
"""(arguments of the toy problem, plan) -> the finished study."""


@pytest.fixture(scope="module", params=["simulator", pytest.param("ray", marks=pytest.mark.slow)])
def search(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Search:
    if request.param == "simulator":
        return lambda arguments, plan: searched(ToyProblem(**arguments), plan, workers=CPUS)
    connection: Connection = request.getfixturevalue("connected")
    return lambda arguments, plan: search_on_ray(
        connection, tmp_path_factory.mktemp("study"), arguments, plan
    )


def search_on_ray(
    connection: Connection, folder: Path, arguments: dict[str, Any], plan: Plan
) -> Study:
    """Search on Ray Tune; return the study as its journal tells it."""
    create_study(_storage(folder), "toy", TOY_OBJECTIVES)
    study = Study(_storage(folder), "toy", TOY_OBJECTIVES)
    conductor = Conductor(ToyProblem(**arguments), study, plan, checkpoints=folder / "trials")
    spec = ProblemSpec(path="tests.toy:ToyProblem", arguments=arguments)
    done = run_on_tune(conductor, spec, connection.capacity, folder=folder / "ray")
    assert done is not None
    conductor.conclude()
    conductor.close()
    return Study(_storage(folder), "toy", TOY_OBJECTIVES)


def _storage(folder: Path) -> JournalStorage:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return JournalStorage(JournalFileBackend(str(folder / "journal.log")))


@dataclass(frozen=True)
class Finished:
    """A search that came to its end."""

    study: Study
    plan: Plan

    @property
    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return self.study.storage.get_all_trials(self.study._study_id, deepcopy=False)


def require_repeatable(finished: Finished, **arguments: Any) -> None:
    found = replay(finished.study, ToyProblem(**arguments))
    assert found.difference is None, found.difference
    assert found.suggestions == len(finished.trials)


# An ordinary search -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def processes(search: Search, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the candidates of `halved` note who trains them."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def halved(search: Search, processes: Path) -> Finished:
    """Sixteen candidates with rungs at epochs 1 and 3 of 9, nobody spared."""
    plan = Plan(
        goal=Goal(candidates=16, max_epochs=9),
        sampler="random",
        halving=ParetoHalving(eta=3, min_results=1, finish_front=False),
    )
    return Finished(search({"processes": str(processes), "epoch_s": EPOCH_S}, plan), plan)


def test_the_asked_number_of_candidates_is_tried(halved: Finished) -> None:
    assert len(halved.study.records) == 16


def test_no_two_candidates_are_alike(halved: Finished) -> None:
    assert len({record.key for record in halved.study.records.values()}) == 16


def test_every_trial_is_finished_for_optuna_too(halved: Finished) -> None:
    assert len(halved.trials) == 16 + len(halved.study.rejections)
    assert all(trial.state.is_finished() for trial in halved.trials)


def test_curves_are_as_long_as_the_phase_says(halved: Finished) -> None:
    lengths = {Phase.DONE: {9}, Phase.STOPPED: {1, 3}}
    for record in halved.study.records.values():
        assert record.epochs in lengths[record.phase]
        assert [epoch.number for epoch in record.curve] == list(range(1, record.epochs + 1))


def test_one_in_eta_leaves_each_rung(halved: Finished) -> None:
    epochs = [record.epochs for record in halved.study.records.values()]
    for rung in (1, 3):
        reached = sum(epoch >= rung for epoch in epochs)
        left = sum(epoch > rung for epoch in epochs)
        assert left == reached // 3
    assert Phase.DONE in {record.phase for record in halved.study.records.values()}


def test_a_candidate_learns_the_same_wherever_it_is_run(halved: Finished) -> None:
    """How far halving lets it go depends on who came first, what it learns does not."""
    simulated = searched(ToyProblem(epoch_s=EPOCH_S), halved.plan, workers=CPUS)
    expected = {record.key: record.curve for record in simulated.records.values()}
    assert {record.key for record in halved.study.records.values()} == set(expected)
    for record in halved.study.records.values():
        both = min(record.epochs, len(expected[record.key]))
        assert record.curve[:both] == expected[record.key][:both]


def test_every_decision_comes_out_the_same_again(halved: Finished) -> None:
    """Though results came in as fast as processes were."""
    require_repeatable(halved, epoch_s=EPOCH_S)


# A search in which the sampler says who is promoted ----------------------------------------------


@pytest.fixture(scope="module")
def advised(search: Search) -> Finished:
    plan = Plan(
        goal=Goal(candidates=14, max_epochs=9), sampler="front", startup=5, halving=ParetoHalving()
    )
    return Finished(search({}, plan), plan)


def test_promotions_go_on_from_the_rung_where_candidates_paused(advised: Finished) -> None:
    records = advised.study.records.values()
    assert len(records) == 14
    for record in records:
        assert record.epochs in ({9} if record.phase is Phase.DONE else {1, 3})
        assert [epoch.number for epoch in record.curve] == list(range(1, record.epochs + 1))
    assert Phase.DONE in {record.phase for record in records}
    assert max(record.attempt for record in records) > 1


def test_nothing_that_was_proposed_had_to_be_turned_down(advised: Finished) -> None:
    assert not advised.study.rejections
    assert all(trial.state.is_finished() for trial in advised.trials)


def test_promotions_that_are_advised_come_out_the_same_again(advised: Finished) -> None:
    require_repeatable(advised)


# The order of things ----------------------------------------------------------------------------


def test_epochs_of_a_candidate_are_told_one_after_the_other(halved: Finished) -> None:
    told: dict[int, list[int]] = defaultdict(list)
    for event in events(halved.study):
        if isinstance(event, Told):
            assert event.verdict is not None
            told[event.number] += [epoch.number for epoch in event.epochs]
    for number, record in halved.study.records.items():
        assert told[number] == list(range(1, record.epochs + 1))


def test_a_search_ends_when_its_epochs_are_spent(search: Search) -> None:
    plan = Plan(goal=Goal(max_epochs=9, budget_epochs=12), sampler="random", halving=HALVING)
    finished = Finished(search({}, plan), plan)
    records = finished.study.records.values()
    assert 12 <= sum(record.epochs for record in records) < 12 + CPUS
    assert {record.phase for record in records} <= {Phase.DONE, Phase.STOPPED}
    assert all(trial.state.is_finished() for trial in finished.trials)


# What it costs ----------------------------------------------------------------------------------


def test_every_second_of_a_worker_is_on_the_ledger(halved: Finished) -> None:
    found, spent = ledger_of(halved.study), halved.study.spent
    learned_s = sum(record.seconds for record in halved.study.records.values())
    columns = (Outcome.FRONT, Outcome.DOMINATED, Outcome.STOPPED)
    assert sum(found.worker_s[column] for column in columns) == pytest.approx(learned_s)
    assert found.worker_s[Outcome.LOST] == found.worker_s[Outcome.FAILED] == 0
    assert found.total_worker_s == pytest.approx(spent.worker_s)
    assert learned_s <= spent.worker_s + 1e-4
    assert spent.worker_s <= CPUS * spent.search_s + 1e-4
    assert found.total_gpu_s == 0


def test_a_search_ends_when_its_worker_hours_are_spent(search: Search) -> None:
    limit_s = 2.0
    goal = Goal(max_epochs=9, worker_hours=limit_s / 3600)
    plan = Plan(goal=goal, sampler="random")
    finished = Finished(search({"epoch_s": 0.1}, plan), plan)
    records = finished.study.records.values()
    assert finished.study.spent.worker_s >= limit_s
    late = [h for record in records for h in record.hearings if h.spent.worker_s >= limit_s]
    assert len(late) <= CPUS  # what ran then was paused at its next epoch
    assert {record.phase for record in records} <= {Phase.DONE, Phase.STOPPED}
    assert all(trial.state.is_finished() for trial in finished.trials)


# Failures ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def troubled(search: Search) -> Finished:
    """Candidates above size 100 raise, the others run out of memory in their second epoch.

    Of these, those up to 10 then report an accuracy that is no number.
    """
    plan = Plan(
        goal=Goal(candidates=10, max_epochs=3),
        sampler="random",
        failure_policy=FailurePolicy(max_bugs_in_a_row=100),
    )
    return Finished(search(BAD, plan), plan)


def test_failures_are_recorded_with_their_cause(troubled: Finished) -> None:
    causes = set()
    for record in troubled.study.records.values():
        found = (record.failure.cause, record.failure.message) if record.failure else None
        if record.params["size"] > 100:
            assert found == ("bug", "ZeroDivisionError: the toy divides by zero")
            assert record.epochs == 0
        elif record.params["size"] <= 10:
            assert found == ("non-finite loss", "metric 'accuracy' is nan, not a finite number")
            assert record.epochs == 1
        else:
            assert found is None
        causes.add(found)
    assert len(causes) == 3


def test_the_search_goes_on_after_failures(troubled: Finished) -> None:
    assert len(troubled.study.records) == 10
    for record in troubled.study.records.values():
        assert record.phase is (Phase.FAILED if record.failure else Phase.DONE)
    assert all(trial.state.is_finished() for trial in troubled.trials)


def test_the_time_of_failed_candidates_is_on_the_ledger(troubled: Finished) -> None:
    found = ledger_of(troubled.study)
    assert found.worker_s[Outcome.FAILED] > 0
    assert found.total_worker_s == pytest.approx(troubled.study.spent.worker_s)


def test_a_candidate_that_runs_out_of_memory_goes_on_with_batches_in_parts(
    troubled: Finished,
) -> None:
    records = troubled.study.records.values()
    assert [record for record in records if record.phase is Phase.DONE]
    for record in records:
        if record.params["size"] > 100:
            assert (record.batch_parts, record.setbacks) == (1, ())
            continue
        assert record.batch_parts == 2
        assert record.epochs == (3 if record.phase is Phase.DONE else 1)
        (setback,) = record.setbacks
        assert (setback.cause, setback.attempt) == ("out of memory", 1)
        assert setback.message == "MemoryError: the toy needs more memory"


def test_what_follows_from_failures_comes_out_the_same_again(troubled: Finished) -> None:
    require_repeatable(troubled, **BAD)


# Learning that ends of its own accord ------------------------------------------------------------


@pytest.fixture(scope="module")
def exhausted(search: Search) -> Finished:
    """A space of three candidates, which learn for three epochs though nine are allowed."""
    plan = Plan(
        goal=Goal(candidates=10, max_epochs=9), sampler="random", halving=ParetoHalving(eta=5)
    )
    return Finished(search({"finite": 3, "ends_after": 3}, plan), plan)


def test_an_exhausted_space_ends_the_search(exhausted: Finished) -> None:
    records = exhausted.study.records.values()
    assert sorted(record.params["size"] for record in records) == [1, 2, 3]
    assert {record.phase for record in records} <= {Phase.DONE, Phase.STOPPED}


def test_a_candidate_whose_learning_ends_of_its_own_accord_is_done(exhausted: Finished) -> None:
    phases = Counter(record.phase for record in exhausted.study.records.values())
    assert phases[Phase.DONE] >= 1
    for record in exhausted.study.records.values():
        done = record.phase is Phase.DONE
        assert (record.epochs, record.ended) == ((3, True) if done else (1, False))
    assert all(trial.state.is_finished() for trial in exhausted.trials)


# Wide trials ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mixed(search: Search) -> Finished:
    """Narrow candidates, and between them, above size 30, some that take both CPUs.

    Of these, those above size 100 raise.
    """
    plan = Plan(goal=Goal(candidates=5, max_epochs=3), sampler="random", seed=7)
    return Finished(search({"wide_above": 30, "fail": "large"}, plan), plan)


def test_wide_and_narrow_trials_of_one_study_finish(mixed: Finished) -> None:
    workers = [record.resources.workers for record in mixed.study.records.values()]
    assert workers == [1, 1, 2, 2, 1]  # slots go to and fro
    for record in mixed.study.records.values():
        if record.params["size"] <= 100:
            assert (record.phase, record.epochs, record.attempt) == (Phase.DONE, 3, 1)


def test_what_the_ranks_of_a_wide_trial_raise_is_its_failure(mixed: Finished) -> None:
    wide = [r for r in mixed.study.records.values() if r.resources.workers == 2]
    assert {record.phase for record in wide} == {Phase.DONE, Phase.FAILED}
    for record in wide:
        if record.params["size"] > 100:
            assert record.failure is not None
            assert record.failure.message == "ZeroDivisionError: the toy divides by zero"


@pytest.mark.slow
@pytest.mark.parametrize("search", ["ray"], indirect=True)
def test_afterwards_all_of_rays_resources_are_free(mixed: Finished) -> None:
    deadline = time.monotonic() + 15
    while ray.available_resources().get("CPU") != CPUS:
        assert time.monotonic() < deadline, ray.available_resources()
        time.sleep(0.1)


def test_a_trial_larger_than_the_whole_cluster_ends_the_search_instead_of_waiting(
    search: Search,
) -> None:
    plan = Plan(goal=Goal(candidates=1, max_epochs=3), sampler="random")
    with pytest.raises(ClusterError, match=r"a trial of 3 workers x .* the cluster has 2 CPUs"):
        search({"wide_above": 0, "workers": 3}, plan)


@pytest.mark.slow
@pytest.mark.parametrize("search", ["ray"], indirect=True)
def test_every_slot_carries_trials_though_they_are_shorter_than_a_cold_start(
    halved: Finished, processes: Path
) -> None:
    trials = Counter(mark.name.split("-")[0] for mark in processes.iterdir())
    assert len(trials) == CPUS
    assert min(trials.values()) >= 3
