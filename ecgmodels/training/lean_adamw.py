"""AdamW for networks of many small parameters, on a CPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class _Gathered:
    """A group's parameters, and what is remembered of them, in the same order."""

    parameters: list[Tensor]
    means: list[Tensor]
    squares: list[Tensor]
    steps: list[Tensor]


class LeanAdamW(torch.optim.AdamW):
    """torch's fused AdamW: the same numbers, but less Python for each parameter at each step.

    torch gathers every parameter's state anew at each step and counts up its steps by itself, which
    takes a network of 20,000 parameters a twentieth of its time. Here the state is gathered once,
    and the counts are neighbours in memory that are counted up together.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], *, lr: float) -> None:
        super().__init__(groups, lr=lr, fused=True)
        self._gathered: list[_Gathered] = []
        self._counts = torch.empty(0)

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        """Learn from the gradients, as torch does."""
        if closure is not None or not self._gathered or self._some_lack_gradients():
            result = super().step(closure)
            self._gather()
            return result
        self._counts.add_(1)
        for group, gathered in zip(self.param_groups, self._gathered, strict=True):
            torch._fused_adamw_(
                gathered.parameters,
                [parameter.grad for parameter in gathered.parameters],
                gathered.means,
                gathered.squares,
                [],
                gathered.steps,
                amsgrad=False,
                lr=group["lr"],
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                weight_decay=group["weight_decay"],
                eps=group["eps"],
                maximize=False,
            )
        return None

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Let go of the gradients, or set them to 0."""
        if not set_to_none:
            return super().zero_grad(set_to_none)
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        return None

    def load_state_dict(self, state_dict: Any) -> None:
        """Go back to `state_dict()`'s result."""
        super().load_state_dict(state_dict)
        self._gathered = []

    def _some_lack_gradients(self) -> bool:
        return any(
            parameter.grad is None for group in self._gathered for parameter in group.parameters
        )

    def _gather(self) -> None:
        """Gather the state, once each parameter has one."""
        parameters = [p for group in self.param_groups for p in group["params"]]
        if any("step" not in self.state[parameter] for parameter in parameters):
            return
        self._counts = torch.stack([self.state[parameter]["step"] for parameter in parameters])
        for parameter, count in zip(parameters, self._counts.unbind(), strict=True):
            self.state[parameter]["step"] = count
        self._gathered = [
            _Gathered(
                parameters=group["params"],
                means=[self.state[parameter]["exp_avg"] for parameter in group["params"]],
                squares=[self.state[parameter]["exp_avg_sq"] for parameter in group["params"]],
                steps=[self.state[parameter]["step"] for parameter in group["params"]],
            )
            for group in self.param_groups
        ]
