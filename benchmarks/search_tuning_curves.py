"""Problems to tune a search on that are hard for how they learn; none is in the final table."""

from __future__ import annotations

import itertools
import math
from typing import ClassVar

import numpy as np
from search_synthetic import (
    Candidate,
    FloatArray,
    Parameter,
    SyntheticProblem,
    choice,
    exponential_curve,
    jitter,
    power_curve,
    real,
    rise,
    saturating,
    whole,
)


class Balanced(SyntheticProblem):
    """Compound scaling: width, depth and expansion must grow together to be worth their size.

    Any size can be had in many ways, of which few are good; the best learning rate and dropout
    move with size. Curves are power laws that cross little.
    """

    name: ClassVar[str] = "balanced"
    space: tuple[Parameter, ...] = (
        real("width", 0.25, 2.0, log=True),
        whole("depth", 1, 8),
        real("expansion", 1.0, 4.0),
        whole("kernel", 3, 31, step=2),
        real("learning_rate", 1e-4, 1e-1, log=True),
        real("weight_decay", 1e-6, 1e-1, log=True),
        real("dropout", 0.0, 0.6),
        choice("batch_size", 32, 64, 128, 256),
        choice("activation", "relu", "silu", "gelu"),
        real("time_shift", 0.0, 0.2),
    )

    def size(self, candidate: Candidate) -> float:
        kernel = 1.0 + candidate["kernel"] / 60.0
        depth = candidate["depth"] * candidate["expansion"]
        return 1700.0 * (candidate["width"] / 0.25) ** 2 * depth * kernel

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        width = math.log2(candidate["width"] / 0.25)
        rate = math.log10(candidate["learning_rate"] * 64 / candidate["batch_size"])
        off_rate = rate - (-2.0 - 0.35 * (log_size - 5.0))
        penalty = (
            0.05 * (math.log2(candidate["depth"]) - 0.9 * width) ** 2
            + 0.04 * (candidate["expansion"] - 1.5 - 0.5 * width) ** 2
            + 0.06 * math.log(candidate["kernel"] / 13.0) ** 2
            + 0.22 * off_rate**2
            + 0.01 * (math.log10(candidate["weight_decay"]) + 3.5) ** 2
            + 0.5 * (candidate["dropout"] - 0.08 * (log_size - 3.3)) ** 2
            + {"relu": 0.03, "silu": 0.0, "gelu": 0.01}[candidate["activation"]]
            + 2.0 * (candidate["time_shift"] - 0.08) ** 2
        )
        end = self.lowered(saturating(log_size, top=0.94, gap=0.35, decades=1.6), penalty)
        end += rng.normal(0.0, 0.004)
        scale = 1.5 * math.exp(-0.5 * off_rate)
        curve = power_curve(epochs, self.chance, end, scale=scale, exponent=1.1)
        return curve + jitter(rng, epochs, 0.004)


