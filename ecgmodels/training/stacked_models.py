"""Models of one architecture, side by side in memory, that are run as one.

Axes: k model, b segment in batch.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, vmap

from ecgmodels.loading.batches import Batch
from ecgmodels.models.network import ECGNetwork
from ecgmodels.training.stacked_layers import LayersOfSeveral


class Models:
    """Models of one architecture that are run as one."""

    def __init__(self, models: Sequence[ECGNetwork]) -> None:
        """Move the models' weights and statistics, which become rows of this object's."""
        self._models = tuple(models)
        self._prototype = copy.deepcopy(models[0])
        parameters = [dict(model.named_parameters()) for model in models]
        self._rows = {name: [own[name] for own in parameters] for name in parameters[0]}
        self._weights = {
            name: moved_side_by_side(rows).requires_grad_() for name, rows in self._rows.items()
        }
        # Buffers that are not part of a model's state are constants, and the prototype has them.
        states = [model.state_dict(keep_vars=True) for model in models]
        self._statistics = {
            name: moved_side_by_side([state[name] for state in states])
            for name in states[0]
            if name not in self._weights
        }

    def train(self) -> None:
        for model in (self._prototype, *self._models):
            model.train()

    def __call__(self, batches: Sequence[Batch]) -> Tensor:
        """Return the logits [k, b, class] of each model for its own batch; all are as large."""
        inputs = [
            None if of_models[0] is None else torch.stack(of_models)
            for of_models in zip(*(batch.inputs for batch in batches), strict=True)
        ]

        def one(weights: dict[str, Tensor], statistics: dict[str, Tensor], *inputs: Any) -> Tensor:
            return functional_call(self._prototype, (weights, statistics), inputs)

        axes = (0, 0, *(None if stacked is None else 0 for stacked in inputs))
        with LayersOfSeveral():
            logits: Tensor = vmap(one, in_dims=axes, randomness="different")(
                self._weights, self._statistics, *inputs
            )
        return logits

    def backward(self, loss: Tensor) -> None:
        """Set the gradients of the models' parameters to those of `loss`."""
        for weights in self._weights.values():
            weights.grad = None
        loss.backward()
        for name, weights in self._weights.items():
            gradients = [None] * len(self._models) if weights.grad is None else weights.grad
            for row, gradient in zip(self._rows[name], gradients, strict=True):
                row.grad = gradient


def moved_side_by_side(tensors: Sequence[Tensor]) -> Tensor:
    """Move equally shaped tensors into one [k, ...], whose rows they become.

    Each row keeps the order in memory that the tensors had.
    """
    first = tensors[0].detach()
    stack = torch.empty_strided(
        (len(tensors), *first.shape),
        (first.numel(), *first.stride()),
        dtype=first.dtype,
        device=first.device,
    )
    for row, tensor in zip(stack, tensors, strict=True):
        row.copy_(tensor.detach())
        tensor.data = row
    return stack
