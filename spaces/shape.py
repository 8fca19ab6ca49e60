"""What a space has to know of a dataset."""

from __future__ import annotations

import dataclasses

from ecgmodels.configs import Config


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataShape(Config):
    """The sizes of a dataset's segments, and what comes with them."""

    leads: int
    samples: int
    """Length of a segment."""
    classes: int
    features: tuple[str, ...] = ()
    """Patient and rhythm features the dataset holds."""
    rate_hz: float
    """Samples a second, for spaces that think in milliseconds."""
    aligned: bool = False
    """Whether segments are windows around beats, so that a recording has a median beat."""
