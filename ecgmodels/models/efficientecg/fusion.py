"""Patient and rhythm features as tokens, and the cross-attention between tokens and ECG.

Axes: b batch, f feature, n token (features and the register), t time, c channels, w token width.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgmodels.models.efficientecg.attention import CrossAttention
from ecgmodels.models.efficientecg.plan import Placement, Plan
from ecgmodels.models.masking import SignalMask


class FeatureTokens(nn.Module):
    """One token a feature, and one learned register token.

    A known value is embedded on a line of its own, `value * slope + offset`; an unknown one is a
    learned token, so that unknown never looks like average. The register is there because
    attention over a single key would be a mere projection.
    """

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.empty(features, width))
        self.offset = nn.Parameter(torch.empty(features, width))
        self.missing = nn.Parameter(torch.empty(features, width))
        self.register = nn.Parameter(torch.empty(1, width))
        for token in self.parameters():
            nn.init.normal_(token)

    def forward(self, features_bf: Tensor, mask_bf: Tensor) -> Tensor:
        value_bf1 = features_bf.unsqueeze(2)
        known_bfw = torch.addcmul(self.offset, value_bf1, self.slope)
        tokens_bfw = torch.where(mask_bf.unsqueeze(2), known_bfw, self.missing)
        register_bnw = self.register.expand(features_bf.shape[0], 1, -1)
        return torch.cat((tokens_bfw, register_bnw), dim=1)


class CrossAttentionFusion(nn.Module):
    """One placement: tokens read the ECG, ECG positions read the tokens, or both in that order."""

    def __init__(self, plan: Plan, placement: Placement) -> None:
        super().__init__()
        channels, width = placement.channels, plan.token_width
        shape = (plan.heads, plan.head_width)
        self.tokens_ask = CrossAttention(width, channels, *shape) if plan.tokens_attend else None
        self.signal_asks = CrossAttention(channels, width, *shape) if plan.signal_attends else None

    def forward(
        self, x_bc1t: Tensor, mask: SignalMask, tokens_bnw: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the map and the tokens, each with what it gathered."""
        x_btc = x_bc1t.squeeze(2).transpose(1, 2)
        if self.tokens_ask is not None:
            tokens_bnw = tokens_bnw + self.tokens_ask(tokens_bnw, x_btc, mask.valid)
        if self.signal_asks is not None:
            x_btc = x_btc + self.signal_asks(x_btc, tokens_bnw)
        return x_btc.unsqueeze(1).permute(0, 3, 1, 2), tokens_bnw
