"""EfficientECG: a 1-D EfficientNet with cross-attention to patient and rhythm features.

Reads top to bottom as the signal flows: resample, stem, stages of inverted-residual blocks, head,
pooling, classifier; `fusion` meets the map at the configured placements.

Axes: b batch, c channels, t time.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ecgmodels.models.efficientecg.config import EfficientECGConfig
from ecgmodels.models.efficientecg.fusion import CrossAttentionFusion, FeatureTokens
from ecgmodels.models.efficientecg.plan import Block, resolve
from ecgmodels.models.layers import channels_last, conv_norm
from ecgmodels.models.network import ECGNetwork
from ecgmodels.models.resampling import Resample


class EfficientECG(ECGNetwork):
    """The network that `config` describes; its exact sizes are in `plan`."""

    def __init__(self, config: EfficientECGConfig) -> None:
        super().__init__(config)
        self.plan = plan = resolve(config)
        self.resample = (
            Resample(plan.samples, plan.resampled)
            if plan.resampled != plan.samples
            else nn.Identity()
        )
        stem, head = plan.stem, plan.head
        self.stem = _conv_norm_silu(stem.in_channels, stem.channels, stem.kernel, stem.stride)
        self.stages = nn.ModuleList(
            nn.Sequential(*(InvertedResidual(block) for block in plan.blocks if block.stage == row))
            for row in range(1, plan.blocks[-1].stage + 1)
        )
        self.head = _conv_norm_silu(head.in_channels, head.channels, head.kernel, head.stride)
        self.tokens = FeatureTokens(len(plan.features), plan.token_width) if plan.tokens else None
        self.fusions = nn.ModuleDict(
            {place.after: CrossAttentionFusion(plan, place) for place in plan.placements}
        )
        self.norm_tokens = nn.LayerNorm(plan.token_width) if plan.tokens_attend else None
        self.dropout = nn.Dropout(plan.dropout)
        self.classifier = nn.Linear(plan.classifier_inputs, plan.classes)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(
        self,
        signal: Tensor,
        features: Tensor,
        feature_mask: Tensor,
        signal_mask: Tensor | None = None,
        template: Tensor | None = None,
    ) -> Tensor:
        tokens = None if self.tokens is None else self.tokens(features, feature_mask)
        x = self.stem(channels_last(self.resample(signal)))
        x, tokens = self._fuse("stem", x, tokens)
        for number, stage in enumerate(self.stages, start=1):
            x, tokens = self._fuse(f"stage{number}", stage(x), tokens)
        x, tokens = self._fuse("head", self.head(x), tokens)
        pooled = _mean_over_time(x)
        if self.norm_tokens is not None:
            pooled = torch.cat((pooled, self.norm_tokens(tokens).flatten(1)), dim=1)
        elif self.plan.fusion == "concat":
            pooled = torch.cat((pooled, features * feature_mask, feature_mask.to(pooled)), dim=1)
        return self.classifier(self.dropout(pooled))

    def _fuse(self, after: str, x: Tensor, tokens: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return self.fusions[after](x, tokens) if after in self.fusions else (x, tokens)

    def undecayed_parameters(self) -> Iterator[nn.Parameter]:
        """Yield what weight decay should leave alone: norms, biases and learned tokens."""
        learned_tokens = set() if self.tokens is None else set(self.tokens.parameters())
        for parameter in self.parameters():
            if parameter.ndim == 1 or parameter in learned_tokens:
                yield parameter


class InvertedResidual(nn.Module):
    """Expand, filter each channel, re-weigh the channels, project (MBConv, Sandler et al. 2018)."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        hidden = block.hidden_channels
        self.expand = (
            _conv_norm_silu(block.in_channels, hidden)
            if hidden != block.in_channels
            else nn.Identity()
        )
        self.depthwise = _conv_norm_silu(hidden, hidden, block.kernel, block.stride, groups=hidden)
        self.squeeze_excite = SqueezeExcitation(hidden, block.squeeze_channels)
        self.project = conv_norm(hidden, block.channels)
        self.drop_path = DropPath(block.drop_path) if block.drop_path else nn.Identity()
        self.residual = block.residual

    def forward(self, x: Tensor) -> Tensor:
        branch = self.project(self.squeeze_excite(self.depthwise(self.expand(x))))
        return x + self.drop_path(branch) if self.residual else branch


class SqueezeExcitation(nn.Module):
    """Scale each channel by what its mean over time says (Hu et al. 2018)."""

    def __init__(self, channels: int, squeeze_channels: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, squeeze_channels)
        self.restore = nn.Linear(squeeze_channels, channels)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        scale_bc = torch.sigmoid(self.restore(self.activation(self.reduce(_mean_over_time(x)))))
        return x * scale_bc[:, :, None, None]


class DropPath(nn.Module):
    """While training, zero whole segments with `probability` and make up for it in the rest."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = 1 - self.probability
        return x * x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(kept).div_(kept)


def _conv_norm_silu(
    in_channels: int, channels: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(*conv_norm(in_channels, channels, kernel, stride, groups), nn.SiLU())


def _mean_over_time(x: Tensor) -> Tensor:
    """[b, c, 1, t] -> [b, c]; unlike `mean`, its gradient never divides a whole map."""
    return x.sum(dim=(2, 3)) / x.shape[3]
