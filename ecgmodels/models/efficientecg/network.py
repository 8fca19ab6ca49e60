"""EfficientECG: a 1-D EfficientNet with cross-attention to features and among leads.

Reads top to bottom as the signal flows: resample, stem, stages of inverted-residual blocks, head,
pooling, classifier. At the configured places `lead_fusion` makes one map of the leads' own, and
`fusion` brings features in.

Axes: b batch, l lead, c channels, t time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import torch
from torch import Tensor, nn

from ecgmodels.errors import ConfigError
from ecgmodels.models.efficientecg.config import EfficientECGConfig
from ecgmodels.models.efficientecg.fusion import CrossAttentionFusion, FeatureTokens
from ecgmodels.models.efficientecg.lead_fusion import LeadFusion
from ecgmodels.models.efficientecg.plan import Block, Plan, resolve
from ecgmodels.models.layers import ConvNorm, channels_last
from ecgmodels.models.masking import SignalMask
from ecgmodels.models.native.inverted_residual import inverted_residual
from ecgmodels.models.native.operations import kernels_serve
from ecgmodels.models.network import ECGNetwork
from ecgmodels.models.resampling import Resample

ACTIVATIONS: Mapping[str, type[nn.Module]] = MappingProxyType(
    {"silu": nn.SiLU, "relu": nn.ReLU, "gelu": nn.GELU, "hardswish": nn.Hardswish}
)


class EfficientECG(ECGNetwork):
    """The network that `config` describes; its exact sizes are in `plan`."""

    def __init__(self, config: EfficientECGConfig) -> None:
        super().__init__(config)
        self.plan = plan = resolve(config)
        resampling = plan.resampled != plan.samples
        self.resample = Resample(plan.samples, plan.resampled) if resampling else None
        activation, stem, head = ACTIVATIONS[plan.activation], plan.stem, plan.head
        self.stem = ConvNorm(
            stem.in_channels, stem.channels, stem.kernel, stem.stride, activation=activation()
        )
        self.stages = nn.ModuleList(
            Stage(
                InvertedResidual(block, activation) for block in plan.blocks if block.stage == row
            )
            for row in range(1, plan.blocks[-1].stage + 1)
        )
        self.head = ConvNorm(head.in_channels, head.channels, activation=activation())
        self.lead_fusions = nn.ModuleDict(
            {place.after: LeadFusion(plan, place) for place in (plan.leads_fused,) if place}
        )
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
        x, mask = self._map(_with_template(self.plan, signal, template), SignalMask(signal_mask))
        mask = mask.strided(self.plan.stem.stride)
        x, mask, tokens = self._fuse("stem", self.stem(x, mask), mask, tokens)
        for number, stage in enumerate(self.stages, start=1):
            x, mask = stage(x, mask)
            x, mask, tokens = self._fuse(f"stage{number}", x, mask, tokens)
        x, mask, tokens = self._fuse("head", self.head(x, mask), mask, tokens)
        pooled = mask.mean(mask.zero(x))
        if self.norm_tokens is not None:
            pooled = torch.cat((pooled, self.norm_tokens(tokens).flatten(1)), dim=1)
        elif self.plan.fusion == "concat":
            known = torch.where(feature_mask, features, 0.0)
            pooled = torch.cat((pooled, known, feature_mask.to(pooled)), dim=1)
        return self.classifier(self.dropout(pooled))

    def _map(self, signal: Tensor, mask: SignalMask) -> tuple[Tensor, SignalMask]:
        """Return what the stem sees: [b, c, 1, t], or [b * l, c, 1, t] of each lead by itself."""
        if self.resample is not None:
            signal, mask = self.resample(signal, mask)
        if self.lead_fusions:
            signal = signal.reshape(-1, self.plan.stem.in_channels, signal.shape[2])
            mask = mask.for_each(self.plan.leads)
        return mask.zero(channels_last(signal)), mask

    def _fuse(
        self, after: str, x: Tensor, mask: SignalMask, tokens: Tensor | None
    ) -> tuple[Tensor, SignalMask, Tensor | None]:
        """Fuse leads, then features, where that is this place's."""
        if after in self.lead_fusions:
            x, mask = self.lead_fusions[after](x), mask.for_all(self.plan.leads)
        if after in self.fusions:
            x, tokens = self.fusions[after](x, mask, tokens)
        return x, mask, tokens

    def undecayed_parameters(self) -> Iterator[nn.Parameter]:
        """Yield what weight decay should leave alone: norms, biases, learned tokens, embeddings."""
        learned = {m.embedding for m in self.modules() if isinstance(m, LeadFusion)}
        if self.tokens is not None:
            learned |= set(self.tokens.parameters())
        for parameter in self.parameters():
            if parameter.ndim == 1 or parameter in learned:
                yield parameter


