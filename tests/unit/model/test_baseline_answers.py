"""The baselines' answers, against the same networks written plainly: Conv1d, and no masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ecgmodels import build_model, model_config

Plain = Callable[[Any, Tensor], Tensor]


def plain_network(family: str) -> Plain:
    plain: dict[str, Plain] = {"inception1d": plain_inception, "cnn_lstm": plain_cnn_lstm}
    return plain.get(family, plain_residual)


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("resnet1d_wang", {"width": 0.25}),
        ("resnet1d18", {"width": 0.25}),
        ("xresnet1d101", {"width": 0.25, "depth": 0.2}),
        ("inception1d", {"width": 0.25}),
        ("cnn_lstm", {}),
    ],
)
@pytest.mark.parametrize("samples", [332, 333])
def test_it_answers_as_the_same_network_written_plainly(
    family: str, changes: dict[str, float], samples: int
) -> None:
    torch.manual_seed(0)
    values = {"model": family, "leads": 2, "samples": samples, "classes": 5, **changes}
    model = lived(build_model(model_config(values)))
    signal, none = torch.randn(4, 2, samples), torch.zeros(4, 0)
    with torch.inference_mode():
        expected = plain_network(family)(model, signal)
        got = model(signal, none, none.bool())
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)


def lived(model: nn.Module) -> Any:
    """Give norms a past, and open branches whose last norm begins at 0."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.weight.data.uniform_(0.5, 1.5)
            module.bias.data.normal_(0, 0.3)
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 1.5)
    return model.eval()


def conv1d(layer: nn.Conv2d, x: Tensor, stride: int = 1) -> Tensor:
    return F.conv1d(x, layer.weight.squeeze(2), stride=stride, padding=layer.weight.shape[3] // 2)


def normed(norm: Any, x: Tensor) -> Tensor:
    return F.batch_norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias)


def plain_residual(model: Any, x: Tensor) -> Tensor:
    plain = PLAIN[model.config.model]
    for number, layer in enumerate(model.stem):
        stride = plain["stem_stride"] if number == 0 else 1
        x = normed(layer.norm, conv1d(layer.conv, x, stride)).relu()
    if plain["stem_stride"] == 2:
        x = F.max_pool1d(x, 3, stride=2, padding=1)
    starts = plain["strided_blocks"]
    for number, block in enumerate(model.blocks):
        stride = 2 if number in starts else 1
        branch = plain["branch"](block.convolutions, x, stride)
        if block.shortcut is not None or stride == 2:
            x = plain["shortcut"](block.shortcut, x, stride)
        x = (branch + x).relu()
    if model.config.model == "resnet1d18":
        return plain_head(model.head, x.mean(2))
    return plain_head(model.head, torch.cat((x.amax(2), x.mean(2)), dim=1))


def basic_branch(layers: Any, x: Tensor, stride: int) -> Tensor:
    first, second = layers
    x = normed(first.norm, conv1d(first.conv, x, stride)).relu()
    return normed(second.norm, conv1d(second.conv, x))


def bottleneck_branch(layers: Any, x: Tensor, stride: int) -> Tensor:
    first, second, third = layers
    x = normed(first.norm, conv1d(first.conv, x)).relu()
    x = normed(second.norm, conv1d(second.conv, x, stride)).relu()
    return normed(third.norm, conv1d(third.conv, x))


def projection(layer: Any, x: Tensor, stride: int) -> Tensor:
    return normed(layer.norm, conv1d(layer.conv, x, stride))


def mean_then_projection(layer: Any, x: Tensor, stride: int) -> Tensor:
    if stride == 2:
        x = F.avg_pool1d(x, 2, ceil_mode=True)
    return x if layer is None else projection(layer, x, 1)


PLAIN: dict[str, dict[str, Any]] = {
    "resnet1d18": {
        "stem_stride": 2,
        "strided_blocks": (2, 4, 6),
        "branch": basic_branch,
        "shortcut": projection,
    },
    "resnet1d_wang": {
        "stem_stride": 1,
        "strided_blocks": (1, 2),
        "branch": basic_branch,
        "shortcut": projection,
    },
    "xresnet1d101": {
        "stem_stride": 2,
        "strided_blocks": (1, 2, 7),  # a fifth of 3, 4, 23 and 3 blocks is 1, 1, 5 and 1
        "branch": bottleneck_branch,
        "shortcut": mean_then_projection,
    },
}


def plain_inception(model: Any, x: Tensor) -> Tensor:
    for group in model.groups:
        shortcut = projection(group.shortcut, x, 1)
        for module in group.modules_in_turn:
            narrow = conv1d(module.bottleneck, x)
            branches = [conv1d(layer, narrow) for layer in module.convolutions]
            branches.append(conv1d(module.of_maximum, F.max_pool1d(x, 3, stride=1, padding=1)))
            x = normed(module.norm, torch.cat(branches, dim=1)).relu()
        x = (x + shortcut).relu()
    return plain_head(model.head, torch.cat((x.amax(2), x.mean(2)), dim=1))


def plain_cnn_lstm(model: Any, x: Tensor) -> Tensor:
    for layer in model.convolutions:
        x = F.max_pool1d(conv1d(layer, x).relu(), 2, ceil_mode=True)
    hidden = cell = torch.zeros(len(x), model.lstm.hidden_size)
    for step in x.unbind(2):
        gates = F.linear(step, model.lstm.weight_ih_l0, model.lstm.bias_ih_l0)
        gates = gates + F.linear(hidden, model.lstm.weight_hh_l0, model.lstm.bias_hh_l0)
        let_in, forget, new, let_out = gates.chunk(4, dim=1)
        cell = forget.sigmoid() * cell + let_in.sigmoid() * new.tanh()
        hidden = let_out.sigmoid() * cell.tanh()
    return plain_head(model.head, hidden)


def plain_head(head: Any, x: Tensor) -> Tensor:
    for number, linear in enumerate(head.linears):
        x = x.relu() if number else x
        if isinstance(head.norms[number], nn.BatchNorm1d):
            x = normed(head.norms[number], x)
        x = F.linear(x, linear.weight, linear.bias)
    return x
