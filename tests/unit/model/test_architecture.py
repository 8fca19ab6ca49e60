from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecgmodels import (
    ConfigError,
    EfficientECGConfig,
    compound_scaling,
    model_config,
    resolve,
)
from ecgmodels.models.efficientecg.bases import BASES, placement_names
from ecgmodels.models.efficientecg.plan import Placement
from tests.unit.model.efficientecg_configs import configs

ATTENTION = {"features": ("age",), "fusion": "attention", "placements": ("stem",)}


def configured(**changes: object) -> EfficientECGConfig:
    return EfficientECGConfig(**({"leads": 2, "samples": 256, "classes": 5} | changes))  # type: ignore[arg-type]


def test_b0s_blocks_are_those_of_the_paper() -> None:
    blocks = resolve(configured()).blocks
    assert [block.channels for block in blocks] == (
        [16] + [24] * 2 + [40] * 2 + [80] * 3 + [112] * 3 + [192] * 4 + [320]
    )
    assert [block.hidden_channels for block in blocks][:4] == [32, 96, 144, 144]
    assert [block.squeeze_channels for block in blocks][:4] == [8, 4, 6, 6]
    assert [block.runs for block in blocks] == [1] * 16
    assert [block.in_length for block in blocks] == [128] * 2 + [64] * 2 + [32] * 2 + [16] * 6 + [
        8
    ] * 4


def test_width_rounds_to_the_divisor_and_keeps_nine_tenths() -> None:
    # 24 * 1.4 = 33.6 -> 32; 16 * 0.75 = 12 -> 16 (ties go up); 40 * 0.47 = 18.8 -> 16 is below
    # nine tenths -> 24.
    assert resolve(configured(width=1.4)).blocks[1].channels == 32
    assert resolve(configured(width=0.75)).blocks[0].channels == 16
    assert resolve(configured(width=0.47)).blocks[3].channels == 24


@given(width=st.floats(0.05, 4))
@settings(deadline=None)
def test_width_loses_no_more_than_a_tenth_of_any_layer(width: float) -> None:
    full = resolve(configured(base="small")).blocks
    scaled = resolve(configured(base="small", width=width)).blocks
    for before, after in zip(full, scaled, strict=True):
        assert after.channels % 4 == 0
        assert after.channels >= 0.9 * width * before.channels


def test_depth_rounds_up() -> None:
    assert len(resolve(configured(depth=1.1)).blocks) == 2 + 3 + 3 + 4 + 4 + 5 + 2
    assert len(resolve(configured(depth=1.0000000000000002)).blocks) == 16


@given(scale=st.floats(0.1, 8))
@settings(deadline=None)
def test_kernels_stay_odd_and_reach_their_neighbours(scale: float) -> None:
    plan = resolve(configured(kernel_scale=scale))
    for kernel in (plan.stem.kernel, *(block.kernel for block in plan.blocks)):
        assert kernel % 2 == 1
        assert kernel >= 3


def test_kernel_scale_rounds_to_the_nearest_odd_length() -> None:
    # 3 and 5 taps become 3.9 and 6.5, then 6 and 10 (ties go up).
    for scale, expected in ((1.3, {3, 7}), (2.0, {7, 11})):
        blocks = resolve(configured(kernel_scale=scale)).blocks
        assert {block.kernel for block in blocks} == expected


def test_resolution_changes_lengths_and_nothing_else() -> None:
    plan = resolve(configured(resolution=1.5))
    assert plan.resampled == 384
    assert plan.stem.length == 192
    assert [block.channels for block in plan.blocks] == [
        block.channels for block in resolve(configured()).blocks
    ]


