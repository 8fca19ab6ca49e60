"""Which features an option stands for."""

import pytest

from ecgmodels.data.segmentation.features import FEATURES
from spaces import DataShape, SpaceError
from spaces.ecg import ECGSpace
from spaces.features import GROUPS, features_of

HELD = ("rr_previous_s", "age", "height", "rr_next_s", "p_wave", "sex")


def refused(shape: DataShape, features: object) -> tuple[str, str]:
    with pytest.raises(SpaceError) as caught:
        ECGSpace(shape, {"epochs": 9}, {"features": features})
    return str(caught.value), caught.value.hint


@pytest.mark.parametrize(
    ("option", "features"),
    [
        ("all", HELD),
        ("patient", ("age", "sex")),
        ("rhythm", ("rr_previous_s", "rr_next_s")),
        ("atrial", ("p_wave",)),
        ("causal", ("rr_previous_s", "age", "height", "sex")),
        ("height", ("height",)),
        ("sex+age", ("age", "sex")),
        ("patient+p_wave", ("age", "p_wave", "sex")),
        ("patient+age", ("age", "sex")),
    ],
)
def test_an_option_stands_for_features_in_the_datasets_order(
    option: str, features: tuple[str, ...]
) -> None:
    assert features_of(option, HELD) == features


def test_every_known_feature_is_in_one_group_by_what_it_tells() -> None:
    kinds = ("patient", "rhythm", "atrial")
    for feature in FEATURES:
        assert sum(GROUPS[kind](feature) for kind in kinds) == 1, feature


def test_the_groups_of_the_issue_name_what_they_should() -> None:
    def held(group: str) -> set[str]:
        return set(features_of(group, tuple(FEATURES)))

    assert held("patient") == {"age", "sex"}
    assert held("rhythm") >= {"rr_previous_s", "rr_next_s", "rr_ratio"}
    assert held("atrial") >= {"p_wave", "pr_interval_s"}
    assert held("causal") >= {"age", "sex", "rr_previous_s", "rr_ratio"}
    assert not held("causal") & {"rr_next_s", "p_wave", "pr_interval_s"}


def test_candidates_see_what_their_option_stands_for(shape: DataShape, random_trial) -> None:
    space = ECGSpace(shape, {"epochs": 9}, {"features": ["patient", "all"], "fusion": "concat"})
    for seed in range(20):
        trial = random_trial(seed)
        features = space.suggest(trial).model.features
        expected = {"patient": ("age", "sex"), "all": shape.features}
        assert features == expected[trial.asked["features"]]


def test_a_group_that_the_dataset_lacks_is_refused() -> None:
    no_p_wave = DataShape(leads=2, samples=128, classes=4, features=("age",), rate_hz=128.0)
    assert refused(no_p_wave, ["all", "age+atrial"]) == (
        "space.ranges.features: 'age+atrial': the dataset has none of the group 'atrial'",
        "it has age",
    )


def test_a_feature_that_the_dataset_lacks_is_refused(shape: DataShape) -> None:
    assert refused(shape, "age+rr_previous") == (
        "space.ranges.features: 'age+rr_previous': the dataset has no feature 'rr_previous'",
        "did you mean 'rr_previous_s'?",
    )


def test_two_words_for_the_same_features_are_refused(shape: DataShape) -> None:
    assert refused(shape, ["patient", "age+sex"]) == (
        "space.ranges.features: 'patient' and 'age+sex' are the same here: age, sex",
        "leave one of them out",
    )


def test_what_is_not_text_is_told_what_would_be(shape: DataShape) -> None:
    message, hint = refused(shape, [3])
    assert message == "space.ranges.features: 3 is not an option"
    assert hint.startswith("valid: all, causal, patient, rhythm, atrial, age, sex")
