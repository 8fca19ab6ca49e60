"""Fusing leads, each of which comes with a map of its own, into one map.

Axes: b batch, l lead, t time, c channels, h head, w width of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgmodels.models.efficientecg.attention import Attention
from ecgmodels.models.efficientecg.plan import Placement, Plan

# Learned positions begin so small in Dosovitskiy et al. 2021 ("An Image is Worth 16x16 Words").
_EMBEDDING_STD = 0.02


class LeadAttention(Attention):
    """What the mean over leads gathers from the leads, at each position by itself.

    There is one question a position, so it is the question that is projected to meet the leads'
    channels, and the leads' mixture that is projected to values: each lead's keys and values, the
    same sums in another order, would take several times the work.
    """

    def forward(self, mean_btc: Tensor, leads_bltc: Tensor) -> Tensor:
        """Return float32 [batch, time, channel]."""
        leads_bltc = self.norm_asked(leads_bltc)
        mixed_bthc = torch.einsum(
            "blth,bltc->bthc", self._weights(mean_btc, leads_bltc), leads_bltc
        )
        gathered_bthw = torch.einsum("bthc,hwc->bthw", mixed_bthc, self._of_heads(self.value))
        return self.output(gathered_bthw.flatten(2))

    def weights(self, mean_btc: Tensor, leads_bltc: Tensor) -> Tensor:
        """Return what `forward` weighs the leads by.

        Returns:
            float32 [batch, lead, time, head]; sums to 1 over leads.
        """
        return self._weights(mean_btc, self.norm_asked(leads_bltc))

    def _weights(self, mean_btc: Tensor, normal_bltc: Tensor) -> Tensor:
        query_bthw = self._by_head(self.query(self.norm_asking(mean_btc)))
        query_bthc = torch.einsum("bthw,hwc->bthc", query_bthw, self._of_heads(self.key))
        scores_blth = torch.einsum("bthc,bltc->blth", query_bthc, normal_bltc)
        return (scores_blth / self.head_width**0.5).softmax(dim=1)

    def _of_heads(self, projection: nn.Linear) -> Tensor:
        return projection.weight.unflatten(0, (self.heads, self.head_width))


class LeadFusion(nn.Module):
    """The mean over leads, and what it gathers from them by attention; each lead has an embedding.

    Without the embeddings, leads could be exchanged and nobody would notice.
    """

    def __init__(self, plan: Plan, place: Placement) -> None:
        super().__init__()
        self.leads = plan.leads
        self.embedding = nn.Parameter(torch.empty(plan.leads, 1, place.channels))
        nn.init.normal_(self.embedding, std=_EMBEDDING_STD)
        self.attention = LeadAttention(place.channels, place.channels, plan.heads, plan.head_width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [b, c, 1, t] of `x: float32 [b * l, c, 1, t]`."""
        x_bltc = x.squeeze(2).transpose(1, 2).unflatten(0, (-1, self.leads))
        leads_bltc = x_bltc + self.embedding
        mean_btc = leads_bltc.mean(dim=1)
        fused_btc = mean_btc + self.attention(mean_btc, leads_bltc)
        return fused_btc.unsqueeze(1).permute(0, 3, 1, 2)
