"""The EfficientECG space: all it proposes can be built, over the sizes it promises."""

import dataclasses
import pickle
from typing import Any

import optuna
import pytest

from ecgmodels import cost
from ecgmodels.errors import ConfigError
from ecgmodels.models.efficientecg.config import BASES
from spaces import CandidateRefused, DataShape, SpaceError
from spaces.efficientecg import EfficientECGSpace

TRAINING = {"epochs": 9, "batch_size": 64}


def refused(shape: DataShape, **ranges: Any) -> tuple[str, str]:
    with pytest.raises(SpaceError) as caught:
        EfficientECGSpace(shape, TRAINING).with_ranges(ranges)
    return str(caught.value), caught.value.hint


def test_every_default_proposal_can_be_built_and_costed(shape: DataShape, random_trial) -> None:
    space = EfficientECGSpace(shape, TRAINING)
    for seed in range(1000):
        candidate = space.suggest(random_trial(seed))
        costs = cost(candidate.model)
        assert costs["parameters"] > 0
        assert costs["macs"] > 0
        assert candidate.model.resolution > 0


def test_sizes_reach_from_five_thousand_to_a_million_parameters(
    shape: DataShape, random_trial
) -> None:
    space = EfficientECGSpace(shape, TRAINING)

    def parameters(**ranges: Any) -> int:
        fixed = space.with_ranges({"alpha": 1.3, "beta": 1.24, "fusion": "none", **ranges})
        return cost(fixed.suggest(random_trial(0)).model)["parameters"]

    assert parameters(base="tiny", phi=-3.0) < 5_000
    assert parameters(base="small", phi=3.0) > 1_000_000
    assert parameters(base="b0", phi=3.0) > 40_000_000


def test_random_proposals_are_spread_over_magnitudes(shape: DataShape, random_trial) -> None:
    space = EfficientECGSpace(shape, TRAINING)
    sizes = [cost(space.suggest(random_trial(seed)).model)["parameters"] for seed in range(1000)]
    tenth, half, nine_tenths = (sorted(sizes)[i] for i in (100, 500, 900))
    assert min(sizes) < 6_000
    assert tenth < 20_000
    assert 40_000 < half < 120_000
    assert nine_tenths > 200_000


def test_work_doubles_with_each_step_of_phi(shape: DataShape, random_trial) -> None:
    space = EfficientECGSpace(shape, TRAINING)
    for seed in range(20):
        trial = random_trial(seed)
        model = space.suggest(trial).model
        growth = model.depth * model.width**2 * model.resolution
        assert growth == pytest.approx(2.0 ** trial.asked["phi"])


def test_only_attention_asks_for_direction_and_heads(shape: DataShape, random_trial) -> None:
    space = EfficientECGSpace(shape, TRAINING)
    for seed in range(100):
        trial = random_trial(seed)
        model = space.suggest(trial).model
        attention = model.fusion == "attention"
        assert ("direction" in trial.asked) == ("heads" in trial.asked) == attention
        assert model.features == (() if model.fusion == "none" else shape.features)


def test_a_placement_is_named_by_where_attention_sits(shape: DataShape, random_trial) -> None:
    space = EfficientECGSpace(shape, TRAINING).with_ranges({"fusion": "stem+stage3+head"})
    assert space.suggest(random_trial(0)).model.placements == ("stem", "stage3", "head")


def test_without_phi_there_is_no_scaling_to_ask_for(shape: DataShape, random_trial) -> None:
    trial = random_trial(0)
    model = EfficientECGSpace(shape, TRAINING).with_ranges({"phi": 0.0}).suggest(trial).model
    assert not {"phi", "alpha", "beta"} & set(trial.asked)
    assert (model.depth, model.width, model.resolution) == (1.0, 1.0, 1.0)


def test_training_settings_are_shared_by_all(shape: DataShape, random_trial) -> None:
    training = EfficientECGSpace(shape, TRAINING).suggest(random_trial(0)).training
    assert (training.epochs, training.batch_size) == (9, 64)


def test_a_proposal_with_gamma_below_one_is_turned_down(shape: DataShape, random_trial) -> None:
    wider = EfficientECGSpace(shape, TRAINING).with_ranges(
        {"alpha": [1.0, 1.8], "beta": [1.2, 1.4]}
    )
    turned_down = 0
    for seed in range(100):
        trial = random_trial(seed)
        try:
            wider.suggest(trial)
            refused_here = False
        except CandidateRefused:
            refused_here = True
        assert refused_here == (trial.asked["alpha"] * trial.asked["beta"] ** 2 > 2.0 + 1e-9)
        turned_down += refused_here
    assert 0 < turned_down < 100


