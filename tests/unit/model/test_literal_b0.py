from __future__ import annotations

from itertools import chain

import pytest
import torch
from torch import Tensor, nn

from ecgmodels import EfficientECG, EfficientECGConfig

# Table 1 of the EfficientNet paper: expansion, channels, layers, stride, kernel.
TABLE = [
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
]


class LiteralBlock(nn.Module):
    def __init__(self, inputs: int, expansion: int, outputs: int, stride: int, kernel: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.skip = stride == 1 and inputs == outputs
        expand = literal_conv(inputs, hidden, 1) if expansion > 1 else nn.Identity()
        self.filter = nn.Sequential(expand, literal_conv(hidden, hidden, kernel, stride, hidden))
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool1d(1),
            nn.Conv1d(hidden, inputs // 4, 1),
            nn.SiLU(),
            nn.Conv1d(inputs // 4, hidden, 1),
            nn.Sigmoid(),
        )
        self.project = nn.Sequential(
            nn.Conv1d(hidden, outputs, 1, bias=False), nn.BatchNorm1d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.filter(x)
        branch = self.project(hidden * self.squeeze(hidden))
        return x + branch if self.skip else branch


def literal_conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv1d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm1d(outputs),
        nn.SiLU(),
    )


def literal_b0(leads: int, classes: int) -> nn.Sequential:
    blocks, inputs = [], 32
    for expansion, channels, layers, stride, kernel in TABLE:
        for layer in range(layers):
            blocks.append(
                LiteralBlock(inputs, expansion, channels, stride if layer == 0 else 1, kernel)
            )
            inputs = channels
    return nn.Sequential(
        literal_conv(leads, 32, 3, stride=2),
        *blocks,
        literal_conv(320, 1280, 1),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(1280, classes),
    )


@pytest.mark.parametrize(
    ("leads", "classes", "parameters"), [(1, 5, 3_870_721), (8, 34, 3_908_542)]
)
def test_b0_at_phi_0_is_a_literal_b0_in_one_dimension(
    leads: int, classes: int, parameters: int
) -> None:
    torch.manual_seed(0)
    literal = literal_b0(leads, classes).eval()
    ours = EfficientECG(EfficientECGConfig(leads=leads, samples=250, classes=classes)).eval()
    assert sum(parameter.numel() for parameter in ours.parameters()) == parameters
    theirs = list(chain(literal.parameters(), literal.buffers()))
    with torch.no_grad():
        for mine, value in zip(chain(ours.parameters(), ours.buffers()), theirs, strict=True):
            mine.copy_(value.reshape(mine.shape))
    signal, none = torch.randn(4, leads, 250), torch.zeros(4, 0)
    with torch.inference_mode():
        torch.testing.assert_close(
            ours(signal, none, none.bool()), literal(signal), rtol=1e-4, atol=1e-5
        )
