"""The space that comes along: what it proposes by default, and laws of all it can propose."""

import dataclasses
import json
import pickle
from typing import Any

import optuna
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ecgmodels import build_model, cost
from ecgmodels.models.registry import FAMILIES, resolve
from spaces import Candidate, CandidateRefused, DataShape, SpaceError, baselines, efficientecg
from spaces.ecg import ECGSpace

TRAINING = {"epochs": 9, "batch_size": 64}
SEEDS = st.integers(0, 2**32 - 1)
# The space and the trials are as good as constants: nothing of one example is left in them.
LAWFUL = settings(
    deadline=None, max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def proposed(space: ECGSpace, trial: Any) -> Candidate | None:
    try:
        return space.suggest(trial)
    except CandidateRefused:
        return None


# By default -------------------------------------------------------------------------------------


def test_every_default_proposal_can_be_built_and_costed(shape: DataShape, random_trial) -> None:
    space = ECGSpace(shape, TRAINING)
    for seed in range(1000):
        costs = cost(space.suggest(random_trial(seed)).model)
        assert costs["parameters"] > 0
        assert costs["macs"] > 0


def test_no_more_than_thirteen_parameters_are_searched(shape: DataShape, random_trial) -> None:
    asked: set[str] = set()
    for seed in range(300):
        trial = random_trial(seed)
        ECGSpace(shape, TRAINING).suggest(trial)
        asked |= set(trial.asked)
    assert asked == {
        *("base", "phi", "alpha", "beta", "kernel_scale", "dropout", "drop_path"),
        *("fusion", "direction", "attention_width"),
        *("learning_rate", "weight_decay", "class_weighting"),
    }


def test_without_features_nothing_is_fused(featureless: DataShape, random_trial) -> None:
    space = ECGSpace(featureless, TRAINING)
    for seed in range(20):
        trial = random_trial(seed)
        assert space.suggest(trial).model.features == ()
        assert not {"fusion", "features", "direction"} & set(trial.asked)


def test_training_settings_are_shared_by_all(shape: DataShape, random_trial) -> None:
    training = ECGSpace(shape, {**TRAINING, "noise_uv": 12.0}).suggest(random_trial(0)).training
    assert (training.epochs, training.batch_size, training.noise_uv) == (9, 64, 12.0)


# Everything searched ----------------------------------------------------------------------------


def test_nothing_stays_fixed_when_all_is_opened(open_space: ECGSpace) -> None:
    assert [name for name, p in open_space.parameters.items() if p.fixed] == []


def test_every_parameter_is_asked_for_by_some_candidate(open_space, random_trial) -> None:
    asked: set[str] = set()
    for seed in range(1000):
        trial = random_trial(seed)
        proposed(open_space, trial)
        asked |= set(trial.asked)
    assert asked == set(open_space.parameters)


def test_most_proposals_can_be_built_though_all_is_searched(open_space, random_trial) -> None:
    refused = sum(proposed(open_space, random_trial(seed)) is None for seed in range(500))
    assert refused < 250


@LAWFUL
@given(seed=SEEDS)
def test_what_is_proposed_is_resolved_costed_and_goes_through_json(
    open_space: ECGSpace, random_trial, seed: int
) -> None:
    if (candidate := proposed(open_space, random_trial(seed))) is None:
        return
    costs = cost(candidate.model)
    assert costs["parameters"] > 0
    assert costs["macs"] > 0
    copy = Candidate.from_dict(json.loads(json.dumps(candidate.to_dict())))
    assert copy == candidate
    assert copy.key("data") == candidate.key("data")


@LAWFUL
@given(seed=SEEDS)
def test_the_same_answers_give_the_same_candidate(
    open_space: ECGSpace, random_trial, seed: int
) -> None:
    trial = random_trial(seed)
    candidate = proposed(open_space, trial)
    if candidate is not None:
        again = open_space.suggest(optuna.trial.FixedTrial(trial.asked))
        assert again == candidate


@LAWFUL
@given(seed=SEEDS, data=st.data())
def test_equal_plans_and_equal_keys_go_together(
    open_space: ECGSpace, random_trial, seed: int, data: st.DataObject
) -> None:
    if (candidate := proposed(open_space, random_trial(seed))) is None:
        return
    names = [field.name for field in dataclasses.fields(candidate.model)]
    multipliers = [n for n in ("width", "depth", "resolution", "kernel_scale") if n in names]
    name = data.draw(st.sampled_from(multipliers))
    factor = data.draw(st.floats(0.9, 1.1))
    changed = {name: getattr(candidate.model, name) * factor}
    model = dataclasses.replace(candidate.model, **changed)
    other = dataclasses.replace(candidate, model=model)
    same_network = resolve(model).to_dict() == resolve(candidate.model).to_dict()
    assert (other.key("data") == candidate.key("data")) == same_network


@pytest.mark.parametrize(
    ("families", "count"),
    [(["efficientecg"], 70), ([name for name in FAMILIES if name != "efficientecg"], 30)],
    ids=["efficientecg", "baselines"],
)
def test_what_is_built_has_exactly_the_parameters_that_were_counted(
    shape: DataShape, open_ranges, random_trial, families: list[str], count: int
) -> None:
    import torch

    ours = families == ["efficientecg"]
    of_others = baselines.PARAMETERS if ours else efficientecg.PARAMETERS
    ranges = {name: value for name, value in open_ranges.items() if name not in of_others}
    if ours:
        ranges["phi"] = [-3.0, 0.5]  # the largest take seconds to build
    space = ECGSpace(shape, TRAINING, {**ranges, "model": families})
    built: list[str] = []
    for seed in range(4 * count):
        if (candidate := proposed(space, random_trial(seed))) is not None and len(built) < count:
            with torch.device("meta"):
                network = build_model(candidate.model)
            parameters = sum(parameter.numel() for parameter in network.parameters())
            assert parameters == cost(candidate.model)["parameters"], candidate.model
            built.append(candidate.model.model)
    assert len(built) == count
    assert set(built) == set(families)


# As a space ---------------------------------------------------------------------------------------


def test_optuna_proposes_from_it_and_replays_it(shape: DataShape) -> None:
    space = ECGSpace(shape, TRAINING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        trial = study.ask()
        candidate = space.suggest(trial)
        assert space.suggest(optuna.trial.FixedTrial(trial.params)) == candidate
        assert set(trial.params) <= set(space.parameters)


def test_a_space_travels_between_processes(open_space: ECGSpace, random_trial) -> None:
    copy = pickle.loads(pickle.dumps(open_space))
    assert copy == open_space
    assert proposed(copy, random_trial(5)) == proposed(open_space, random_trial(5))


def test_ranges_may_be_given_one_after_the_other(shape: DataShape) -> None:
    space = ECGSpace(shape, TRAINING).with_ranges({"phi": 1.0}).with_ranges({"base": "b0"})
    assert space.parameters["phi"].fixed
    assert space.parameters["base"].fixed


def test_a_space_is_frozen(shape: DataShape) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        ECGSpace(shape, TRAINING).training = {}  # type: ignore[misc]


def test_an_unknown_parameter_is_told_the_nearest(shape: DataShape) -> None:
    with pytest.raises(SpaceError, match=r"space\.ranges\.learning_rat: ") as caught:
        ECGSpace(shape, TRAINING, {"learning_rat": 1e-3})
    assert caught.value.hint == "did you mean 'learning_rate'?"
