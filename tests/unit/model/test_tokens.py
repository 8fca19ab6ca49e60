"""Do fused networks use their feature tokens? Each learns a task that needs signal and age at once.

A bump is up or down, a patient young or old, and the class is whether both are: neither alone tells
anything about it.
"""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from ecgmodels import EfficientECG, EfficientECGConfig
from ecgmodels.models.efficientecg.attention import CrossAttention, attention_weights
from ecgmodels.models.efficientecg.fusion import CrossAttentionFusion
from ecgmodels.models.masking import SignalMask

PLACES = {
    "stem": ("stem",),
    "stage": ("stage2",),
    "head": ("head",),
    "several": ("stem", "stage2", "head"),
}
DIRECTIONS = ("signal_to_features", "features_to_signal", "both")
EVERY_FUSION = pytest.mark.parametrize(
    ("direction", "places"), [(direction, places) for direction in DIRECTIONS for places in PLACES]
)
STEPS, BATCH = 60, 64


def patients(count: int, seed: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return signals [patient, 1, 32], features (age and one that says nothing), mask, label."""
    random = torch.Generator().manual_seed(seed)
    up, old = torch.randint(2, (2, count), generator=random)
    centre = 8 + 16 * torch.rand(count, 1, generator=random)
    bump = (2 * up[:, None] - 1) * torch.exp(-(((torch.arange(32) - centre) / 2) ** 2))
    signal = 2 * bump + 0.1 * torch.randn(count, 32, generator=random)
    age = 2 * old - 1 + 0.3 * torch.randn(count, generator=random)
    features = torch.stack((age, torch.randn(count, generator=random)), dim=1)
    return signal[:, None], features, torch.ones(count, 2, dtype=torch.bool), up ^ old


@cache
def trained(direction: str, places: str) -> EfficientECG:
    """Return the fused network in evaluation mode after seconds of learning."""
    torch.manual_seed(0)
    model = EfficientECG(
        EfficientECGConfig(
            leads=1,
            samples=32,
            classes=2,
            features=("age", "other"),
            base="tiny",
            stages=2,
            fusion="attention",
            placements=PLACES[places],
            direction=direction,  # type: ignore[arg-type]
            dropout=0.0,
        )
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=STEPS)
    batches = zip(*(part.split(BATCH) for part in patients(STEPS * BATCH, seed=1)), strict=True)
    for signal, features, mask, label in batches:
        optimizer.zero_grad()
        F.cross_entropy(model(signal, features, mask), label).backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def accuracy(logits: Tensor, label: Tensor) -> float:
    return (logits.argmax(dim=1) == label).float().mean().item()


@EVERY_FUSION
def test_what_needs_signal_and_age_together_is_learned_and_lost_when_ages_are_shuffled(
    direction: str, places: str
) -> None:
    model = trained(direction, places)
    signal, features, mask, label = patients(500, seed=2)
    shuffled = features.clone()
    shuffled[:, 0] = features[torch.randperm(500, generator=torch.Generator().manual_seed(3)), 0]
    with torch.inference_mode():
        known, mixed = model(signal, features, mask), model(signal, shuffled, mask)
    assert accuracy(known, label) > 0.95
    assert accuracy(mixed, label) < 0.6  # chance is half
    aged = features[:, 0].sign() != shuffled[:, 0].sign()
    assert (known - mixed)[aged].abs().max(dim=1).values.median() > 1


@EVERY_FUSION
def test_masking_a_feature_is_the_learned_missing_token_whatever_its_value(
    direction: str, places: str
) -> None:
    model = trained(direction, places)
    signal, features, mask, _ = patients(50, seed=2)
    unknown = mask.clone()
    unknown[:, 0] = False
    tokens = model.tokens
    slope, offset = tokens.slope.clone(), tokens.offset.clone()
    with torch.no_grad():
        missing = model(signal, features, unknown)
        for value in (0.0, -7.0, 1e9, math.nan):
            features[:, 0] = value
            assert torch.equal(model(signal, features, unknown), missing)
        # A known age whose embedding is the missing token, at any value, gives the same.
        features[:, 0] = 3.0
        known = model(signal, features, mask)
        try:
            tokens.slope[0], tokens.offset[0] = 0.0, tokens.missing[0]
            assert torch.equal(model(signal, features, mask), missing)
        finally:
            tokens.slope.copy_(slope)
            tokens.offset.copy_(offset)
    assert (known - missing).abs().max() > 0.1


@EVERY_FUSION
def test_attention_is_neither_even_nor_stuck(direction: str, places: str) -> None:
    model = trained(direction, places)
    weights = attention_weights(model, *patients(200, seed=2)[:3])
    sides = {"signal_to_features": ["signal_asks"], "features_to_signal": ["tokens_ask"]}
    expected = sides.get(direction, ["tokens_ask", "signal_asks"])
    assert list(weights) == [
        f"fusions.{place}.{side}" for place in PLACES[places] for side in expected
    ]
    for name, weight in weights.items():  # [segment, head, asking, asked]
        if name.endswith("signal_asks"):
            assert weight.shape[3] == 3  # age, the other and the register
        entropy = torch.special.entr(weight).sum(dim=3).mean() / math.log(weight.shape[3])
        assert 0.01 < entropy < 0.99, name
        assert weight.std(dim=3).mean() > 0.01, f"{name}: all are asked alike"
        assert weight.std(dim=2).mean() > 0.01, f"{name}: all ask alike"
        assert weight.std(dim=0).max() > 0.05, f"{name}: every segment weighs alike"


def test_tokens_read_the_map_and_the_map_then_reads_what_they_became() -> None:
    torch.manual_seed(0)
    plan = trained("both", "head").plan
    fusion = CrossAttentionFusion(plan, plan.placements[0])
    positions = torch.randn(2, 5, plan.placements[0].channels)
    tokens = torch.randn(2, 3, plan.token_width)
    x, after = fusion(positions.transpose(1, 2).unsqueeze(2), SignalMask(None), tokens)
    expected_tokens = tokens + fusion.tokens_ask(tokens, positions)
    expected = positions + fusion.signal_asks(positions, expected_tokens)
    torch.testing.assert_close(after, expected_tokens)
    torch.testing.assert_close(x.squeeze(2).transpose(1, 2), expected)


def test_weights_are_those_that_attention_weighs_by() -> None:
    torch.manual_seed(0)
    attention = CrossAttention(asking_width=6, asked_width=10, heads=3, head_width=4)
    asking, asked = torch.randn(2, 5, 6), torch.randn(2, 7, 10)
    valid = torch.arange(7) < torch.tensor([7, 4])[:, None]
    weight = attention.weights(asking, asked, valid)
    assert weight.shape == (2, 3, 5, 7)
    torch.testing.assert_close(weight.sum(dim=3), torch.ones(2, 3, 5))
    assert (weight[1, :, :, 4:] == 0).all()
    value = attention.value(attention.norm_asked(asked)).unflatten(2, (3, 4))
    gathered = torch.einsum("bhqk,bkhw->bqhw", weight, value).flatten(2)
    torch.testing.assert_close(attention.output(gathered), attention(asking, asked, valid))


def test_looking_at_attention_leaves_the_network_as_it_was() -> None:
    model = trained("both", "head")
    given = patients(4, seed=2)[:3]
    before = model(*given)
    attention_weights(model, *given)
    assert torch.equal(model(*given), before)
    assert all(not module._forward_hooks for module in model.modules())
