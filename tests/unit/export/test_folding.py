"""Batch norm folded into convolutions, and latencies."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ecgmodels import FAMILIES, ECGNetwork, build_model, model_config, predict
from ecgmodels.export.onnx import example_inputs
from ecgmodels.inference.folding import folded
from tests.made_waves import Statistics, make_waves

SHAPE = {"leads": 2, "samples": 128, "classes": 3}


def lived(family: str) -> ECGNetwork:
    """A network whose batch norms have statistics and weights of their own."""
    torch.manual_seed(0)
    model = build_model(model_config({"model": family, **SHAPE}))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _ in range(3):
            model(*example_inputs(model.config, 8, generator))
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn(parameter.shape))
    return model.eval()


def norms(model: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in model.modules())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folded_network_answers_as_the_network_does(family: str) -> None:
    model = lived(family)
    inputs = example_inputs(model.config, 4, torch.Generator().manual_seed(1))
    with torch.inference_mode():
        difference = (folded(model)(*inputs) - model(*inputs)).abs().max().item()
    assert difference < 1e-4


@pytest.mark.parametrize("family", FAMILIES)
def test_a_folded_network_keeps_padding_out(family: str) -> None:
    model = lived(family)
    network = folded(model)
    signal, features, known, _, _ = example_inputs(
        model.config, 2, torch.Generator().manual_seed(1)
    )
    mask = torch.arange(128) < torch.tensor([[128], [70]])
    with torch.inference_mode():
        expected = model(signal, features, known, mask)
        garbage = signal.masked_fill(~mask[:, None], torch.nan)
        assert (network(garbage, features, known, mask) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("family", ["efficientecg", "resnet1d18", "xresnet1d101"])
def test_no_norm_of_a_convolution_is_left(family: str) -> None:
    model = lived(family)
    assert norms(model) > 10
    assert norms(folded(model)) == 0


def test_folding_leaves_the_network_as_it_was() -> None:
    model = lived("efficientecg").train()
    before = copy.deepcopy(model.state_dict())
    network = folded(model)
    assert model.training
    assert not network.training
    assert norms(model) > 0
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_prediction_takes_a_folded_network() -> None:
    model = lived("efficientecg")
    segments = make_waves(20, 128, seed=3)
    of_model, of_folded = (
        predict(network, segments, Statistics(), multi_label=False)
        for network in (model, folded(model))
    )
    assert abs(of_model - of_folded).max() < 1e-5


def test_a_norm_that_does_not_follow_its_convolution_stays() -> None:
    class Sums(ECGNetwork):
        def __init__(self) -> None:
            super().__init__(model_config({"model": "efficientecg", **SHAPE}))
            self.first = nn.Conv2d(2, 3, 1)
            self.second = nn.Conv2d(2, 3, 1)
            self.norm = nn.BatchNorm2d(3)

        def forward(self, signal: torch.Tensor, *rest: object) -> torch.Tensor:  # type: ignore[override]
            x = signal.unsqueeze(2)
            return self.norm(self.first(x) + self.second(x)).mean(dim=(2, 3))

    model = Sums().eval()
    signal = torch.randn(2, 2, 16)
    with torch.inference_mode():
        assert torch.equal(folded(model)(signal), model(signal))
