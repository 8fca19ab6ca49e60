"""Multi-head cross-attention (Vaswani et al. 2017): who asks gathers from who is asked.

Axes: b batch, h head, q asking, k asked, w width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Norms and projections of cross-attention (pre-norm, no biases)."""

    def __init__(self, asking_width: int, asked_width: int, heads: int, head_width: int) -> None:
        super().__init__()
        width = heads * head_width
        self.heads = heads
        self.head_width = head_width
        self.norm_asking = nn.LayerNorm(asking_width)
        self.norm_asked = nn.LayerNorm(asked_width)
        self.query = nn.Linear(asking_width, width, bias=False)
        self.key = nn.Linear(asked_width, width, bias=False)
        self.value = nn.Linear(asked_width, width, bias=False)
        self.output = nn.Linear(width, asking_width, bias=False)

    def weights(self, *inputs: Any) -> Tensor:
        """Return what `forward` weighs who is asked by, given the same inputs."""
        raise NotImplementedError

    def _by_head(self, projected: Tensor) -> Tensor:
        """[..., heads * width] -> [..., heads, width]"""
        return projected.unflatten(-1, (self.heads, self.head_width))


class CrossAttention(Attention):
    """What each position of one sequence gathers from all of another, to be added to it."""

    def forward(self, asking: Tensor, asked: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return float32 [batch, asking position, asking width].

        Args:
            asking: float32 [batch, asking position, asking width].
            asked: float32 [batch, asked position, asked width].
            valid: bool [batch, asked position], False where nothing may be gathered; None: from
                everywhere.
        """
        asked = self.norm_asked(asked)
        gathered = F.scaled_dot_product_attention(
            self._by_head(self.query(self.norm_asking(asking))).transpose(1, 2),
            self._by_head(self.key(asked)).transpose(1, 2),
            self._by_head(self.value(asked)).transpose(1, 2),
            attn_mask=None if valid is None else valid[:, None, None],
        )
        return self.output(gathered.transpose(1, 2).flatten(2))

    def weights(self, asking: Tensor, asked: Tensor, valid: Tensor | None = None) -> Tensor:
        """Return what `forward` weighs the asked positions by.

        Returns:
            float32 [batch, head, asking position, asked position]; sums to 1 over the last.
        """
        query_bqhw = self._by_head(self.query(self.norm_asking(asking)))
        key_bkhw = self._by_head(self.key(self.norm_asked(asked)))
        scores = query_bqhw.transpose(1, 2) @ key_bkhw.permute(0, 2, 3, 1)
        if valid is not None:
            scores = scores.masked_fill(~valid[:, None, None], float("-inf"))
        return (scores / self.head_width**0.5).softmax(dim=3)


@torch.no_grad()
def attention_weights(model: nn.Module, *inputs: Tensor | None) -> dict[str, Tensor]:
    """Return what every attention of `model` weighs whom it asks by, for these inputs.

    Args:
        model: a network; its mode (training or evaluation) stays as it is.
        inputs: what its `forward` takes.

    Returns:
        Attentions by the names of their modules, in the order in which the signal meets them: as
        `CrossAttention.weights` or `LeadAttention.weights` has them.
    """
    found: dict[str, Tensor] = {}

    def look(name: str, module: Attention) -> Any:
        def hook(_: nn.Module, given: tuple[Any, ...], __: Tensor) -> None:
            found[name] = module.weights(*given)

        return module.register_forward_hook(hook)

    attentions = [(n, m) for n, m in model.named_modules() if isinstance(m, Attention)]
    hooks = [look(name, module) for name, module in attentions]
    try:
        model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found
