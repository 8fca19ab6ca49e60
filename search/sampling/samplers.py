"""Samplers on offer, by name: one of our own, and Optuna's.

A sampler of Optuna's is made afresh for every suggestion, seeded from the study's seed and the
suggestion's place in the study, and shown a projection of the study. Whatever the sampler, the n-th
suggestion depends on the seed, n and the results told, on nothing that a resumed process would have
forgotten.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable

from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    GPSampler,
    NSGAIIISampler,
    NSGAIISampler,
    RandomSampler,
    TPESampler,
)

SamplerFactory = Callable[[int, int], BaseSampler]
"""(seed, number of random suggestions to begin with) -> sampler."""

OURS = "front"
"""`search.sampling.front_sampler`."""

BY_CHANCE = "random"
"""The one that looks at nothing."""

OPTUNAS: dict[str, SamplerFactory] = {
    "tpe": lambda seed, startup: TPESampler(seed=seed, n_startup_trials=startup),
    "nsga2": lambda seed, startup: NSGAIISampler(seed=seed, population_size=max(2, startup)),
    "nsga3": lambda seed, startup: _nsga3(seed, startup),
    # It would say with each suggestion that parameters which come and go are drawn by chance.
    "gp": lambda seed, startup: GPSampler(
        seed=seed, n_startup_trials=startup, warn_independent_sampling=False
    ),
    BY_CHANCE: lambda seed, startup: RandomSampler(seed=seed),
}

SAMPLERS = (OURS, *OPTUNAS)
DEFAULT_SAMPLER = OURS


def _nsga3(seed: int, startup: int) -> BaseSampler:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        return NSGAIIISampler(seed=seed, population_size=max(2, startup))


def derived_seed(seed: int, *labels: object) -> int:
    """Return 31 bits that depend on the seed and the labels, alike on every machine."""
    text = ":".join(str(part) for part in (seed, *labels))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
