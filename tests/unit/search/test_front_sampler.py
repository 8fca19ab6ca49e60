"""The sampler of our own: what it chooses, and that all it knows is in the study."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import optuna
import pytest
from optuna.storages import InMemoryStorage

from search.engine.halving import ParetoHalving
from search.execution.simulator import SimulationResult, simulate
from search.objectives import Bound, Objective
from search.problem import Context
from search.sampling.agenda import Step
from search.sampling.foreknowledge import Foreknowledge
from search.sampling.front_sampler import Choice, FrontSampler, Promotion
from search.sampling.proposer import Proposer
from search.study.creation import create_study
from search.study.records import EpochResult, Failure, Phase
from search.study.study import AGENDA_NOTE, SCALES_NOTE, Study
from tests.toy import TOY_OBJECTIVES, ToyEpoch, ToyProblem

optuna.logging.set_verbosity(optuna.logging.WARNING)

LOG = [Objective("accuracy", "max"), Objective("log10_parameters", "min", exact=True)]
RUNGS, MAX_EPOCHS = (1, 3), 9


class Cliff(ToyProblem):
    """Above a rate of 0.03 there is no accuracy."""

    def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
        for epoch in super().learn(candidate, context):
            fails = candidate["rate"] > 0.03
            metrics = {"accuracy": math.nan} if fails else epoch.metrics
            yield ToyEpoch(epoch.number, metrics, epoch.seconds)


def proposer(study: Study, **changes: Any) -> Proposer:
    options: dict[str, Any] = {
        "sampler": "front",
        "startup": 5,
        "seed": 0,
        "rungs": RUNGS,
        "max_epochs": MAX_EPOCHS,
    }
    return Proposer(ToyProblem(), study, **(options | changes))


def sampler_of(study: Study, startup: int = 5) -> FrontSampler:
    return FrontSampler(
        ToyProblem(),
        study,
        bounds=(),
        rungs=RUNGS,
        max_epochs=MAX_EPOCHS,
        startup=startup,
        foreknowledge=Foreknowledge(ToyProblem(), TOY_OBJECTIVES, ()),
    )


def searched(count: int, epochs: int = 1, **changes: Any) -> Study:
    """Propose so many candidates, each trained for some epochs and paused."""
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    propose = proposer(study, **changes)
    for _ in range(count):
        propose()
        train(study, max(study.records), epochs)
    return study


def train(study: Study, number: int, epochs: int) -> None:
    study.begin_attempt(number)
    context = Context(seed=0, max_epochs=epochs)
    for epoch in ToyProblem().learn(study.records[number].candidate, context):
        result = EpochResult(number=epoch.number, metrics=epoch.metrics, seconds=epoch.seconds)
        study.add_epochs(number, [result])
    study.pause(number)


def chosen(study: Study, seed: int = 7) -> Choice:
    found = sampler_of(study).decide(seed, {r.key for r in study.records.values()}, ())
    assert isinstance(found, Choice)
    return found


def test_the_first_ones_are_far_from_each_other() -> None:
    sizes = sorted(math.log10(r.costs["parameters"]) for r in searched(5).records.values())
    assert sizes[0] < 0.7
    assert sizes[-1] > 2.3


def test_nothing_is_turned_down_by_bounds_or_known_already() -> None:
    study = searched(20, bounds=[Bound("parameters", max=13)])
    assert len(study.records) == 20
    assert not study.rejections
    assert all(record.costs["parameters"] <= 13 for record in study.records.values())
    assert len({record.key for record in study.records.values()}) == 20


def test_a_choice_depends_on_the_study_and_the_seed_alone() -> None:
    study = searched(12)
    assert chosen(study).draft.key == chosen(study).draft.key
    assert chosen(study).draft.key != chosen(study, seed=8).draft.key


def test_scales_are_found_again_by_whoever_goes_on() -> None:
    told = []
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    for _ in range(12):
        proposer(study)()  # each a fresh one: it knows what is in the study
        train(study, max(study.records), 1)
        noted = study.note(SCALES_NOTE)
        told.append(noted["results"] if noted else 0)
    assert told[-1] > 0
    assert 1 < len(set(told)) < 12, "fitted now and then, not every time"
    assert set(study.note(SCALES_NOTE)["scales"]) == {"accuracy"}


def test_many_candidates_are_decided_several_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    study = searched(20)
    monkeypatch.setattr("search.sampling.front_sampler._AT_ONCE", 0.25)
    keys = {record.key for record in study.records.values()}
    first = chosen(study)
    planned = [Step.from_dict(values) for values in study.note(AGENDA_NOTE)]
    assert len(planned) == 5
    assert planned[0].params == first.draft.params
    # Another process finds the agenda, and leaves out what has been done.
    going_on = sampler_of(study)
    second = going_on.decide(99, keys | {first.draft.key}, ())
    assert isinstance(second, Choice)
    assert second.draft.params == planned[1].params
    third = sampler_of(study).decide(99, keys | {first.draft.key, second.draft.key}, ())
    assert isinstance(third, Choice)
    assert third.draft.params == planned[2].params
    sizes = {c.draft.costs["parameters"] for c in (first, second, third)}
    assert len(sizes) > 1, "what is decided is counted on by what comes after"


def test_it_goes_where_rates_are_good() -> None:
    study = searched(30)
    later = [abs(math.log10(study.records[n].params["rate"]) + 2) for n in range(20, 30)]
    assert sum(later) / len(later) < 0.4  # by chance it is 0.5


def test_a_paused_candidate_that_has_more_in_it_than_anything_new_is_promoted() -> None:
    study = searched(25)
    best = max(
        study.records.values(),
        key=lambda r: r.metrics["accuracy"] - 0.1 * math.log10(r.costs["parameters"]),
    )
    found = sampler_of(study).decide(0, {r.key for r in study.records.values()}, [best.number])
    assert found == Promotion(number=best.number)


def test_what_a_smaller_one_has_beaten_is_not_promoted() -> None:
    study = searched(25)
    small, large = (
        study.add(_proposal(study, size=size, rate=rate)) for size, rate in ((20, 0.01), (25, 0.1))
    )
    train(study, small.number, MAX_EPOCHS)
    train(study, large.number, 3)
    found = sampler_of(study).decide(0, {r.key for r in study.records.values()}, [large.number])
    assert isinstance(found, Choice)


def _proposal(study: Study, **params: Any) -> Any:
    from search.problem import candidate_key
    from search.study.stored import Proposal

    template = study.template(min(study.records))
    return Proposal(
        params=params,
        distributions=template.distributions,
        candidate=params,
        key=candidate_key(ToyProblem(), params),
        costs={"parameters": float(params["size"])},
        resources=study.records[0].resources,
    )


def test_candidates_that_failed_are_a_reason_to_look_elsewhere() -> None:
    result = simulate(Cliff(), LOG, max_epochs=9, budget_epochs=150, seed=0)
    by_chance = simulate(Cliff(), LOG, max_epochs=9, budget_epochs=150, sampler="random")
    assert failed_share(result) < 0.75 * failed_share(by_chance)


def failed_share(result: SimulationResult) -> float:
    return sum(t.state == Phase.FAILED for t in result.trials) / len(result.trials)


def test_while_everything_fails_it_goes_on_by_chance() -> None:
    study = create_study(InMemoryStorage(), "toy", TOY_OBJECTIVES)
    propose = proposer(study, startup=2)
    for number in range(6):
        propose()
        study.fail(number, Failure(cause="bug", message="KeyError"))
    assert len({record.key for record in study.records.values()}) == 6


def test_those_that_are_running_are_counted_with() -> None:
    """Eight at once are not the same candidate eight times."""
    study = searched(15)
    propose = proposer(study)
    for _ in range(8):
        propose()
    running = [math.log10(study.records[n].costs["parameters"]) for n in range(15, 23)]
    assert max(running) - min(running) > 0.5


@pytest.mark.parametrize(
    "objectives",
    [
        [*LOG, Objective("twice", "min", exact=True)],
        [Objective("accuracy", "max"), Objective("other", "max"), LOG[1]],
        [Objective("accuracy", "max")],
    ],
)
def test_any_number_of_objectives_can_be_searched(objectives: list[Objective]) -> None:
    class Several(ToyProblem):
        def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
            return {**super().cost(candidate), "twice": 2.0 * candidate["size"] * candidate["rate"]}

        def learn(self, candidate: Mapping[str, float], context: Context) -> Iterator[ToyEpoch]:
            for epoch in super().learn(candidate, context):
                other = epoch.metrics["accuracy"] - candidate["rate"]
                yield ToyEpoch(epoch.number, {**epoch.metrics, "other": other}, epoch.seconds)

    result = simulate(
        Several(), objectives, max_epochs=9, budget_epochs=60, halving=ParetoHalving(), startup=6
    )
    assert len(result.trials) > 6
    assert result.front()


def test_bounds_that_chance_hardly_meets_are_reached() -> None:
    """Of the cube, one in six thousand has a product above 0.9."""

    class Corner(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            sides = [trial.suggest_float(name, 0.0, 1.0) for name in "abc"]
            return {"size": 1000.0 * math.prod(sides), "rate": 0.01}

    bounds = [Bound("parameters", min=900)]
    found = simulate(Corner(), LOG, max_epochs=9, candidates=12, startup=4, bounds=bounds)
    assert len(found.trials) == 12
    assert all(trial.costs["parameters"] >= 900 for trial in found.trials)
