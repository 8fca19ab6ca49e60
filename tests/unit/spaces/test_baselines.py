"""Baseline families in a space: at their published size, or over ranges of their own."""

from typing import Any

import pytest

from ecgmodels import cost
from ecgmodels.models.registry import FAMILIES
from spaces import DataShape, baselines
from spaces.ecg import ECGSpace

TRAINING = {"epochs": 9}


def space(shape: DataShape, **ranges: Any) -> ECGSpace:
    return ECGSpace(shape, TRAINING, ranges)


@pytest.mark.parametrize("family", baselines.FAMILY_NAMES)
def test_a_baseline_is_as_published_unless_ranges_are_given(
    shape: DataShape, random_trial, family: str
) -> None:
    trial = random_trial(0)
    model = space(shape, model=family).suggest(trial).model
    assert model == FAMILIES[family].config(leads=2, samples=256, classes=4)
    assert set(trial.asked) == {"learning_rate", "weight_decay", "class_weighting"}


@pytest.mark.parametrize("family", baselines.FAMILY_NAMES)
def test_a_range_of_widths_gives_networks_of_many_sizes(
    shape: DataShape, random_trial, family: str
) -> None:
    wide = space(shape, model=family, baseline_width=[0.1, 1.0])
    sizes = [cost(wide.suggest(random_trial(seed)).model)["parameters"] for seed in range(30)]
    assert max(sizes) > 5 * min(sizes)


def test_every_family_may_stand_on_one_front(shape: DataShape, random_trial) -> None:
    every = space(shape, model=list(FAMILIES))
    drawn = {every.suggest(random_trial(seed)).model.model for seed in range(100)}
    assert drawn == set(FAMILIES)


def test_a_baseline_is_asked_for_nothing_that_it_lacks(shape: DataShape, random_trial) -> None:
    both = space(shape, model=["cnn_lstm", "resnet1d18"], baseline_depth=[0.5, 2.0])
    for seed in range(20):
        trial = random_trial(seed)
        model = both.suggest(trial).model
        assert ("baseline_depth" in trial.asked) == (model.model == "resnet1d18")
        assert "phi" not in trial.asked


def test_a_baseline_sees_features_where_they_are_concatenated(
    shape: DataShape, random_trial
) -> None:
    ranges = {"baseline_fusion": ["none", "concat"], "features": ["patient", "rhythm"]}
    seen = set()
    for seed in range(20):
        trial = random_trial(seed)
        model = space(shape, model="resnet1d18", **ranges).suggest(trial).model
        assert ("features" in trial.asked) == (model.fusion == "concat") == bool(model.features)
        seen.add(model.features)
    assert seen == {(), ("age", "sex"), ("rr_previous_s", "rr_next_s", "rr_ratio")}


def test_dropout_is_the_publications_or_a_number(shape: DataShape, random_trial) -> None:
    published = FAMILIES["xresnet1d101"].config(leads=2, samples=256, classes=4).dropout
    drawn = {
        space(shape, model="xresnet1d101", baseline_dropout=["published", 0.1])
        .suggest(random_trial(seed))
        .model.dropout
        for seed in range(20)
    }
    assert drawn == {published, 0.1}


def test_a_baseline_may_see_the_median_beat(shape: DataShape, random_trial) -> None:
    model = space(shape, model="inception1d", template=True).suggest(random_trial(0)).model
    assert model.in_channels == 4
