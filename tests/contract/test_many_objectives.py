"""Three and four objectives at once, several of them learned, through every sampler."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping

import optuna
import pytest
from optuna.trial import TrialState

from search.engine.halving import ParetoHalving
from search.engine.pareto import dominates
from search.execution.simulator import SimulationResult, simulate
from search.objectives import LOG10_PREFIX, Objective, objective_vector
from search.problem import Context
from search.reports.front_table import front_table
from search.sampling.samplers import SAMPLERS
from search.study.fronts import front_records, front_rows, most_accurate
from tests.toy import ToyEpoch, ToyProblem

optuna.logging.set_verbosity(optuna.logging.WARNING)


class TwoScores(ToyProblem):
    """An accuracy that grows with size, and a sensitivity that falls with the rate."""

    def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
        size, rate = candidate["size"], candidate["rate"]
        return {"parameters": float(size), "macs": float(round(size**1.5 / rate))}

    def measured_costs(self) -> tuple[str, ...]:
        return ("latency_ms",)

    def measure(self, candidate: Mapping[str, float]) -> Mapping[str, float]:
        return {"latency_ms": 0.1 + 1e-6 * self.cost(candidate)["macs"]}

    def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
        for number in range(1, context.max_epochs + 1):
            learned = 1.0 - 0.5**number
            metrics = {
                "accuracy": learned * math.log(candidate["size"] + 1) / 8,
                "sensitivity": learned * (1.0 - 5.0 * candidate["rate"]),
            }
            yield ToyEpoch(number, metrics, 1.0)


LEARNED = [Objective("accuracy", "max"), Objective("sensitivity", "max")]
SIZE = Objective("log10_parameters", "min", exact=True)
MACS = Objective("log10_macs", "min", exact=True)
LATENCY = Objective("latency_ms", "min", exact=True)
SETS = {
    "two learned, one exact": (*LEARNED, SIZE),
    "one learned, one exact, one measured": (LEARNED[0], SIZE, LATENCY),
    "two learned, two exact": (*LEARNED, SIZE, MACS),
    "two learned, one exact, one measured": (*LEARNED, SIZE, LATENCY),
}

pytestmark = pytest.mark.parametrize("sampler", sorted(SAMPLERS))


@pytest.fixture(params=SETS.values(), ids=SETS.keys())
def objectives(request: pytest.FixtureRequest) -> tuple[Objective, ...]:
    return request.param


def search(objectives: tuple[Objective, ...], sampler: str) -> SimulationResult:
    return simulate(
        TwoScores(),
        objectives,
        max_epochs=9,
        candidates=7 if sampler == "gp" else 14,  # Optuna's takes most of a second a proposal
        workers=3,
        sampler=sampler,
        startup=4,
        halving=ParetoHalving(),
    )


searched = functools.cache(search)
"""The same for all tests, which leave it as it is."""


def test_a_search_ends_with_a_front(objectives: tuple[Objective, ...], sampler: str) -> None:
    result = searched(objectives, sampler)
    assert {trial.state for trial in result.trials} <= {"done", "stopped"}
    records = result.study.records.values()
    points = {r.number: objective_vector(objectives, r.metrics, r.costs) for r in records}
    members = {record.number for record in front_records(result.study)}
    for number, point in points.items():
        beaten = any(dominates(other, point) for other in points.values())
        assert (number in members) != beaten
        assert not (number in members and result.study.records[number].epochs < 9)


def test_it_is_the_same_again_with_a_seed(objectives: tuple[Objective, ...], sampler: str) -> None:
    again = search(objectives, sampler).study
    assert again.records == searched(objectives, sampler).study.records


def test_optuna_is_told_every_objective(objectives: tuple[Objective, ...], sampler: str) -> None:
    study = searched(objectives, sampler).study
    told = [t for t in study.storage.get_all_trials(0) if t.state is TrialState.COMPLETE]
    assert told
    for trial in told:
        record = study.records[trial.number]
        known = {**record.metrics, **record.costs}
        for objective, value in zip(objectives, trial.values, strict=True):
            name = objective.metric.removeprefix(LOG10_PREFIX)
            is_log = name != objective.metric
            assert value == pytest.approx(math.log10(known[name]) if is_log else known[name])


def test_the_front_is_tabled_with_every_objective(
    objectives: tuple[Objective, ...], sampler: str
) -> None:
    study = searched(objectives, sampler).study
    header = front_table(study).splitlines()[0].split()
    assert {o.metric.removeprefix(LOG10_PREFIX) for o in objectives} <= set(header)
    for row in front_rows(study):
        for objective in objectives:
            name = objective.metric.removeprefix(LOG10_PREFIX)
            assert name in row if objective.exact else name in row["metrics"]


def test_the_first_learned_objective_says_who_is_most_accurate(
    objectives: tuple[Objective, ...], sampler: str
) -> None:
    study = searched(objectives, sampler).study
    best = max(record.metrics["accuracy"] for record in front_records(study))
    (first,) = most_accurate(study, 1)
    assert first.metrics["accuracy"] == best


def test_the_volume_of_the_front_grows(objectives: tuple[Objective, ...], sampler: str) -> None:
    worst = {
        "accuracy": 0.0,
        "sensitivity": 0.0,
        "latency_ms": 50.0,
        "log10_parameters": 3.5,
        "log10_macs": 9.0,
    }
    trace = searched(objectives, sampler).hypervolume_trace([worst[o.metric] for o in objectives])
    volumes = [volume for _, volume in trace]
    assert volumes == sorted(volumes)
    assert volumes[-1] > 0
