from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from ecgmodels import EfficientECG, EfficientECGConfig, cost
from ecgmodels.models.efficientecg.attention import CrossAttention
from ecgmodels.models.efficientecg.lead_fusion import LeadAttention
from tests.unit.model.efficientecg_configs import FEATURES, configs


@pytest.mark.parametrize(
    ("leads", "classes", "parameters"), [(1, 5, 3_870_721), (8, 34, 3_908_542)]
)
def test_b0_has_the_parameters_of_a_1d_efficientnet_b0(
    leads: int, classes: int, parameters: int
) -> None:
    config = EfficientECGConfig(leads=leads, samples=256, classes=classes)
    assert cost(config)["parameters"] == parameters
    assert sum(parameter.numel() for parameter in EfficientECG(config).parameters()) == parameters


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


@given(config=configs())
@settings(max_examples=60, deadline=None)
def test_costs_equal_the_built_network_over_the_family(config: EfficientECGConfig) -> None:
    with torch.device("meta"):  # shapes without arithmetic
        model = EfficientECG(config).to("meta").eval()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    assert cost(config) == {"parameters": parameters, "macs": met_macs(model)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"base": "b0", "stem_stride": 4, "squeeze_ratio": 0.5},
        {"leads_fused": "stage3", "template": True},
        {
            "fusion": "attention",
            "features": FEATURES,
            "placements": ("stem", "stage2", "head"),
            "direction": "both",
            "heads": 3,
        },
    ],
    ids=["plain", "coarse b0", "leads apart", "attention"],
)
def test_macs_equal_those_that_torch_counts_as_it_runs(changes: dict[str, object]) -> None:
    options = {"leads": 3, "samples": 100, "classes": 5, "base": "tiny", "expansion": 2}
    config = EfficientECGConfig(**options | changes)  # type: ignore[arg-type]
    model = EfficientECG(config).eval()
    counter = FlopCounterMode(display=False)
    with counter, sdpa_kernel(SDPBackend.MATH):  # the one whose products torch counts on a CPU
        run(model)
    assert cost(config)["macs"] == counter.get_total_flops() // 2


def test_leads_by_themselves_cost_work_and_hardly_a_parameter() -> None:
    joint, apart = (
        EfficientECGConfig(leads=12, samples=256, classes=5, base="small", leads_fused=place)
        for place in ("input", "stage2")
    )
    assert cost(apart)["macs"] > 3 * cost(joint)["macs"]
    # 11 leads fewer in the stem; embeddings, four projections and two norms more.
    difference = -11 * 16 * 5 + 12 * 24 + 4 * 24 * 32 + 4 * 24
    assert cost(apart)["parameters"] - cost(joint)["parameters"] == difference


def test_costing_a_deep_network_takes_milliseconds_at_most() -> None:
    config = EfficientECGConfig(leads=12, samples=5000, classes=27, depth=3.0)
    begin = time.perf_counter()
    for _ in range(20):
        cost(config)
    assert (time.perf_counter() - begin) / 20 < 0.01


def run(model: EfficientECG) -> None:
    config, device = model.config, next(model.parameters()).device
    signal = torch.zeros(1, config.leads, config.samples, device=device)
    features = torch.zeros(1, len(config.features), device=device)
    with torch.inference_mode():
        model(signal, features, features == 0, None, signal if config.template else None)


def met_macs(model: EfficientECG) -> int:
    """Count what really runs: every module reports the shapes it met."""
    macs = 0

    def count(counted: Callable[[nn.Module, tuple[Tensor, ...], Tensor], int]) -> Callable:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
            nonlocal macs
            macs += counted(module, inputs, output)

        return hook

    hooks = {
        nn.Conv2d: count(lambda m, given, out: out.numel() * m.weight[0].numel()),
        nn.Linear: count(lambda m, given, out: out.numel() * m.in_features),
        # Scores and mixing, each a product of as many numbers as attention is wide.
        CrossAttention: count(
            lambda m, given, out: 2 * given[0].shape[1] * given[1].shape[1] * m.key.out_features
        ),
        # Keys and values once a position, scores and mixing for every lead and head.
        LeadAttention: count(
            lambda m, given, out: (
                2 * given[0][0].numel() * m.key.out_features + 2 * given[1].numel() * m.heads
            )
        ),
    }
    for module in model.modules():
        if type(module) in hooks:
            module.register_forward_hook(hooks[type(module)])
    run(model)
    return macs
