"""The stage tables that multipliers scale."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Stage:
    """One row of a stage table: `layers` inverted-residual blocks, the first one strided."""

    expansion: int
    channels: int
    layers: int
    stride: int
    kernel: int


@dataclass(frozen=True)
class Base:
    """The network that multipliers of 1 give; scaling is relative to it."""

    stem_channels: int
    stem_kernel: int
    stages: tuple[Stage, ...]
    head_channels: int
    divisor: int
    """Scaled channel counts are multiples of this."""


BASES: Mapping[str, Base] = MappingProxyType(
    {
        # Table 1 of the paper; 3.87 M parameters.
        "b0": Base(
            stem_channels=32,
            stem_kernel=3,
            stages=(
                Stage(expansion=1, channels=16, layers=1, stride=1, kernel=3),
                Stage(expansion=6, channels=24, layers=2, stride=2, kernel=3),
                Stage(expansion=6, channels=40, layers=2, stride=2, kernel=5),
                Stage(expansion=6, channels=80, layers=3, stride=2, kernel=3),
                Stage(expansion=6, channels=112, layers=3, stride=1, kernel=5),
                Stage(expansion=6, channels=192, layers=4, stride=2, kernel=5),
                Stage(expansion=6, channels=320, layers=1, stride=1, kernel=3),
            ),
            head_channels=1280,
            divisor=8,
        ),
        # 120 k parameters: B0 cut after its fourth stage, expansion 4, longer kernels.
        "small": Base(
            stem_channels=16,
            stem_kernel=5,
            stages=(
                Stage(expansion=1, channels=16, layers=1, stride=1, kernel=5),
                Stage(expansion=4, channels=24, layers=2, stride=2, kernel=5),
                Stage(expansion=4, channels=40, layers=2, stride=2, kernel=5),
                Stage(expansion=4, channels=64, layers=2, stride=2, kernel=5),
            ),
            head_channels=256,
            divisor=4,
        ),
        # 13 k parameters, for a device's own processor.
        "tiny": Base(
            stem_channels=8,
            stem_kernel=5,
            stages=(
                Stage(expansion=1, channels=8, layers=1, stride=1, kernel=5),
                Stage(expansion=3, channels=16, layers=1, stride=2, kernel=5),
                Stage(expansion=3, channels=24, layers=1, stride=2, kernel=5),
                Stage(expansion=3, channels=32, layers=1, stride=2, kernel=5),
            ),
            head_channels=96,
            divisor=4,
        ),
    }
)


def placement_names(base: str, stages: int | None = None) -> tuple[str, ...]:
    """Return where attention can sit in `base`, in the order the signal meets them.

    Args:
        base: key of `BASES`.
        stages: how many of its stages are kept; None: all.
    """
    kept = len(BASES[base].stages[:stages])
    return ("stem", *(f"stage{number + 1}" for number in range(kept)), "head")