def test_a_refusal_says_why(shape: DataShape) -> None:
    space = EfficientECGSpace(shape, TRAINING).with_ranges({"alpha": [1.0, 1.8]})
    asked = {"base": "tiny", "phi": 1.0, "alpha": 1.8, "beta": 1.2, "kernel_scale": 1.0}
    others = {"dropout": 0.0, "drop_path": 0.0, "fusion": "none", "learning_rate": 1e-3}
    last = {"weight_decay": 1e-2, "class_weighting": "none"}
    with pytest.raises(CandidateRefused, match=r"alpha 1\.8 and beta 1\.2 leave gamma 0\.7716"):
        space.suggest(optuna.trial.FixedTrial({**asked, **others, **last}))


def test_ranges_without_any_gamma_of_one_are_refused(shape: DataShape) -> None:
    message, _ = refused(shape, alpha=[1.8, 2.0], beta=[1.3, 1.4])
    assert message == "space.ranges: alpha from 1.8 and beta from 1.3 leave gamma below 1"


def test_without_features_nothing_is_fused(featureless: DataShape, random_trial) -> None:
    space = EfficientECGSpace(featureless, TRAINING)
    for seed in range(20):
        trial = random_trial(seed)
        assert space.suggest(trial).model.fusion == "none"
        assert "fusion" not in trial.asked


def test_fusion_of_features_the_dataset_lacks_is_refused(featureless: DataShape) -> None:
    assert refused(featureless, fusion=["none", "head"]) == (
        "space.ranges.fusion: 'head' needs features, and the dataset has none",
        "prepare the dataset with features, or leave fusion out",
    )


def test_attention_settings_without_attention_are_refused(
    shape: DataShape, featureless: DataShape
) -> None:
    expected = "space.ranges.heads has no effect: no option of fusion is an attention"
    assert refused(featureless, heads=[1, 2])[0] == expected
    assert refused(shape, fusion=["none", "concat"], heads=2)[0] == expected


def test_a_stage_that_a_base_lacks_is_refused(shape: DataShape) -> None:
    assert refused(shape, fusion="stage6") == (
        "space.ranges.fusion: there is no 'stage6' in base 'tiny'",
        "valid: stem, stage1, stage2, stage3, stage4, head; or leave that base out",
    )
    space = EfficientECGSpace(shape, TRAINING).with_ranges({"fusion": "stage6", "base": "b0"})
    assert space.parameters["fusion"].fixed


def test_ranges_may_be_given_one_after_the_other(shape: DataShape) -> None:
    space = EfficientECGSpace(shape, TRAINING).with_ranges({"phi": 1.0}).with_ranges({"base": "b0"})
    assert space.parameters["phi"].fixed
    assert space.parameters["base"].fixed


def test_an_unknown_parameter_is_told_the_nearest(shape: DataShape) -> None:
    assert refused(shape, learning_rat=1e-3)[1] == "did you mean 'learning_rate'?"


def test_a_training_setting_that_is_searched_is_refused(shape: DataShape) -> None:
    with pytest.raises(SpaceError, match=r"training\.learning_rate is searched") as caught:
        EfficientECGSpace(shape, {**TRAINING, "learning_rate": 1e-3})
    assert caught.value.hint == "to fix it, set learning_rate under [space.ranges] instead"


def test_an_unknown_training_setting_is_refused(shape: DataShape) -> None:
    with pytest.raises(ConfigError, match="TrainingConfig has no field 'batch'"):
        EfficientECGSpace(shape, {"batch": 3})


@pytest.mark.parametrize("base", sorted(BASES))
def test_the_ends_of_what_may_be_asked_for_can_be_built(
    base: str, shape: DataShape, random_trial
) -> None:
    default = EfficientECGSpace(shape, TRAINING)
    for phi in (-6.0, 6.0):
        for kernel_scale in (0.1, 20.0):
            ranges = {"base": base, "phi": phi, "kernel_scale": kernel_scale, "weight_decay": 0.0}
            model = default.with_ranges(ranges).suggest(random_trial(1)).model
            assert cost(model)["macs"] > 0


def test_optuna_proposes_from_it_and_replays_it(shape: DataShape) -> None:
    space = EfficientECGSpace(shape, TRAINING)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        trial = study.ask()
        candidate = space.suggest(trial)
        assert space.suggest(optuna.trial.FixedTrial(trial.params)) == candidate
        assert set(trial.params) <= set(space.parameters)


def test_a_space_travels_between_processes(shape: DataShape, random_trial) -> None:
    space = EfficientECGSpace(shape, TRAINING).with_ranges({"phi": [-1.0, 0.0]})
    copy = pickle.loads(pickle.dumps(space))
    assert copy == space
    assert copy.suggest(random_trial(5)) == space.suggest(random_trial(5))


def test_a_space_is_frozen(shape: DataShape) -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        EfficientECGSpace(shape, TRAINING).training = {}  # type: ignore[misc]
