"""The EfficientECG family as parameters: sizes, kernels, and what is asked for when."""

from typing import Any

import optuna
import pytest

from ecgmodels import cost
from ecgmodels.models.efficientecg.bases import BASES
from ecgmodels.models.efficientecg.config import (
    EfficientECGConfig,
)
from ecgmodels.models.registry import resolve
from spaces import CandidateRefused, DataShape
from spaces.ecg import ECGSpace

TRAINING = {"epochs": 9, "batch_size": 64}


def model(shape: DataShape, trial: Any, **ranges: Any) -> EfficientECGConfig:
    return ECGSpace(shape, TRAINING, ranges).suggest(trial).model


# Sizes --------------------------------------------------------------------------------------------


def test_sizes_reach_from_five_thousand_to_a_million_parameters(
    shape: DataShape, random_trial
) -> None:
    def parameters(**ranges: Any) -> int:
        ranges |= {"alpha": 1.3, "beta": 1.24, "kernel_scale": 1.0, "fusion": "none"}
        return cost(model(shape, random_trial(0), **ranges))["parameters"]

    assert parameters(base="tiny", phi=-3.0) < 5_000
    assert parameters(base="small", phi=3.0) > 1_000_000
    assert parameters(base="b0", phi=3.0) > 40_000_000


def test_random_proposals_are_spread_over_magnitudes(shape: DataShape, random_trial) -> None:
    sizes = [cost(model(shape, random_trial(seed)))["parameters"] for seed in range(1000)]
    tenth, half, nine_tenths = (sorted(sizes)[i] for i in (100, 500, 900))
    assert min(sizes) < 8_000
    assert tenth < 20_000
    assert 40_000 < half < 120_000
    assert nine_tenths > 200_000


def test_work_doubles_with_each_step_of_phi(shape: DataShape, random_trial) -> None:
    for seed in range(20):
        trial = random_trial(seed)
        drawn = model(shape, trial)
        growth = drawn.depth * drawn.width**2 * drawn.resolution
        assert growth == pytest.approx(2.0 ** trial.asked["phi"])


@pytest.mark.parametrize("base", sorted(BASES))
def test_kernels_have_five_to_twenty_one_taps_by_default(
    base: str, shape: DataShape, random_trial
) -> None:
    taps = set()
    for seed in range(300):
        plan = resolve(model(shape, random_trial(seed), base=base, phi=0.0))
        taps |= {block.kernel for block in plan.blocks}
    of_shorter_kernels = {3} if base == "b0" else set()
    assert taps == {*range(5, 22, 2)} | of_shorter_kernels


def test_at_phi_0_and_kernels_of_1_a_network_is_its_base(shape: DataShape, random_trial) -> None:
    trial = random_trial(0)
    drawn = model(shape, trial, base="b0", phi=0.0, kernel_scale=1.0, fusion="none")
    assert not {"phi", "alpha", "beta"} & set(trial.asked)
    literal = EfficientECGConfig(leads=2, samples=256, classes=4)
    assert cost(drawn) == cost(literal)


@pytest.mark.parametrize("base", sorted(BASES))
def test_the_ends_of_what_may_be_asked_for_can_be_built(
    base: str, shape: DataShape, random_trial
) -> None:
    for phi in (-6.0, 6.0):
        for kernel_scale in (0.1, 20.0):
            ranges = {"base": base, "phi": phi, "kernel_scale": kernel_scale, "weight_decay": 0.0}
            assert cost(model(shape, random_trial(1), **ranges))["macs"] > 0


def test_multipliers_may_be_drawn_each_for_itself(shape: DataShape, random_trial) -> None:
    trial = random_trial(3)
    drawn = model(shape, trial, scaling="direct", depth=[1.0, 2.0], resolution=0.5)
    assert not {"phi", "alpha", "beta"} & set(trial.asked)
    assert 1.0 <= drawn.depth <= 2.0
    assert (drawn.width, drawn.resolution) == (trial.asked["width"], 0.5)


def test_a_proposal_with_gamma_below_one_is_turned_down(shape: DataShape, random_trial) -> None:
    turned_down = 0
    for seed in range(100):
        trial = random_trial(seed)
        try:
            model(shape, trial, alpha=[1.0, 1.8], beta=[1.2, 1.4])
            refused_here = False
        except CandidateRefused:
            refused_here = True
        assert refused_here == (trial.asked["alpha"] * trial.asked["beta"] ** 2 > 2.0 + 1e-9)
        turned_down += refused_here
    assert 0 < turned_down < 100