class Stage(nn.ModuleList):
    """Blocks in a row."""

    def forward(self, x: Tensor, mask: SignalMask) -> tuple[Tensor, SignalMask]:
        """Return the last block's map and its mask."""
        for block in self:
            x, mask = block(x, mask)
        return x, mask


class InvertedResidual(nn.Module):
    """Expand, filter each channel, re-weigh the channels, project (MBConv, Sandler et al. 2018)."""

    def __init__(self, block: Block, activation: type[nn.Module]) -> None:
        super().__init__()
        hidden = block.hidden_channels
        self.expand = (
            ConvNorm(block.in_channels, hidden, activation=activation())
            if hidden != block.in_channels
            else None
        )
        self.depthwise = ConvNorm(
            hidden, hidden, block.kernel, block.stride, groups=hidden, activation=activation()
        )
        self.squeeze_excite = SqueezeExcitation(hidden, block.squeeze_channels, activation())
        self.project = ConvNorm(hidden, block.channels)
        self.drop_path = DropPath(block.drop_path) if block.drop_path else nn.Identity()
        self.stride = block.stride
        self.residual = block.residual

    def forward(self, x: Tensor, mask: SignalMask) -> tuple[Tensor, SignalMask]:
        """Return the block's map and its mask."""
        strided = mask.strided(self.stride)
        expand = () if self.expand is None else (self.expand,)
        if kernels_serve(self, x, *expand, self.depthwise, self.squeeze_excite, self.project):
            adds = self.residual and isinstance(self.drop_path, nn.Identity)
            branch = inverted_residual(self, mask.zero(x), mask, strided, residual=adds)
            if adds:
                return branch, strided
        else:
            hidden = mask.zero(x if self.expand is None else self.expand(x, mask))
            hidden = self.squeeze_excite(strided.zero(self.depthwise(hidden, strided)), strided)
            branch = self.project(hidden, strided)
        return (x + self.drop_path(branch) if self.residual else branch), strided


class SqueezeExcitation(nn.Module):
    """Scale each channel by what its mean over time says (Hu et al. 2018)."""

    def __init__(self, channels: int, squeeze_channels: int, activation: nn.Module) -> None:
        super().__init__()
        self.reduce = nn.Linear(channels, squeeze_channels)
        self.restore = nn.Linear(squeeze_channels, channels)
        self.activation = activation

    def forward(self, x: Tensor, mask: SignalMask) -> Tensor:
        """Return `x` scaled; it must be 0 beyond each recording."""
        scale_bc = torch.sigmoid(self.restore(self.activation(self.reduce(mask.mean(x)))))
        return x * scale_bc[:, :, None, None]


class DropPath(nn.Module):
    """While training, zero whole maps with `probability` and make up for it in the rest."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        kept = 1 - self.probability
        return x * x.new_empty(x.shape[0], 1, 1, 1).bernoulli_(kept).div_(kept)


def _with_template(plan: Plan, signal: Tensor, template: Tensor | None) -> Tensor:
    """Return `signal: [batch, lead, time]`, each lead followed by its template where there is one.

    Raises:
        ConfigError: there is a template and the network takes none, or the other way round.
    """
    if plan.template and template is None:
        raise ConfigError(
            "the network takes each recording's template, and got none",
            hint="give forward the template, or build the network with template False",
        )
    if template is None:
        return signal
    if not plan.template:
        raise ConfigError(
            "the network takes no template, and got one",
            hint="leave the template out, or build the network with template True",
        )
    return torch.stack((signal, template), dim=2).flatten(1, 2)
