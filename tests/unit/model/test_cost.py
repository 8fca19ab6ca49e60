from __future__ import annotations

import random
import time

import pytest
import torch
from torch import Tensor, nn

from ecgmodels import EfficientECG, EfficientECGConfig, cost
from ecgmodels.models.efficientecg.config import BASES, placement_names
from ecgmodels.models.efficientecg.fusion import CrossAttention


@pytest.mark.parametrize(
    ("leads", "classes", "parameters"), [(1, 5, 3_870_721), (8, 34, 3_908_542)]
)
def test_b0_has_the_parameters_of_a_1d_efficientnet_b0(
    leads: int, classes: int, parameters: int
) -> None:
    config = EfficientECGConfig(leads=leads, samples=256, classes=classes)
    assert cost(config)["parameters"] == parameters
    assert built(EfficientECG(config)) == parameters


@pytest.mark.parametrize(("base", "parameters"), [("small", 120_733), ("tiny", 13_491)])
def test_small_bases_have_the_sizes_that_devices_hold(base: str, parameters: int) -> None:
    config = EfficientECGConfig(leads=2, samples=128, classes=5, base=base)
    assert cost(config)["parameters"] == parameters


def test_macs_of_a_tiny_network_by_hand() -> None:
    config = EfficientECGConfig(leads=1, samples=16, classes=2, base="tiny", width=0.5)
    # Channels 4, 4, 8, 12, 16, head 48; hidden 4, 12, 24, 36; lengths 8, 8, 4, 2, 1.
    stem = 5 * 4 * 8
    expand = 4 * 12 * 8 + 8 * 24 * 4 + 12 * 36 * 2
    depthwise = 5 * (4 * 8 + 12 * 4 + 24 * 2 + 36 * 1)
    squeeze = 2 * (4 * 1 + 12 * 1 + 24 * 2 + 36 * 3)
    project = 4 * 4 * 8 + 12 * 8 * 4 + 24 * 12 * 2 + 36 * 16 * 1
    assert cost(config)["macs"] == stem + expand + depthwise + squeeze + project + 16 * 48 + 48 * 2


def test_costs_equal_the_built_model_over_the_family() -> None:
    draw = random.Random(0)
    for _ in range(200):
        config = any_config(draw)
        model = EfficientECG(config).eval()
        expected = {"parameters": built(model), "macs": counted_macs(model)}
        assert cost(config) == expected, config


def test_costing_a_deep_network_takes_milliseconds_at_most() -> None:
    config = EfficientECGConfig(leads=12, samples=5000, classes=27, depth=3.0)
    begin = time.perf_counter()
    for _ in range(20):
        cost(config)
    assert (time.perf_counter() - begin) / 20 < 0.01


def any_config(draw: random.Random) -> EfficientECGConfig:
    base = draw.choice(["b0", "small", "small", "tiny", "tiny", "tiny"])
    fusion = draw.choice(["none", "concat", "attention", "attention"])
    attention = {}
    if fusion == "attention":
        names = placement_names(base)
        attention = {
            "placements": tuple(draw.sample(names, draw.randint(1, len(names)))),
            "direction": draw.choice(["signal_to_features", "features_to_signal", "both"]),
            "heads": draw.randint(1, 4),
            "head_width": draw.choice([4, 8, 16]),
        }
    features = ("age", "sex", "rr_previous", "rr_ratio")
    return EfficientECGConfig(
        leads=draw.randint(1, 12),
        samples=draw.randint(40, 400),
        classes=draw.randint(2, 30),
        features=() if fusion == "none" else features[: draw.randint(1, 4)],
        base=base,
        depth=draw.uniform(0.3, 1.2 if base == "b0" else 2.5),
        width=draw.uniform(0.2, 0.7 if base == "b0" else 2.0),
        resolution=draw.choice([1.0, draw.uniform(0.5, 2)]),
        kernel_scale=draw.uniform(0.5, 3),
        fusion=fusion,
        **attention,
    )


def built(model: EfficientECG) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def counted_macs(model: EfficientECG) -> int:
    """Count what really runs: every module reports the shapes it met."""
    macs = 0

    def convolution(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        macs += output.numel() * module.weight[0].numel()

    def linear(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        macs += output.numel() * inputs[0].shape[-1]

    def attention(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal macs
        asking, asked = inputs
        macs += 2 * asking.shape[1] * asked.shape[1] * module.query.out_features

    hooks = {nn.Conv2d: convolution, nn.Linear: linear, CrossAttention: attention}
    for module in model.modules():
        if type(module) in hooks:
            module.register_forward_hook(hooks[type(module)])
    features = len(model.config.features)
    signal = torch.zeros(1, model.config.leads, model.config.samples)
    with torch.inference_mode():
        model(signal, torch.zeros(1, features), torch.ones(1, features, dtype=torch.bool))
    return macs


def test_every_base_is_listed_for_its_placements() -> None:
    assert {base: len(placement_names(base)) for base in BASES} == {"b0": 9, "small": 6, "tiny": 6}
