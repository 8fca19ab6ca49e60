"""Training in a space: shared, fixed or searched, each only where it has an effect."""

import dataclasses
from typing import Any

import pytest

from ecgmodels.errors import ConfigError
from ecgmodels.training.config import TrainingConfig
from spaces import DataShape, SpaceError, training
from spaces.ecg import ECGSpace


def refused(shape: DataShape, shared: dict[str, Any], **ranges: Any) -> tuple[str, str]:
    with pytest.raises(ConfigError) as caught:
        ECGSpace(shape, {"epochs": 9, **shared}, ranges)
    return str(caught.value), caught.value.hint


def test_by_default_three_settings_are_searched_and_the_rest_is_as_ever(
    shape: DataShape, random_trial
) -> None:
    trained = ECGSpace(shape, {"epochs": 9}).suggest(random_trial(0)).training
    searched = {name: getattr(trained, name) for name in training.SEARCHED}
    assert trained == TrainingConfig(epochs=9, **searched)


@pytest.mark.parametrize("name", sorted(training.SEARCHABLE))
def test_every_other_setting_may_be_fixed_in_the_ranges(
    shape: DataShape, random_trial, name: str
) -> None:
    needs = {"focal_gamma": {"loss": "focal"}, "mains_hz": {"mains_hum_uv": 5.0}}
    values: dict[str, Any] = {"loss": "focal", "focal_gamma": 1.0, "mains_hz": 60.0}
    values |= {"ema_decay": 0.99, "gradient_clip": 1.0}
    value = values.get(name, 0.25)
    space = ECGSpace(shape, {"epochs": 9}, {name: value, **needs.get(name, {})})
    assert getattr(space.suggest(random_trial(0)).training, name) == value


def test_what_a_study_file_writes_none_for_is_none(shape: DataShape, random_trial) -> None:
    space = ECGSpace(shape, {"epochs": 9}, {"ema_decay": ["none", 0.99], "gradient_clip": "none"})
    drawn = [space.suggest(random_trial(seed)).training for seed in range(20)]
    assert {each.ema_decay for each in drawn} == {None, 0.99}
    assert {each.gradient_clip for each in drawn} == {None}


def test_gamma_is_asked_for_with_the_focal_loss_alone(shape: DataShape, random_trial) -> None:
    ranges = {"loss": ["cross_entropy", "focal"], "focal_gamma": [0.5, 5.0]}
    space = ECGSpace(shape, {"epochs": 9}, ranges)
    for seed in range(20):
        trial = random_trial(seed)
        focal = space.suggest(trial).training.loss == "focal"
        assert ("focal_gamma" in trial.asked) == focal


def test_gamma_may_be_searched_where_all_share_the_focal_loss(
    shape: DataShape, random_trial
) -> None:
    trial = random_trial(0)
    space = ECGSpace(shape, {"epochs": 9, "loss": "focal"}, {"focal_gamma": [0.5, 5.0]})
    assert space.suggest(trial).training.focal_gamma == trial.asked["focal_gamma"]


def test_a_setting_that_is_searched_by_default_cannot_be_shared(shape: DataShape) -> None:
    assert refused(shape, {"learning_rate": 1e-3}) == (
        "training.learning_rate is searched by the space",
        "to fix it, set learning_rate under [space.ranges] instead",
    )


def test_a_setting_is_shared_or_searched_not_both(shape: DataShape) -> None:
    assert refused(shape, {"noise_uv": 10.0}, noise_uv=[0.0, 30.0]) == (
        "training.noise_uv is fixed, and space.ranges.noise_uv asks to search it",
        "leave one of the two out",
    )


def test_an_unknown_training_setting_is_refused(shape: DataShape) -> None:
    assert refused(shape, {"batch": 3})[0] == "TrainingConfig has no field 'batch'"


def test_a_single_lead_is_never_dropped(featureless: DataShape) -> None:
    message, _ = refused(featureless, {}, lead_dropout=[0.0, 0.3])
    assert message.startswith("space.ranges.lead_dropout: lead_dropout 0.3 has no effect")
    assert refused(featureless, {"lead_dropout": 0.3})[0].startswith("lead_dropout 0.3 has no")


@pytest.mark.parametrize(
    ("shared", "searched"),
    [({}, {"mains_hum_uv": [0.0, 20.0]}), ({"mains_hum_uv": 20.0}, {})],
)
def test_every_frequency_of_the_mains_that_is_searched_must_fit_the_rate(
    shape: DataShape, shared: dict[str, Any], searched: dict[str, Any]
) -> None:
    slow = dataclasses.replace(shape, rate_hz=110.0)
    ECGSpace(slow, {"epochs": 9, **shared}, {**searched, "mains_hz": 50})
    with pytest.raises(SpaceError, match=r"^space\.ranges\.mains_hz: .*half the sampling rate"):
        ECGSpace(slow, {"epochs": 9, **shared}, {**searched, "mains_hz": [50, 60]})


def test_mains_above_half_the_rate_cannot_be_searched(shape: DataShape) -> None:
    slow = dataclasses.replace(shape, rate_hz=100.0)
    with pytest.raises(SpaceError, match=r"^space\.ranges\.mains_hum_uv: .*half the sampling rate"):
        ECGSpace(slow, {"epochs": 9}, {"mains_hum_uv": [0.0, 20.0]})
