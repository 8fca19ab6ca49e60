"""What the baselines do alike: take the signal in, pool the map, classify."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ecgmodels.errors import ConfigError
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.baselines.plan import Head
from ecgmodels.models.layers import channels_last
from ecgmodels.models.masking import SignalMask
from ecgmodels.models.network import ECGNetwork


class BaselineNetwork(ECGNetwork):
    """From segments to what `pool` makes of them, and through a head to logits.

    A template comes in as channels after those of the leads.
    """

    def __init__(self, config: ModelConfig, head: Head) -> None:
        super().__init__(config)
        self.head = ClassifierHead(head)

    def pool(self, x: Tensor, mask: SignalMask) -> Tensor:
        """Return each segment's values for the head, [b, pooled].

        Args:
            x: [b, in_channels, 1, t], channels last, 0 beyond each recording.
            mask: which of its positions are the recordings'.
        """
        raise NotImplementedError

    def forward(
        self,
        signal: Tensor,
        features: Tensor,
        feature_mask: Tensor,
        signal_mask: Tensor | None = None,
        template: Tensor | None = None,
    ) -> Tensor:
        mask = SignalMask(signal_mask)
        x = mask.zero(channels_last(self._with_template(signal, template)))
        return self.head(self.pool(x, mask), features, feature_mask)

    def _with_template(self, signal: Tensor, template: Tensor | None) -> Tensor:
        if (template is not None) != self.config.template:
            expected, came = ("", "none") if self.config.template else ("no ", "one")
            raise ConfigError(
                f"the model takes {expected}template, got {came}",
                hint="give a template exactly where the configuration's template is true",
            )
        return signal if template is None else torch.cat((signal, template), dim=1)


class ClassifierHead(nn.Module):
    """Linear layers on the pooled map and the features beside it."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        inputs, outputs = head.widths[:-1], head.widths[1:]
        normed = (head.pooled, *head.hidden)
        self.fused = len(head.features) > 0
        self.normed = head.norm
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(width) if head.norm else nn.Identity() for width in normed
        )
        self.dropouts = nn.ModuleList(
            nn.Dropout(probability) if probability else nn.Identity()
            for probability in head.dropouts
        )
        self.linears = nn.ModuleList(map(nn.Linear, inputs, outputs))

    def forward(self, pooled: Tensor, features: Tensor, feature_mask: Tensor) -> Tensor:
        if self.normed and self.training and len(pooled) < 2:
            raise ConfigError(
                "batch normalisation of pooled maps cannot train on a batch of one segment",
                hint="raise batch_size to at least 2 for each worker",
            )
        x = self.norms[0](pooled)
        if self.fused:
            known = features.masked_fill(~feature_mask, 0)
            x = torch.cat((x, known, feature_mask.to(known)), dim=1)
        x = self.linears[0](self.dropouts[0](x))
        for norm, dropout, linear in zip(
            self.norms[1:], self.dropouts[1:], self.linears[1:], strict=True
        ):
            x = linear(dropout(norm(x.relu())))
        return x
