from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ecgmodels import ConfigError, EfficientECG, EfficientECGConfig, resolve
from ecgmodels.models.efficientecg.attention import attention_weights
from ecgmodels.models.efficientecg.lead_fusion import LeadFusion


def built(leads: int = 3, **changes: object) -> EfficientECG:
    torch.manual_seed(0)
    options = {"samples": 64, "classes": 4, "base": "tiny", "leads_fused": "stage2"} | changes
    return EfficientECG(EfficientECGConfig(leads=leads, **options))  # type: ignore[arg-type]


def outputs(model: EfficientECG, signal: Tensor, template: Tensor | None = None) -> Tensor:
    none = torch.zeros(len(signal), 0)
    return model(signal, none, none.bool(), None, template)


def test_fusion_is_attention_of_the_mean_over_leads_at_each_position() -> None:
    torch.manual_seed(0)
    plan = resolve(built(heads=2).config)
    channels, width = plan.leads_fused.channels, plan.token_width
    fusion = LeadFusion(plan, plan.leads_fused)
    nn.init.normal_(fusion.embedding)
    theirs = nn.MultiheadAttention(
        width, 2, kdim=channels, vdim=channels, bias=False, batch_first=True
    )
    attention = fusion.attention
    with torch.no_grad():
        # Its query is as wide as attention, so ours is projected before; so is its output.
        theirs.q_proj_weight.copy_(torch.eye(width))
        theirs.k_proj_weight.copy_(attention.key.weight)
        theirs.v_proj_weight.copy_(attention.value.weight)
        theirs.out_proj.weight.copy_(torch.eye(width))
    x = torch.randn(2 * 3, channels, 1, 5)
    fused = fusion(x)
    assert fused.shape == (2, channels, 1, 5)
    for segment in range(2):
        for time in range(5):
            leads = x[3 * segment : 3 * segment + 3, :, 0, time] + fusion.embedding[:, 0]
            mean, asked = leads.mean(dim=0), attention.norm_asked(leads)
            query = attention.query(attention.norm_asking(mean))
            gathered = theirs(query[None], asked, asked, need_weights=False)[0][0]
            expected = mean + attention.output(gathered)
            torch.testing.assert_close(fused[segment, :, 0, time], expected, rtol=1e-4, atol=1e-5)


def test_up_to_their_fusion_leads_do_not_hear_of_each_other() -> None:
    model = built().eval()
    maps = []
    model.stages[1].register_forward_hook(lambda module, given, result: maps.append(result[0]))
    signal = torch.randn(2, 3, 64)
    other = signal.clone()
    other[:, 1] = torch.randn(2, 64)
    outputs(model, signal), outputs(model, other)
    before, after = (x.unflatten(0, (2, 3)) for x in maps)
    assert torch.equal(before[:, [0, 2]], after[:, [0, 2]])
    assert (before[:, 1] - after[:, 1]).abs().max() > 1e-3


def test_all_leads_pass_the_same_weights() -> None:
    model = built().eval()
    maps = []
    model.stages[1].register_forward_hook(lambda module, given, result: maps.append(result[0]))
    outputs(model, torch.randn(1, 1, 64).expand(1, 3, 64))
    torch.testing.assert_close(maps[0][0].expand_as(maps[0]), maps[0])
    few, many = (
        sum(parameter.numel() for parameter in built(leads).parameters()) for leads in (3, 12)
    )
    assert many - few == 9 * resolve(model.config).leads_fused.channels  # embeddings alone


def test_embeddings_tell_leads_apart() -> None:
    model = built().eval()
    signal = torch.randn(2, 3, 64)
    exchanged = signal[:, [2, 0, 1]]
    assert (outputs(model, signal) - outputs(model, exchanged)).abs().max() > 1e-4
    nn.init.zeros_(model.lead_fusions["stage2"].embedding)
    torch.testing.assert_close(
        outputs(model, signal), outputs(model, exchanged), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("place", ["stem", "stage1", "stage4", "head"])
def test_leads_can_be_fused_at_every_place(place: str) -> None:
    model = built(leads_fused=place, template=True)
    signal = torch.randn(8, 3, 64)
    logits = outputs(model, signal, signal.roll(1, dims=0))
    assert logits.shape == (8, 4)
    logits.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_a_lead_goes_with_its_own_template() -> None:
    model = built(template=True).eval()
    nn.init.zeros_(model.lead_fusions["stage2"].embedding)
    signal, template = torch.randn(2, 2, 3, 64)
    order = [1, 2, 0]
    before = outputs(model, signal, template)
    together = outputs(model, signal[:, order], template[:, order])
    apart = outputs(model, signal[:, order], template)
    torch.testing.assert_close(together, before, rtol=1e-4, atol=1e-6)
    assert (apart - before).abs().max() > 1e-4


@pytest.mark.parametrize("leads_fused", ["input", "stage2"])
def test_a_template_is_looked_at(leads_fused: str) -> None:
    model = built(leads_fused=leads_fused, template=True).eval()
    signal, template = torch.randn(2, 2, 3, 64)
    difference = outputs(model, signal, template) - outputs(model, signal, -template)
    assert (difference.abs().max(dim=1).values > 1e-4).all()


def test_a_template_must_come_exactly_where_the_network_takes_one() -> None:
    signal = torch.randn(2, 3, 64)
    with pytest.raises(ConfigError, match="takes each recording's template, and got none") as lacks:
        outputs(built(template=True), signal)
    with pytest.raises(ConfigError, match="takes no template, and got one") as has:
        outputs(built(), signal, signal)
    assert lacks.value.hint
    assert has.value.hint


def test_embeddings_are_spared_weight_decay() -> None:
    model = built()
    spared = set(model.undecayed_parameters())
    assert model.lead_fusions["stage2"].embedding in spared
    decayed = [name for name, parameter in model.named_parameters() if parameter not in spared]
    assert all(name.endswith("weight") for name in decayed)


def test_which_lead_has_the_beat_is_learned_by_weighing_that_lead() -> None:
    model = built(leads_fused="stage1", stages=2, classes=3, samples=32, dropout=0.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1e-2, total_steps=80)
    untrained = copy.deepcopy(model).eval()
    for _ in range(80):
        signal, lead = beats(64)
        optimizer.zero_grad()
        F.cross_entropy(outputs(model, signal), lead).backward()
        optimizer.step()
        schedule.step()
    model.eval()
    signal, lead = beats(300)
    with torch.inference_mode():
        assert (outputs(model, signal).argmax(dim=1) == lead).float().mean() > 0.95
    none = torch.zeros(300, 0)
    for network, least in ((untrained, 0.0), (model, 0.05)):
        weight = attention_weights(network, signal, none, none.bool())[
            "lead_fusions.stage1.attention"
        ]
        assert weight.shape == (300, 3, 16, 2)  # segment, lead, position, head
        torch.testing.assert_close(weight.sum(dim=1), torch.ones(300, 16, 2))
        assert weight.std(dim=1).max() > least, "leads weigh alike"
        assert weight.std(dim=0).max() > least, "segments weigh alike"
    entropy = torch.special.entr(weight).sum(dim=1).mean() / math.log(3)
    assert 0.01 < entropy < 0.99


def beats(count: int) -> tuple[Tensor, Tensor]:
    """Return segments with a bump in one of three leads, and which lead it is."""
    lead = torch.randint(3, (count,))
    centre = 8 + 16 * torch.rand(count, 1)
    bump = torch.exp(-(((torch.arange(32) - centre) / 2) ** 2))
    signal = 0.1 * torch.randn(count, 3, 32)
    signal[torch.arange(count), lead] += 2 * bump
    return signal, lead