class SlowGiants(SyntheticProblem):
    """Curves that cross: large networks and low learning rates are behind until late.

    How many epochs a network needs grows with its size; a low rate ends higher and comes later;
    with a cosine schedule most of the gain comes in the second half of the training.
    """

    name: ClassVar[str] = "slow giants"
    space: tuple[Parameter, ...] = (
        *(whole(f"channels_{stage}", 8, 128, log=True) for stage in range(4)),
        whole("blocks", 1, 6),
        real("learning_rate", 3e-4, 3e-1, log=True),
        choice("schedule", "constant", "step", "cosine"),
        real("warm_up", 0.0, 0.3, when=("schedule", ("cosine",))),
        real("momentum", 0.5, 0.99),
        real("label_smoothing", 0.0, 0.3),
        choice("optimiser", "sgd", "adamw"),
    )

    def size(self, candidate: Candidate) -> float:
        widths = [2, *(candidate[f"channels_{stage}"] for stage in range(4))]
        first = sum(a * b for a, b in itertools.pairwise(widths))
        later = sum(width * width for width in widths[1:]) * (candidate["blocks"] - 1)
        return 1500.0 + 7.0 * (first + later)

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        widths = np.log2([candidate[f"channels_{stage}"] for stage in range(4)])
        rate = math.log10(candidate["learning_rate"])
        if candidate["optimiser"] == "adamw":
            rate += 0.7
        late = {"constant": 0.0, "step": 0.5, "cosine": 1.0}[candidate["schedule"]]
        penalty = (
            0.08 * float(np.mean((np.diff(widths) - 0.6) ** 2))
            + 0.06 * (math.log2(candidate["blocks"]) - 1.2) ** 2
            + 0.25 * max(0.0, rate + 2.0) ** 2
            + 0.15 * max(0.0, -2.2 - rate) ** 2
            + 0.12 * (1.0 - late)
            + 1.2 * (candidate["momentum"] - 0.9) ** 2
            + 2.5 * (candidate["label_smoothing"] - 0.1) ** 2
            + 0.4 * abs(candidate.get("warm_up", 0.1) - 0.1)
        )
        end = self.lowered(saturating(log_size, top=0.96, gap=0.45, decades=2.0), penalty)
        end += rng.normal(0.0, 0.005)
        scale = 0.8 * 10.0 ** (0.38 * (log_size - 3.3) - 0.45 * (rate + 1.8))
        ahead = exponential_curve(epochs, self.chance, end, scale=min(scale, 60.0))
        held_back = 0.10 * late * (1.0 - rise(epochs, at=26.0, width=0.18))
        return ahead - held_back * (ahead - self.chance) + jitter(rng, epochs, 0.005)


class Cliffs(SyntheticProblem):
    """The best learning rates lie just below the one at which training diverges.

    How high that is depends on depth, normalisation and clipping. Beyond it the metric is NaN
    within a few epochs (with clipping, that of chance); with much dropout in a narrow network
    nothing is learned at all.
    """

    name: ClassVar[str] = "cliffs"
    space: tuple[Parameter, ...] = (
        whole("channels", 8, 192, log=True),
        whole("depth", 2, 24),
        choice("normalisation", "none", "batch", "layer"),
        choice("clipping", False, True),
        real("clip_at", 0.1, 10.0, log=True, when=("clipping", (True,))),
        real("learning_rate", 1e-4, 1.0, log=True),
        real("dropout", 0.0, 0.8),
        real("initial_gain", 0.1, 3.0, log=True),
        whole("groups", 1, 4),
    )

    def size(self, candidate: Candidate) -> float:
        square = candidate["channels"] ** 2
        return 900.0 + 5.0 * candidate["depth"] * square / candidate["groups"]

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        edge = -1.2 - 0.9 * math.log10(candidate["depth"] / 4.0)
        edge += {"none": -0.9, "batch": 0.3, "layer": 0.0}[candidate["normalisation"]]
        edge -= 0.8 * abs(math.log10(candidate["initial_gain"]))
        if candidate["clipping"]:
            edge += 0.4 - 0.2 * math.log10(candidate["clip_at"])
        room = edge - math.log10(candidate["learning_rate"])
        noise = jitter(rng, epochs, 0.006)
        if candidate["dropout"] > 0.35 + 0.2 * math.log10(candidate["channels"] / 8.0):
            return self.chance + noise
        penalty = (
            0.25 * max(room - 0.2, 0.0) ** 1.5
            + 0.05 * (candidate["groups"] - 2) ** 2
            + 2.0 * (candidate["dropout"] - 0.15) ** 2
            + 0.04 * (math.log2(candidate["depth"]) - 0.55 * math.log2(candidate["channels"])) ** 2
            + {"none": 0.05, "batch": 0.0, "layer": 0.01}[candidate["normalisation"]]
        )
        end = self.lowered(saturating(log_size, top=0.92, gap=0.30, decades=1.4), penalty)
        end += rng.normal(0.0, 0.006)
        scale = 1.2 * 10.0 ** (0.3 * max(room, 0.0))
        curve = power_curve(epochs, self.chance, end, scale=scale, exponent=1.3) + noise
        if room < 0.0:
            curve[int(rng.integers(0, 6)) :] = self.chance if candidate["clipping"] else math.nan
        return curve
