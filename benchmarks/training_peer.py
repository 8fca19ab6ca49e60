"""The peer of the training step: the same network and the same data as a user would write them.

Conv1d, BatchNorm1d and SiLU one after another, a Dataset that normalises an item at a time, a
DataLoader, AdamW as it comes. Axes: b batch, c channels, t time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from training_work import BATCH, STD_UV, Work, synchronise

from ecgmodels.models.efficientecg.plan import Block, Placement, Plan, resolve


def peer(work: Work, *, device: str, workers: int) -> Callable[[], float]:
    """Return a round: it trains for `work.steps` steps and returns segments/s."""
    made = work.segments()
    data = PeerSegments(made.signal_uv, made.features, made.label)
    loader = torch.utils.data.DataLoader(
        data,
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=device == "cuda",
    )
    torch.manual_seed(0)
    model = PeerNetwork(resolve(work.config)).to(device)
    optimizer = torch.optim.AdamW(model.parameters())
    model.train()

    def epoch() -> None:
        for batch in loader:
            signal, features, known, label = (part.to(device) for part in batch)
            optimizer.zero_grad()
            loss = F.cross_entropy(model(signal, features, known), label)
            loss.backward()
            optimizer.step()

    epoch()

    def round_of_steps() -> float:
        synchronise(device)
        begun_s = time.perf_counter()
        epoch()
        synchronise(device)
        return len(data) / (time.perf_counter() - begun_s)

    return round_of_steps


class PeerSegments(torch.utils.data.Dataset[tuple[Tensor, Tensor, Tensor, int]]):
    """Segments in memory, normalised as they are asked for."""

    def __init__(
        self,
        signal_uv: np.ndarray[Any, Any],
        features: np.ndarray[Any, Any],
        label: np.ndarray[Any, Any],
    ) -> None:
        """Take int16 [segment, lead, time], float32 [segment, feature] and int64 [segment]."""
        self.signal_uv = torch.from_numpy(signal_uv)
        self.features = torch.from_numpy(features)
        self.label = label
        self.mean_uv = torch.zeros(signal_uv.shape[1], 1)
        self.std_uv = torch.full((signal_uv.shape[1], 1), STD_UV)

    def __len__(self) -> int:
        return len(self.label)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor, int]:
        signal = (self.signal_uv[index].float() - self.mean_uv) / self.std_uv
        features = self.features[index]
        known = ~features.isnan()
        return signal, features.nan_to_num(0.0), known, int(self.label[index])


class PeerNetwork(nn.Module):
    """EfficientECG of a plan: leads as channels, SiLU, no dropout; ECG attends to features."""

    def __init__(self, plan: Plan) -> None:
        super().__init__()
        stem, head = plan.stem, plan.head
        self.stem = _conv_norm_silu(stem.in_channels, stem.channels, stem.kernel, stem.stride)
        self.stages = nn.ModuleList(
            nn.Sequential(*(PeerBlock(block) for block in plan.blocks if block.stage == stage))
            for stage in range(1, plan.blocks[-1].stage + 1)
        )
        self.head = _conv_norm_silu(head.in_channels, head.channels, 1, 1)
        self.tokens = PeerTokens(len(plan.features), plan.token_width) if plan.tokens else None
        self.fusions = nn.ModuleDict(
            {place.after: PeerAttention(plan, place) for place in plan.placements}
        )
        self.classifier = nn.Linear(plan.classifier_inputs, plan.classes)

    def forward(self, signal: Tensor, features: Tensor, known: Tensor) -> Tensor:
        tokens = None if self.tokens is None else self.tokens(features, known)
        x = self._fused("stem", self.stem(signal), tokens)
        for number, stage in enumerate(self.stages, start=1):
            x = self._fused(f"stage{number}", stage(x), tokens)
        x = self._fused("head", self.head(x), tokens)
        return self.classifier(x.mean(dim=2))

    def _fused(self, after: str, x: Tensor, tokens: Tensor | None) -> Tensor:
        return self.fusions[after](x, tokens) if after in self.fusions else x


class PeerBlock(nn.Module):
    """An inverted residual."""

    def __init__(self, block: Block) -> None:
        super().__init__()
        hidden = block.hidden_channels
        self.expand = (
            _conv_norm_silu(block.in_channels, hidden, 1, 1)
            if hidden != block.in_channels
            else nn.Identity()
        )
        self.depthwise = _conv_norm_silu(hidden, hidden, block.kernel, block.stride, hidden)
        self.reduce = nn.Linear(hidden, block.squeeze_channels)
        self.restore = nn.Linear(block.squeeze_channels, hidden)
        self.project = nn.Sequential(
            nn.Conv1d(hidden, block.channels, 1, bias=False), nn.BatchNorm1d(block.channels)
        )
        self.residual = block.residual

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.expand(x))
        scale = torch.sigmoid(self.restore(F.silu(self.reduce(y.mean(dim=2)))))
        y = self.project(y * scale.unsqueeze(2))
        return x + y if self.residual else y


class PeerTokens(nn.Module):
    """Features as tokens; a missing one is learned, and so is one that is always there."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.randn(features, width))
        self.offset = nn.Parameter(torch.randn(features, width))
        self.missing = nn.Parameter(torch.randn(features, width))
        self.register = nn.Parameter(torch.randn(1, width))

    def forward(self, features: Tensor, known: Tensor) -> Tensor:
        embedded = features.unsqueeze(2) * self.slope + self.offset
        tokens = torch.where(known.unsqueeze(2), embedded, self.missing)
        return torch.cat([tokens, self.register.expand(len(features), 1, -1)], dim=1)


class PeerAttention(nn.Module):
    """ECG positions attend to the tokens."""

    def __init__(self, plan: Plan, place: Placement) -> None:
        super().__init__()
        width = plan.token_width
        self.heads = plan.heads
        self.norm_asking = nn.LayerNorm(place.channels)
        self.norm_asked = nn.LayerNorm(width)
        self.query = nn.Linear(place.channels, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, place.channels, bias=False)

    def forward(self, x: Tensor, tokens: Tensor) -> Tensor:
        asking, asked = self.norm_asking(x.transpose(1, 2)), self.norm_asked(tokens)
        gathered = F.scaled_dot_product_attention(
            self._by_head(self.query(asking)),
            self._by_head(self.key(asked)),
            self._by_head(self.value(asked)),
        )
        return x + self.output(gathered.transpose(1, 2).flatten(2)).transpose(1, 2)

    def _by_head(self, projected: Tensor) -> Tensor:
        b, positions, width = projected.shape
        return projected.view(b, positions, self.heads, width // self.heads).transpose(1, 2)


def _conv_norm_silu(
    in_channels: int, channels: int, kernel: int, stride: int, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(in_channels, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm1d(channels),
        nn.SiLU(),
    )


def copy_weights(ours: nn.Module, peer: nn.Module) -> None:
    """Give the peer our weights; both list theirs in the same order."""
    with torch.no_grad():
        for own, other in zip(ours.parameters(), peer.parameters(), strict=True):
            other.copy_(own.reshape(other.shape))
