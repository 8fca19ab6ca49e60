from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecgmodels import ConfigError, EfficientECGConfig, compound_scaling, resolve

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


def test_a_configuration_survives_its_dictionary() -> None:
    config = configured(**ATTENTION)
    assert EfficientECGConfig.from_dict(config.to_dict()) == config


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
        ({"placements": ("stem",)}, "placements .* has no effect with fusion 'none'"),
        ({"heads": 3}, "heads 3 has no effect with fusion 'none'"),
        ({"features": ("age",), "fusion": "concat", "head_width": 8}, "head_width 8 has no effect"),
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
