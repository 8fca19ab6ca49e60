"""The baselines' sizes, against what was published, and their configurations."""

from __future__ import annotations

import random
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ecgmodels import ConfigError, build_model, cost, model_config, resolve
from ecgmodels.models.baselines.config import BaselineConfig
from ecgmodels.models.registry import FAMILIES

BASELINES = [name for name, family in FAMILIES.items() if issubclass(family.config, BaselineConfig)]
WITH_DEPTH = ["resnet1d_wang", "xresnet1d101", "inception1d", "resnet1d18"]


def configured(family: str, **changes: Any) -> Any:
    values = {"leads": 12, "samples": 1000, "classes": 5} | changes
    return model_config({"model": family, **values})


def built(family: str, **changes: Any) -> Any:
    torch.manual_seed(0)
    return build_model(configured(family, **changes))


def test_there_are_five_baselines() -> None:
    assert BASELINES == [
        "resnet1d_wang", "xresnet1d101", "inception1d", "cnn_lstm", "resnet1d18",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("family", "parameters", "macs", "millions"),
    [
        ("resnet1d_wang", 473_349, 252_449_408, 0.47),
        ("xresnet1d101", 1_872_261, 162_130_048, 1.87),
        ("inception1d", 507_653, 471_329_408, 0.51),
        ("resnet1d18", 3_851_397, 175_197_696, 3.85),
        ("cnn_lstm", 4_059, 1_160_650, 0.0),
    ],
)
def test_sizes_for_12_leads_and_5_classes(
    family: str, parameters: int, macs: int, millions: float
) -> None:
    config = configured(family)
    assert cost(config) == {"parameters": parameters, "macs": macs}
    assert round(parameters / 1e6, 2) == millions  # as published, for the first three
    with torch.device("meta"):
        model = build_model(config)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters


def test_resnet1d_wang_is_three_blocks_that_halve_twice() -> None:
    plan = resolve(configured("resnet1d_wang"))
    assert [
        [(layer.channels, layer.kernel, layer.stride, layer.length) for layer in block.convolutions]
        for block in plan.blocks
    ] == [
        [(128, 5, 1, 1000), (128, 3, 1, 1000)],
        [(128, 5, 2, 500), (128, 3, 1, 500)],
        [(128, 5, 2, 250), (128, 3, 1, 250)],
    ]
    assert [layer.kernel for layer in plan.stem] == [7]
    assert not plan.stem_maximum


def test_xresnet1d101_is_a_deep_stem_and_33_bottlenecks() -> None:
    plan = resolve(configured("xresnet1d101"))
    assert [(layer.channels, layer.length) for layer in plan.stem] == [(32, 500)] * 2 + [(64, 500)]
    inner = [block.convolutions[1] for block in plan.blocks]
    assert [layer.length for layer in inner] == [250] * 3 + [125] * 4 + [63] * 23 + [32] * 3
    assert {layer.kernel for layer in inner} == {5}
    assert [number for number, layer in enumerate(inner) if layer.stride == 2] == [3, 7, 30]
    assert [n for n, block in enumerate(plan.blocks) if block.shortcut_mean] == [3, 7, 30]
    assert [n for n, block in enumerate(plan.blocks) if block.shortcut] == [0]


def test_resnet1d18_doubles_its_channels_three_times() -> None:
    blocks = resolve(configured("resnet1d18")).blocks
    assert [
        (block.convolutions[-1].channels, block.convolutions[-1].length) for block in blocks
    ] == [(64, 250)] * 2 + [(128, 125)] * 2 + [(256, 63)] * 2 + [(512, 32)] * 2
    assert [number for number, block in enumerate(blocks) if block.shortcut] == [2, 4, 6]


def test_cnn_lstm_reads_an_eighth_of_the_samples() -> None:
    plan = resolve(configured("cnn_lstm"))
    assert [(layer.channels, layer.kernel) for layer in plan.convolutions] == [
        (3, 21), (6, 11), (6, 5),
    ]  # fmt: skip
    assert (plan.steps, plan.units, plan.head.hidden) == (125, 20, (20, 10))


def test_macs_of_an_lstm_by_hand() -> None:
    # One lead, 8 samples: convolutions at 8, 4 and 2 positions, one step of the LSTM.
    convolutions = 21 * 3 * 8 + 11 * 3 * 6 * 4 + 5 * 6 * 6 * 2
    step, head = 4 * 20 * (6 + 20), 20 * 20 + 20 * 10 + 10 * 2
    config = configured("cnn_lstm", leads=1, samples=8, classes=2)
    assert cost(config)["macs"] == convolutions + step + head


def test_costs_equal_the_built_networks_over_the_families() -> None:
    draw = random.Random(0)
    for _ in range(100):
        config = any_config(draw)
        with torch.device("meta"):
            model = build_model(config)
        count = sum(parameter.numel() for parameter in model.parameters())
        assert cost(config)["parameters"] == count, config


def any_config(draw: random.Random) -> Any:
    family = draw.choice(BASELINES)
    features = ("age", "sex", "rr_ratio")[: draw.randint(0, 3)]
    changes: dict[str, Any] = {"depth": draw.uniform(0.1, 2)} if family in WITH_DEPTH else {}
    return configured(
        family,
        leads=draw.randint(1, 12),
        samples=draw.randint(1, 2000),
        classes=draw.randint(1, 30),
        template=draw.random() < 0.5,
        width=draw.uniform(0.05, 1.5),
        kernel_scale=draw.uniform(0.1, 4),
        features=features,
        fusion="concat" if features else "none",
        **changes,
    )