def test_a_refusal_says_why(shape: DataShape) -> None:
    asked = {"base": "tiny", "phi": 1.0, "alpha": 1.8, "beta": 1.2}
    with pytest.raises(CandidateRefused, match=r"alpha 1\.8 and beta 1\.2 leave gamma 0\.7716"):
        model(shape, optuna.trial.FixedTrial(asked), alpha=[1.0, 1.8])


# Blocks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("expansion", 2),
        ("squeeze_ratio", 0.5),
        ("stages", 2),
        ("activation", "gelu"),
        ("stem_stride", 4),
        ("leads_fused", "stage1"),
        ("template", True),
    ],
)
def test_a_range_fixed_in_the_study_file_reaches_the_model(
    shape: DataShape, random_trial, name: str, value: Any
) -> None:
    ranges = {name: value, "fusion": "none", "phi": 0.0, "kernel_scale": 1.0, "base": "small"}
    drawn = model(shape, random_trial(0), **ranges)
    assert getattr(drawn, name) == value
    literal = EfficientECGConfig(leads=2, samples=256, classes=4, base="small")
    assert resolve(drawn).to_dict() != resolve(literal).to_dict()


def test_words_for_the_bases_own_leave_it_alone(shape: DataShape, random_trial) -> None:
    drawn = model(shape, random_trial(0), expansion="base", stages="all")
    assert (drawn.expansion, drawn.stages) == (None, None)


def test_a_single_stage_is_not_asked_for_its_expansion(shape: DataShape, random_trial) -> None:
    for seed in range(50):
        trial = random_trial(seed)
        ranges = {"stages": [1, 3], "expansion": [2, 4], "fusion": "none"}
        drawn = model(shape, trial, **ranges)
        assert ("expansion" in trial.asked) == (drawn.stages == 3)


# Fusion -------------------------------------------------------------------------------------------


def test_only_attention_asks_for_its_direction_heads_and_width(
    shape: DataShape, random_trial
) -> None:
    for seed in range(100):
        trial = random_trial(seed)
        drawn = model(shape, trial, heads=[1, 2])
        attention = drawn.fusion == "attention"
        asked = {"direction", "heads", "attention_width"} & set(trial.asked)
        assert len(asked) == (3 if attention else 0)
        assert drawn.features == (() if drawn.fusion == "none" else shape.features)


def test_attention_between_leads_asks_for_heads_and_width_alone(
    shape: DataShape, random_trial
) -> None:
    trial = random_trial(0)
    drawn = model(shape, trial, leads_fused="stage1", fusion="concat", heads=[1, 2])
    assert {"heads", "attention_width"} <= set(trial.asked)
    assert "direction" not in trial.asked
    assert (drawn.leads_fused, drawn.heads) == ("stage1", trial.asked["heads"])


def test_a_placement_is_named_by_where_attention_sits(shape: DataShape, random_trial) -> None:
    drawn = model(shape, random_trial(0), fusion="stem+stage3+head")
    assert drawn.placements == ("stem", "stage3", "head")


def test_places_may_be_named_in_any_order(shape: DataShape) -> None:
    space = ECGSpace(shape, TRAINING, {"fusion": ["head+stem", "concat"]})
    assert space.parameters["fusion"].options == ("stem+head", "concat")


def test_attention_may_sit_in_every_place_at_once(shape: DataShape, random_trial) -> None:
    places = "stem+stage1+stage2+stage3+stage4+head"
    assert model(shape, random_trial(0), fusion=places).placements == tuple(places.split("+"))


def test_fewer_stages_leave_the_default_places_that_remain(shape: DataShape) -> None:
    fusion = ECGSpace(shape, TRAINING, {"stages": [2, "all"]}).parameters["fusion"]
    assert fusion.options == ("none", "concat", "stem", "stage2", "head", "stem+head")


def test_leads_fused_late_leave_the_default_places_behind(shape: DataShape) -> None:
    fusion = ECGSpace(shape, TRAINING, {"leads_fused": ["input", "stage2"]}).parameters["fusion"]
    assert fusion.options == ("none", "concat", "stage2", "stage4", "head", "stage2+stage4")


def test_heads_need_not_divide_the_width(shape: DataShape, random_trial) -> None:
    drawn = model(shape, random_trial(0), fusion="head", heads=3, attention_width=32)
    assert (drawn.heads, drawn.head_width, drawn.token_width) == (3, 11, 33)
