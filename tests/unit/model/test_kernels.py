"""The compiled kernels: the same training as torch's own operations, wherever they serve."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ecgmodels import EfficientECGConfig, build_model
from ecgmodels.models.native import operations
from ecgmodels.models.native.library import kernels
from tests.unit.model.efficientecg_configs import configs

needs_kernels = pytest.mark.skipif(kernels() is None, reason="no C compiler on this machine")


@contextmanager
def torch_alone() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(operations, "kernels", lambda: None)
        yield


def batch_of(config: EfficientECGConfig, *, masked: bool) -> list[Tensor | None]:
    generator = torch.Generator().manual_seed(1)
    shape = (6, config.leads, config.samples)
    signal, template = (torch.randn(shape, generator=generator) for _ in range(2))
    features = torch.randn(6, len(config.features), generator=generator)
    valid = torch.tensor([[config.samples], [3], [7], [config.samples], [11], [config.samples - 1]])
    mask = torch.arange(config.samples) < valid
    return [signal, features, features > 0, mask if masked else None, template]


def trained_once(
    network: nn.Module, config: EfficientECGConfig, *, masked: bool
) -> dict[str, Tensor]:
    """Return the logits, every gradient and every running statistic of one step."""
    *inputs, template = batch_of(config, masked=masked)
    logits = network.train()(*inputs, template if config.template else None)
    label = torch.arange(6) % config.classes
    F.cross_entropy(logits, label).backward()
    found = {"logits": logits.detach()}
    found |= {
        f"gradient of {n}": p.grad for n, p in network.named_parameters() if p.grad is not None
    }
    return found | dict(network.named_buffers())


@needs_kernels
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(config=configs(small=True), masked=st.booleans())
def test_a_step_is_that_of_torchs_own_operations(config: EfficientECGConfig, masked: bool) -> None:
    torch.manual_seed(0)
    network = build_model(config)
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    with torch_alone():
        own = trained_once(copy.deepcopy(network), config, masked=masked)
    compiled = trained_once(network, config, masked=masked)
    assert compiled.keys() == own.keys()
    gradients = [value for name, value in own.items() if "gradient" in name]
    scale = max(gradient.abs().max().item() for gradient in gradients)
    for name, value in own.items():
        difference = (compiled[name] - value).abs().max().item() if value.numel() else 0.0
        rounding = 1e-4 * (scale if "gradient" in name else 1.0)
        assert difference <= 2e-3 * value.abs().max().item() + rounding, name


@needs_kernels
def test_kernels_serve_training_on_a_cpu_alone() -> None:
    module, x = nn.Identity(), torch.zeros(2, 3, 1, 5)
    assert operations.kernels_serve(module.train(), x)
    assert not operations.kernels_serve(module.train(), x.double())
    assert not operations.kernels_serve(module.train(), x[:1])
    with torch.no_grad():
        assert not operations.kernels_serve(module.train(), x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not operations.kernels_serve(module.train(), x)
    assert not operations.kernels_serve(module.eval(), x)


@needs_kernels
def test_a_step_is_the_same_to_the_last_bit_when_repeated() -> None:
    config = EfficientECGConfig(leads=2, samples=200, classes=3, base="tiny", dropout=0.0)
    torch.manual_seed(0)
    network = build_model(config)
    first, again = (trained_once(copy.deepcopy(network), config, masked=True) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)


def compiled_in(cache: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    program = (
        "from ecgmodels.models.native.library import kernels\n"
        "print('kernels' if kernels() else 'none')"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "XDG_CACHE_HOME": str(cache), **environment},
    )


@needs_kernels
def test_they_are_compiled_once_and_kept(tmp_path: Path) -> None:
    assert compiled_in(tmp_path).stdout == "kernels\n"
    (kept,) = (tmp_path / "ecgmodels").iterdir()
    written_ns = kept.stat().st_mtime_ns
    assert compiled_in(tmp_path).stdout == "kernels\n"
    assert [p.stat().st_mtime_ns for p in (tmp_path / "ecgmodels").iterdir()] == [written_ns]


def test_they_can_be_turned_off(tmp_path: Path) -> None:
    assert compiled_in(tmp_path, ECGMODELS_KERNELS="off").stdout == "none\n"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="kernels are for Linux")
def test_a_compiler_that_fails_is_told_and_done_without(tmp_path: Path) -> None:
    found = compiled_in(tmp_path, CC="false")
    assert found.stdout == "none\n"
    assert "training goes without compiled kernels" in found.stderr


def test_without_a_compiler_nothing_is_said(tmp_path: Path) -> None:
    found = compiled_in(tmp_path, CC="no-such-compiler")
    assert (found.stdout, found.stderr) == ("none\n", "")


# Networks that are not as they were built ---------------------------------------------------------


def _answer(change: Callable[[nn.Module], object], *, kernels: bool) -> dict[str, Tensor]:
    """Return a network's logits, gradients and running statistics after one step, once changed."""
    torch.manual_seed(0)
    config = EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny", width=0.5)
    model = build_model(config).train()
    change(model)
    signal = torch.randn(4, 2, 64)
    with pytest.MonkeyPatch.context() as patch:
        if not kernels:
            patch.setattr(operations, "kernels", lambda: None)
        logits = model(signal, torch.zeros(4, 0), torch.zeros(4, 0, dtype=torch.bool))
        logits.square().sum().backward()
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    return {"logits": logits.detach(), **gradients, **dict(model.named_buffers())}


def _norms(model: nn.Module) -> list[nn.BatchNorm2d]:
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def _freeze(model: nn.Module) -> None:
    for norm in _norms(model):
        norm.eval()


def _forget(model: nn.Module) -> None:
    for norm in _norms(model):
        norm.track_running_stats = False
        norm.running_mean = norm.running_var = norm.num_batches_tracked = None


def _average(model: nn.Module) -> None:
    for norm in _norms(model):
        norm.momentum = None


def _hook(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: 2 * output)


def _replace(model: nn.Module, activation: nn.Module) -> None:
    for module in model.modules():
        if isinstance(getattr(module, "activation", None), nn.SiLU):
            module.activation = activation


def _stride(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            twice = torch.stack([module.weight.detach(), module.weight.detach()], dim=-1)
            module.weight = nn.Parameter(twice[..., 0])


@pytest.mark.parametrize(
    "change",
    [
        _freeze,
        _forget,
        _average,
        _hook,
        _stride,
        lambda model: _replace(model, nn.Mish()),
        lambda model: _replace(model, nn.GELU("tanh")),
    ],
    ids=["frozen", "no statistics", "cumulative", "hooked", "strided", "mish", "gelu by tanh"],
)
def test_networks_that_were_changed_do_what_torch_does(
    change: Callable[[nn.Module], object],
) -> None:
    ours, torchs = (_answer(change, kernels=kernels) for kernels in (True, False))
    assert ours.keys() == torchs.keys()
    for name, value in torchs.items():
        if value is not None:
            torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-4, msg=name)