def test_expansion_replaces_that_of_every_stage_that_expands() -> None:
    base = resolve(configured(base="small")).blocks
    narrow = resolve(configured(base="small", expansion=2)).blocks
    assert [block.hidden_channels // block.in_channels for block in base] == [1] + [4] * 6
    assert [block.hidden_channels // block.in_channels for block in narrow] == [1] + [2] * 6


@pytest.mark.parametrize(
    ("ratio", "waists"), [(0.25, [8, 4, 6]), (0.1, [3, 1, 2]), (0.01, [1] * 3)]
)
def test_the_squeeze_ratio_is_of_the_blocks_input_and_rounds_down(
    ratio: float, waists: list[int]
) -> None:
    blocks = resolve(configured(squeeze_ratio=ratio)).blocks
    assert [block.in_channels for block in blocks][:3] == [32, 16, 24]
    assert [block.squeeze_channels for block in blocks][:3] == waists


def test_a_ratio_that_is_no_binary_fraction_still_rounds_down_to_what_it_says() -> None:
    # 100 * 0.29 is 28.999999999999996 to a computer.
    blocks = resolve(configured(base="small", width=25 / 4, squeeze_ratio=0.29)).blocks
    assert (blocks[0].in_channels, blocks[0].squeeze_channels) == (100, 29)


def test_kept_stages_are_the_first_and_the_head_follows_them() -> None:
    whole, cut = resolve(configured()), resolve(configured(stages=3))
    assert [block.stage for block in cut.blocks] == [1, 2, 2, 3, 3]
    assert cut.blocks == whole.blocks[:5]
    assert (cut.head.in_channels, cut.head.channels, cut.head.length) == (40, 1280, 32)
    assert resolve(configured(stages=7)) == whole


def test_stochastic_depth_is_shared_out_among_kept_blocks() -> None:
    blocks = resolve(configured(stages=2, drop_path=0.3)).blocks
    assert [round(block.drop_path, 3) for block in blocks] == [0.0, 0.0, 0.3]


@pytest.mark.parametrize(("stride", "length", "kernel"), [(1, 256, 3), (2, 128, 3), (4, 64, 5)])
def test_the_stems_stride_sets_all_lengths_and_its_kernel_sees_every_sample(
    stride: int, length: int, kernel: int
) -> None:
    plan = resolve(configured(stem_stride=stride))
    assert (plan.stem.length, plan.stem.kernel) == (length, kernel)
    assert plan.blocks[-1].length == length // 16


@pytest.mark.parametrize(
    ("heads", "asked", "head_width", "token_width"),
    [
        (2, 32, 16, 32),
        (3, 32, 11, 33),
        (4, 30, 8, 32),
        (4, 26, 7, 28),
        (8, 3, 1, 8),
        (5, 32, 6, 30),
    ],
)
def test_heads_always_divide_the_width_and_the_config_says_what_it_became(
    heads: int, asked: int, head_width: int, token_width: int
) -> None:
    config = configured(**ATTENTION, heads=heads, attention_width=asked)
    assert (config.head_width, config.token_width) == (head_width, token_width)
    plan = resolve(config).to_dict()
    assert (plan["head_width"], plan["token_width"]) == (head_width, token_width)


@given(heads=st.integers(1, 64), asked=st.integers(1, 512))
@settings(deadline=None)
def test_attention_is_as_wide_as_asked_but_for_rounding(heads: int, asked: int) -> None:
    config = configured(**ATTENTION, heads=heads, attention_width=asked)
    assert config.token_width == heads * config.head_width
    assert abs(config.token_width - asked) <= heads / 2 or config.head_width == 1


def test_leads_by_themselves_pass_one_shared_network_up_to_their_fusion() -> None:
    plan = resolve(configured(leads=12, template=True, base="small", leads_fused="stage2"))
    assert plan.stem.in_channels == 2  # a lead and its template
    runs = {f"stage{block.stage}": block.runs for block in plan.blocks}
    assert runs == {"stage1": 12, "stage2": 12, "stage3": 1, "stage4": 1}
    assert (plan.stem.runs, plan.head.runs) == (12, 1)
    assert plan.leads_fused == Placement(after="stage2", channels=24, length=64)


def test_joint_leads_and_their_templates_are_the_stems_channels() -> None:
    plan = resolve(configured(leads=12, template=True))
    assert (plan.stem.in_channels, plan.stem.runs, plan.leads_fused) == (24, 1, None)


def test_features_can_meet_the_map_where_leads_become_one_and_later() -> None:
    config = configured(**ATTENTION | {"placements": ("stage2", "head")}, leads_fused="stage2")
    assert [place.after for place in resolve(config).placements] == ["stage2", "head"]


@given(config=configs())
@settings(deadline=None)
def test_any_configuration_survives_its_dictionary(config: EfficientECGConfig) -> None:
    assert model_config(json.loads(json.dumps(config.to_dict()))) == config


def test_placements_are_met_in_the_signals_order() -> None:
    config = configured(**ATTENTION | {"placements": ("head", "stage2", "stem")})
    assert [place.after for place in resolve(config).placements] == ["stem", "stage2", "head"]


def test_configurations_that_round_alike_have_one_plan() -> None:
    assert resolve(configured(width=1.003, depth=0.9)) == resolve(configured())


def test_stochastic_depth_grows_to_its_value_at_the_last_block() -> None:
    blocks = resolve(configured(base="tiny", depth=2.0, drop_path=0.2)).blocks
    assert [round(block.drop_path, 3) for block in blocks] == [
        0.025, 0.05, 0.0, 0.1, 0.0, 0.15, 0.0, 0.2,
    ]  # fmt: skip


def test_an_unknown_key_is_named_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match="no field 'widht'") as caught:
        EfficientECGConfig.from_dict({"leads": 1, "samples": 10, "classes": 2, "widht": 2})
    assert caught.value.hint == "did you mean 'width'?"


def test_compound_scaling_doubles_the_cost_with_every_step() -> None:
    depth, width, resolution = compound_scaling(3, alpha=1.2, beta=1.1)
    assert depth == pytest.approx(1.728)
    assert width == pytest.approx(1.331)
    assert depth * width**2 * resolution == pytest.approx(8)


def test_compound_scaling_at_phi_0_is_the_base() -> None:
    assert compound_scaling(0, alpha=1.3, beta=1.05) == (1, 1, 1)


def test_compound_scaling_refuses_a_gamma_below_1() -> None:
    with pytest.raises(ConfigError, match=r"gamma 0\.9259, below 1") as caught:
        compound_scaling(1, alpha=1.5, beta=1.2)
    assert "at most 2" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"leads": 0}, "leads must be at least 1, got 0"),
        ({"samples": 2.5}, "samples must be a whole number"),
        ({"width": 0.0}, "width must be a number above 0"),
        ({"depth": float("nan")}, "depth must be a number above 0"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"resolution": 0.001}, "resolution must be large enough for 2 samples"),
        ({"base": "b1"}, "base 'b1' is unknown"),
        ({"fusion": "sum"}, "fusion 'sum' is unknown"),
        ({"features": ("age",)}, "have no effect with fusion 'none'"),
        ({"fusion": "concat"}, "fusion 'concat' has no features"),
        ({"direction": "both"}, "direction 'both' has no effect with fusion 'none'"),
        ({"placements": ("stem",)}, "placements .* has no effect with fusion 'none'"),
        ({"heads": 3}, "heads 3 has no effect with fusion 'none'"),
        (
            {"features": ("age",), "fusion": "concat", "attention_width": 8},
            "attention_width 8 has no effect with fusion 'concat' and leads fused at the input",
        ),
        (ATTENTION | {"attention_width": 0}, "attention_width must be at least 1"),
        (ATTENTION | {"heads": 2.0}, "heads must be a whole number"),
        ({"width": "wide"}, "width must be a number above 0, got 'wide'"),
        ({"expansion": 0}, "expansion must be at least 1"),
        ({"expansion": 1.5}, "expansion must be a whole number"),
        ({"expansion": 4, "stages": 1}, "expansion 4 has no effect: no stage that is kept expands"),
        ({"squeeze_ratio": 0.0}, "squeeze_ratio must be a number above 0"),
        ({"squeeze_ratio": 1.5}, "squeeze_ratio must be at most 1"),
        ({"stages": 8}, "stages must be at most b0's 7, got 8"),
        ({"stages": 0}, "stages must be at least 1"),
        ({"activation": "tanh"}, "activation 'tanh' is unknown"),
        ({"stem_stride": 3}, "stem_stride must be 1, 2 or 4, got 3"),
        ({"leads_fused": "stage8"}, "leads_fused 'stage8' is unknown"),
        ({"leads_fused": "stage3", "stages": 2}, "leads_fused 'stage3' is unknown"),
        (
            {"leads_fused": "stem", "leads": 1},
            "leads_fused 'stem' has no effect: there is one lead",
        ),
        ({"leads_fused": "stem", "placements": ("stem",)}, "placements .* has no effect"),
        (
            ATTENTION | {"leads_fused": "stage1"},
            "placement 'stem' lies before 'stage1', where leads become the one map",
        ),
        (
            ATTENTION | {"placements": ("stage3",), "stages": 2},
            "'stage3' does not exist in base 'b0' of 2 stages",
        ),
        ({"features": ("age",), "fusion": "attention"}, "has no placement"),
        (ATTENTION | {"placements": ("stage8",)}, "'stage8' does not exist in base 'b0'"),
        (ATTENTION | {"placements": ("stage5",), "base": "tiny"}, "'stage5' does not exist"),
        (ATTENTION | {"placements": ("stem", "stem")}, "name one twice"),
        (ATTENTION | {"features": ("age", "age")}, "name one twice"),
        (ATTENTION | {"direction": "left"}, "direction 'left' is unknown"),
    ],
)
def test_a_bad_configuration_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        configured(**changes)
    assert caught.value.hint


def test_heads_have_an_effect_where_leads_are_fused_by_attention() -> None:
    few, many = (configured(leads_fused="stem", heads=heads) for heads in (2, 4))
    assert resolve(few) != resolve(many)


def test_an_unknown_place_is_answered_with_those_that_exist() -> None:
    with pytest.raises(ConfigError) as caught:
        configured(**ATTENTION | {"placements": ("stage7",), "base": "tiny"}, leads_fused="stage3")
    assert caught.value.hint == "valid: stage3, stage4, head"


def test_every_base_names_its_places() -> None:
    assert {base: len(placement_names(base)) for base in BASES} == {"b0": 9, "small": 6, "tiny": 6}
    assert placement_names("b0", stages=2) == ("stem", "stage1", "stage2", "head")
