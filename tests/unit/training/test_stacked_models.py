"""Networks of one architecture, run as one, give what each gives alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ecgmodels.loading.batches import Batch
from ecgmodels.training.stacked_models import Models
from tests.made_networks import CASES, Inputs, built, in_double, inputs, padded

of_every_family = pytest.mark.parametrize("case", [case for case in CASES if "," not in case])


def quiet(model: nn.Module) -> nn.Module:
    """Turn off what is drawn at random."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "probability"):
            module.probability = 0.0
    return model


def batch_of(of: Inputs) -> Batch:
    signal, features, known, mask, template = of
    return Batch(signal, mask, features, known, torch.zeros(len(signal)), template)


@pytest.mark.parametrize("case", CASES)
def test_networks_run_as_one_give_what_each_gives_alone(case: str) -> None:
    networks = [quiet(built(case, seed)).double().train() for seed in range(3)]
    alone = copy.deepcopy(networks)
    of_each = [in_double(inputs(case, seed=seed)) for seed in range(3)]

    stack = Models(networks)  # type: ignore[arg-type]
    logits = stack([batch_of(one) for one in of_each])
    weights = torch.randn(logits.shape, dtype=torch.float64)
    stack.backward((logits * weights).sum())

    for number, network in enumerate(alone):
        expected = network(*of_each[number])
        torch.testing.assert_close(logits[number], expected, rtol=1e-9, atol=1e-9)
        (expected * weights[number]).sum().backward()
        for (name, value), stacked in zip(
            network.named_parameters(), networks[number].parameters(), strict=True
        ):
            torch.testing.assert_close(
                stacked.grad, value.grad, rtol=1e-9, atol=1e-9, msg=lambda m, n=name: f"{n}: {m}"
            )
        for value, stacked in zip(network.buffers(), networks[number].buffers(), strict=True):
            torch.testing.assert_close(stacked, value, rtol=1e-9, atol=1e-9)


@of_every_family
def test_networks_run_as_one_keep_to_each_recording(case: str) -> None:
    networks = [quiet(built(case, seed)).train() for seed in range(2)]
    alone = copy.deepcopy(networks)
    lengths = [97, 60, 70, 40, 90, 85]
    of_each = [padded(inputs(case, seed=seed), lengths, 97, garbage=0.0) for seed in range(2)]
    logits = Models(networks)([batch_of(one) for one in of_each])  # type: ignore[arg-type]
    expected = torch.stack([network(*one) for network, one in zip(alone, of_each, strict=True)])
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)
    for network, stacked in zip(alone, networks, strict=True):
        for value, row in zip(network.buffers(), stacked.buffers(), strict=True):
            torch.testing.assert_close(row, value, rtol=1e-4, atol=1e-5)


@of_every_family
def test_networks_run_as_one_take_autocast_as_each_does_alone(case: str) -> None:
    networks = [quiet(built(case, seed)).train() for seed in range(2)]
    alone = copy.deepcopy(networks)
    of_each = [inputs(case, seed=seed) for seed in range(2)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = Models(networks)([batch_of(one) for one in of_each])  # type: ignore[arg-type]
        expected = torch.stack([network(*one) for network, one in zip(alone, of_each, strict=True)])
    assert logits.dtype == expected.dtype == torch.bfloat16
    torch.testing.assert_close(logits, expected, rtol=0.02, atol=0.02)
