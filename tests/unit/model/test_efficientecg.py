from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ecgmodels import EfficientECG, EfficientECGConfig
from ecgmodels.models.efficientecg.attention import attention_weights
from ecgmodels.models.efficientecg.bases import BASES

FUSIONS = {
    "none": {},
    "concat": {"fusion": "concat", "features": ("age", "sex")},
} | {
    direction: {
        "fusion": "attention",
        "features": ("age", "sex"),
        "placements": ("stem", "stage2", "head"),
        "direction": direction,
    }
    for direction in ("signal_to_features", "features_to_signal", "both")
}
USING_FEATURES = [name for name in FUSIONS if name != "none"]


def built(fusion: str = "none", **changes: object) -> EfficientECG:
    torch.manual_seed(0)
    options = {"leads": 2, "samples": 64, "classes": 5, "base": "tiny"} | FUSIONS[fusion] | changes
    return EfficientECG(EfficientECGConfig(**options))  # type: ignore[arg-type]


def inputs(model: EfficientECG, batch: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    config = model.config
    return (
        torch.randn(batch, config.leads, config.samples, generator=random),
        torch.randn(batch, len(config.features), generator=random),
        torch.ones(batch, len(config.features), dtype=torch.bool),
    )


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("base", BASES)
def test_every_base_and_fusion_gives_a_finite_logit_per_class(base: str, fusion: str) -> None:
    model = built(fusion, base=base, resolution=1.2, leads=1)
    logits = model(*inputs(model))
    assert logits.shape == (8, 5)
    assert logits.isfinite().all()


@pytest.mark.parametrize("fusion", FUSIONS)
def test_gradient_reaches_every_parameter(fusion: str) -> None:
    model = built(fusion)
    signal, features, mask = inputs(model)
    mask[:4] = False
    model(signal, features, mask).square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_equal_seeds_give_equal_weights() -> None:
    first, second = built("both").state_dict(), built("both").state_dict()
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


@pytest.mark.parametrize("fusion", USING_FEATURES)
def test_shuffling_age_among_patients_changes_their_outputs(fusion: str) -> None:
    model = built(fusion).eval()
    signal, features, mask = inputs(model)
    shuffled = features.clone()
    shuffled[:, 0] = features[:, 0].roll(1)
    difference = (model(signal, shuffled, mask) - model(signal, features, mask)).abs()
    assert (difference.max(dim=1).values > 1e-5).all()


@pytest.mark.parametrize("fusion", USING_FEATURES)
def test_a_missing_feature_is_the_same_whatever_stands_in_its_place(fusion: str) -> None:
    model = built(fusion).eval()
    signal, features, mask = inputs(model)
    mask[:, 0] = False
    other = features.clone()
    other[:, 0] = 99.0
    assert torch.equal(model(signal, features, mask), model(signal, other, mask))


@pytest.mark.parametrize("fusion", USING_FEATURES)
def test_a_missing_feature_is_not_an_average_one(fusion: str) -> None:
    model = built(fusion).eval()
    signal, features, mask = inputs(model)
    features[:, 0] = 0.0
    unknown = mask.clone()
    unknown[:, 0] = False
    assert (model(signal, features, mask) - model(signal, features, unknown)).abs().max() > 1e-4


def test_untrained_attention_already_chooses_among_tokens_by_position() -> None:
    model = built("signal_to_features").eval()
    weights = attention_weights(model, *inputs(model))
    assert len(weights) == 3
    for weight in weights.values():  # [batch, heads, position, token]
        assert weight.shape[3] == 3  # age, sex, register
        assert weight.max() < 0.999
        assert weight.std(dim=2).max() > 0.001, "every position weighs the tokens alike"
        assert weight.std(dim=3).max() > 0.001, "all tokens weigh the same"


def test_tokens_carry_what_they_read_of_the_ecg_to_the_classifier() -> None:
    model = built("features_to_signal").eval()
    model.classifier.weight.data[:, : model.plan.head.channels] = 0  # the pooled map is cut off
    signal, features, mask = inputs(model)
    assert (model(signal, features, mask) - model(-signal, features, mask)).abs().max() > 1e-4


@pytest.mark.parametrize(
    "changes", [{"leads": 1}, {"leads_fused": "stage1"}, {"leads_fused": "head", "resolution": 0.7}]
)
def test_maps_stay_channels_last_whatever_the_leads(changes: dict[str, object]) -> None:
    model = built(**changes)
    layouts = []
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(
                lambda m, i, o: layouts.append(o.is_contiguous(memory_format=torch.channels_last))
            )
    model(*inputs(model))
    assert layouts
    assert all(layouts)


def test_stochastic_depth_skips_whole_segments_and_keeps_the_mean() -> None:
    model = built(depth=2.0, drop_path=0.5)
    drop = model.stages[-1][-1].drop_path
    out = drop(torch.ones(20_000, 2, 1, 1))
    assert set(out.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(out[:, 0], out[:, 1])
    assert out.mean().item() == pytest.approx(1, abs=0.05)
    drop.eval()
    assert torch.equal(drop(torch.ones(4, 2, 1, 1)), torch.ones(4, 2, 1, 1))


def test_evaluation_is_deterministic_despite_dropout() -> None:
    model = built("both", dropout=0.5, drop_path=0.5).eval()
    assert torch.equal(model(*inputs(model)), model(*inputs(model)))


@pytest.mark.parametrize(
    ("activation", "module"),
    [("silu", nn.SiLU), ("relu", nn.ReLU), ("gelu", nn.GELU), ("hardswish", nn.Hardswish)],
)
def test_the_activation_is_the_same_throughout(activation: str, module: type[nn.Module]) -> None:
    model = built(activation=activation)
    others = {nn.SiLU, nn.ReLU, nn.GELU, nn.Hardswish} - {module}
    kinds = [type(part) for part in model.modules()]
    # The stem, the head, and in each of 4 blocks the depthwise convolution and the squeeze; the
    # expansion in all but the first.
    assert kinds.count(module) == 2 + 2 * 4 + 3
    assert others.isdisjoint(kinds)


@pytest.mark.parametrize("resolution", [1.0, 0.6])
@pytest.mark.parametrize("time", [1, 30, 64, 100])
def test_segments_may_be_shorter_or_longer_than_configured(time: int, resolution: float) -> None:
    model = built("both", resolution=resolution, leads_fused="stem").eval()
    _, features, mask = inputs(model)
    signal = torch.randn(8, 2, time)
    logits = model(signal, features, mask)
    assert logits.shape == (8, 5)
    assert logits.isfinite().all()
    alone = model(signal[3:4], features[3:4], mask[3:4])
    torch.testing.assert_close(alone, logits[3:4], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("fusion", ["none", "both"])
def test_without_a_signal_mask_nothing_is_masked(fusion: str) -> None:
    model = built(fusion, resolution=0.7, leads_fused="stem").eval()
    signal, features, mask = inputs(model)
    whole = torch.ones(8, 64, dtype=torch.bool)
    plain, masked = (operations(model, signal, features, mask, m) for m in (None, whole))
    masking = {"masked_fill", "bitwise_not", "lt"}
    assert masking.isdisjoint(plain)
    assert masking <= set(masked)


def operations(model: EfficientECG, *given: Tensor | None) -> list[str]:
    """Return the names of what the network asks of torch."""

    class Record(TorchDispatchMode):
        names: ClassVar[list[str]] = []

        def __torch_dispatch__(self, function, types, arguments=(), options=None):
            self.names.append(function.overloadpacket.__name__)
            return function(*arguments, **(options or {}))

    with torch.inference_mode(), Record() as record:
        model(*given)
    return record.names


def test_norms_biases_and_tokens_are_spared_weight_decay() -> None:
    model = built("both")
    spared = set(model.undecayed_parameters())
    decayed = [name for name, parameter in model.named_parameters() if parameter not in spared]
    assert all(name.endswith("weight") for name in decayed)
    assert set(norm_parameters(model)) <= spared
    assert set(model.tokens.parameters()) <= spared


def norm_parameters(model: nn.Module) -> Iterator[nn.Parameter]:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            yield from module.parameters()
