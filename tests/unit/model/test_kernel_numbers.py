"""What the compiled kernels do with numbers that are hard to sum, or none."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import vmap

from ecgmodels.models.layers import ConvNorm
from ecgmodels.models.masking import BatchNorm, SignalMask
from ecgmodels.models.native.library import kernels
from ecgmodels.models.native.operations import kernels_serve, norm_activation

pytestmark = pytest.mark.skipif(kernels() is None, reason="no C compiler on this machine")

EVERYWHERE = SignalMask(None)


def made_map(channels: int = 20, length: int = 37) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    made = torch.randn(40, 1, length, channels, generator=generator)
    return made.permute(0, 3, 1, 2)


def gradients(y: Tensor, activation: nn.Module) -> list[Tensor]:
    norm = BatchNorm(y.shape[1])
    y = y.clone().requires_grad_()
    out = norm_activation(norm, activation, y, EVERYWHERE)
    (out * made_map(y.shape[1], y.shape[3])).sum().backward()
    return [out.detach(), *(x.grad for x in (y, norm.weight, norm.bias) if x.grad is not None)]


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.ReLU(), nn.GELU(), nn.Hardswish()])
def test_sums_do_not_depend_on_how_many_threads_take_them(activation: nn.Module) -> None:
    before = torch.get_num_threads()
    try:
        found = []
        for threads in (1, 3):
            torch.set_num_threads(threads)
            found.append(gradients(made_map(), activation))
    finally:
        torch.set_num_threads(before)
    assert len(found[0]) == 4
    assert all(map(torch.equal, *found))


def test_a_mean_far_above_the_spread_does_not_spoil_it() -> None:
    norm = BatchNorm(20)
    out = norm_activation(norm, nn.Identity(), 1000 + made_map(), EVERYWHERE)
    exact = nn.BatchNorm2d(20).double()(1000 + made_map().double())
    assert (out - exact).abs().max() < 1e-3  # of numbers near 1000, float32 keeps 6e-5


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.ReLU(), nn.GELU(), nn.Hardswish()])
def test_what_is_not_a_number_is_not_hidden(activation: nn.Module) -> None:
    y = made_map()
    y[3, 5, 0, 7] = float("nan")
    out = norm_activation(BatchNorm(20), activation, y, EVERYWHERE)
    assert out[:, 5].isnan().all()
    assert out[:, :5].isfinite().all()


def test_models_run_side_by_side_are_left_to_torch() -> None:
    layer, served = ConvNorm(3, 4, activation=nn.SiLU()).train(), []

    def one(x: Tensor) -> Tensor:
        served.append(kernels_serve(layer, x))
        return layer.conv(x)

    vmap(one)(torch.stack([made_map(3), made_map(3)]))
    assert served == [False]
    assert kernels_serve(layer, made_map(3))
