"""Options that the dataset, or no other option, goes with."""

import dataclasses
from typing import Any

import pytest

from spaces import CandidateRefused, DataShape, SpaceError
from spaces.ecg import ECGSpace


def refused(shape: DataShape, **ranges: Any) -> tuple[str, str]:
    with pytest.raises(SpaceError) as caught:
        ECGSpace(shape, {"epochs": 9}, ranges)
    return str(caught.value), caught.value.hint


def test_ranges_without_any_gamma_of_one_are_refused(shape: DataShape) -> None:
    message, _ = refused(shape, alpha=[1.8, 2.0], beta=[1.3, 1.4])
    assert message == "space.ranges: alpha from 1.8 and beta from 1.3 leave gamma below 1"


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        (
            {"fusion": "stage6"},
            "fusion: 'stage6' cannot be built: there is no 'stage6' in base 'tiny'",
        ),
        (
            {"fusion": ["head", "stem+stage3"], "stages": [1, 2]},
            "fusion: 'stem+stage3' cannot be built: there is no 'stage3' in the first 1 stages of "
            "base 'tiny'",
        ),
        (
            {"leads_fused": "stage2", "fusion": ["stem", "head"]},
            "fusion: 'stem' cannot be built: 'stem' lies before 'stage2', where leads become one",
        ),
        (
            {"leads_fused": ["input", "stage5"]},
            "leads_fused: 'stage5' cannot be built: there is no 'stage5' in base 'tiny'",
        ),
        (
            {"stages": [3, 5]},
            "stages: 5 cannot be built: base 'tiny' has no 5 stages",
        ),
        (
            {"base": ["tiny", "b0"], "fusion": "stage6"},
            "base: 'tiny' cannot be built: there is no 'stage6' in base 'tiny'",
        ),
    ],
)
def test_an_option_that_nothing_goes_with_is_refused(
    shape: DataShape, ranges: dict[str, Any], message: str
) -> None:
    assert refused(shape, **ranges)[0] == f"space.ranges.{message}"


def test_an_option_that_something_goes_with_is_searched(shape: DataShape, random_trial) -> None:
    ranges = {"base": ["tiny", "b0"], "fusion": ["head", "stage6"]}
    space = ECGSpace(shape, {"epochs": 9}, ranges)
    for seed in range(50):
        trial = random_trial(seed)
        try:
            space.suggest(trial)
            refused_here = False
        except CandidateRefused:
            refused_here = True
        asked = trial.asked
        assert refused_here == (asked["base"] == "tiny" and asked["fusion"] == "stage6")


def test_a_stage_of_a_longer_base_is_there_for_that_base(shape: DataShape) -> None:
    space = ECGSpace(shape, {"epochs": 9}, {"fusion": "stage6", "base": "b0"})
    assert space.parameters["fusion"].fixed


def test_fusion_of_features_the_dataset_lacks_is_refused(featureless: DataShape) -> None:
    assert refused(featureless, fusion=["none", "head"]) == (
        "space.ranges.fusion: 'head' needs features, and the dataset has none",
        "prepare the dataset with features, or leave fusion out",
    )
    message, _ = refused(featureless, model="cnn_lstm", baseline_fusion="concat")
    assert (
        message == "space.ranges.baseline_fusion: 'concat' needs features, and the dataset has none"
    )


def test_a_single_lead_is_not_fused_with_others(featureless: DataShape) -> None:
    assert refused(featureless, leads_fused=["input", "stem"]) == (
        "space.ranges.leads_fused: 'stem' needs several leads, the dataset has one",
        "leave leads_fused out",
    )


def test_crops_have_no_median_beat(shape: DataShape) -> None:
    crops = dataclasses.replace(shape, aligned=False)
    message, hint = refused(crops, template=[False, True])
    assert message.startswith("space.ranges.template: a median beat needs windows around beats")
    assert hint == "leave template out, or prepare the dataset with windows around beats"