@given(width=st.floats(0.02, 4), kernel_scale=st.floats(0.05, 8), depth=st.floats(0.05, 3))
def test_kernels_stay_odd_and_channels_in_fours(
    width: float, kernel_scale: float, depth: float
) -> None:
    plan = resolve(configured("inception1d", width=width, kernel_scale=kernel_scale, depth=depth))
    for group in plan.groups:
        for module in group.modules:
            assert module.filters % 4 == 0
            assert module.filters >= 0.9 * 32 * width
            assert all(kernel % 2 == 1 and kernel >= 3 for kernel in module.kernels)


def test_depth_multiplies_every_stages_blocks_and_rounds_up() -> None:
    assert len(resolve(configured("xresnet1d101", depth=0.3)).blocks) == 1 + 2 + 7 + 1
    assert len(resolve(configured("resnet1d18", depth=1.5)).blocks) == 12
    assert len(resolve(configured("inception1d", depth=1.5)).groups) == 3


def test_kernel_scale_leaves_pointwise_convolutions_alone() -> None:
    block = resolve(configured("xresnet1d101", kernel_scale=2.0)).blocks[0]
    assert [layer.kernel for layer in block.convolutions] == [1, 11, 1]


def test_width_multiplies_the_heads_hidden_units() -> None:
    assert resolve(configured("inception1d", width=0.5)).head.hidden == (64,)
    assert resolve(configured("cnn_lstm", width=2.0)).head.hidden == (40, 20)


@pytest.mark.parametrize("family", BASELINES)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 0.0}, "width must be a number above 0"),
        ({"kernel_scale": float("inf")}, "kernel_scale must be a number above 0"),
        ({"width": "wide"}, "width must be a number above 0, got 'wide'"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"dropout": True}, "dropout must be at least 0 and below 1"),
        ({"fusion": "attention"}, "fusion 'attention' is unknown"),
        ({"features": ("age",)}, "have no effect with fusion 'none'"),
        ({"fusion": "concat"}, "fusion 'concat' has no features"),
        ({"leads": 0}, "leads must be at least 1"),
        ({"hight": 1.0}, "no field 'hight'"),
    ],
)
def test_a_bad_configuration_is_refused(family: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        configured(family, **changes)
    assert caught.value.hint


@pytest.mark.parametrize("family", WITH_DEPTH)
def test_a_depth_that_is_no_size_is_refused(family: str) -> None:
    with pytest.raises(ConfigError, match="depth must be a number above 0"):
        configured(family, depth=-1)


def test_a_cnn_lstm_has_no_depth() -> None:
    with pytest.raises(ConfigError, match="no field 'depth'"):
        configured("cnn_lstm", depth=2)


def test_one_segment_is_too_small_a_batch_for_a_head_with_batch_norm() -> None:
    model = built("resnet1d_wang", width=0.1)
    with pytest.raises(ConfigError, match="batch of one segment"):
        model.train()(torch.zeros(1, 12, 50), torch.zeros(1, 0), torch.zeros(1, 0).bool())


def test_a_feature_that_was_always_known_may_be_missing_later() -> None:
    """Batch norm of its mask would have learned no variance, and throw the logits far off."""
    model = built("resnet1d_wang", width=0.1, leads=1, features=("sex",), fusion="concat")
    signal, sex = torch.randn(16, 1, 60), torch.randn(16, 1)
    known = torch.ones_like(sex, dtype=torch.bool)
    for _ in range(60):
        model.train()(signal, sex, known)
    model.eval()
    difference = model(signal, sex, known) - model(signal, sex * 0, ~known)
    assert difference.abs().max() < 5


def test_a_block_of_xresnet_begins_as_its_shortcut() -> None:
    model = built("xresnet1d101", depth=0.1)
    for block in model.blocks:
        assert (block.convolutions[-1].norm.weight == 0).all()
        assert all((inner.norm.weight == 1).all() for inner in block.convolutions[:-1])


@pytest.mark.parametrize("family", BASELINES)
def test_dropout_is_before_the_classifier_and_half_before_a_hidden_layer(family: str) -> None:
    modules = built(family, width=0.1, dropout=0.4).modules()
    probabilities = [module.p for module in modules if isinstance(module, nn.Dropout)]
    two_layers = family not in ("cnn_lstm", "resnet1d18")
    assert probabilities == ([0.2, 0.4] if two_layers else [0.4])


@pytest.mark.parametrize(
    ("family", "dropout"),
    [
        ("resnet1d_wang", 0.5),
        ("xresnet1d101", 0.5),
        ("inception1d", 0.5),
        ("cnn_lstm", 0.2),
        ("resnet1d18", 0.0),
    ],
)
def test_dropout_is_the_published_one_by_default(family: str, dropout: float) -> None:
    assert configured(family).dropout == dropout


def test_narrow_shortcuts_of_long_recordings_can_be_trained() -> None:
    """In a process of its own: oneDNN's own convolution corrupts memory here, and kills it."""
    program = """
import torch
from ecgmodels import build_model, model_config
for name, width in (("resnet1d_wang", 0.0931), ("resnet1d18", 0.1)):
    network = build_model(
        model_config(
            {"model": name, "leads": 1, "samples": 3072, "classes": 3, "width": width}
        )
    )
    for _ in range(3):
        nothing = torch.zeros(16, 0)
        network(torch.randn(16, 1, 3072), nothing, nothing.bool()).sum().backward()
"""
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert finished.returncode == 0, finished.stderr
