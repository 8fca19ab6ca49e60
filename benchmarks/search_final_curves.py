"""Problems for the final table that are hard for how they learn; no search may be tuned on them."""

from __future__ import annotations

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
    place,
    power_curve,
    real,
    rise,
    saturating,
    whole,
)


class Overfitting(SyntheticProblem):
    """Large networks are best early and worst late, unless they are held back by what they need.

    Accuracy climbs to a peak and falls; how far and how soon grows with size beyond what weight
    decay, dropout and augmentation together allow. So the best size for most settings is a middle
    one, and only well-regularised networks are worth more parameters.
    """

    name: ClassVar[str] = "overfitting"
    chance: ClassVar[float] = 0.2
    space: tuple[Parameter, ...] = (
        whole("filters", 6, 160, log=True),
        whole("layers", 1, 14),
        real("reduction", 1.0, 8.0, log=True),
        real("weight_decay", 1e-5, 1.0, log=True),
        real("dropout", 0.0, 0.7),
        real("mix_up", 0.0, 1.0),
        choice("crop", "none", "some", "much"),
        real("learning_rate", 1e-4, 3e-2, log=True),
        choice("decay", "linear", "exponential"),
    )

    def size(self, candidate: Candidate) -> float:
        filters, layers = candidate["filters"], candidate["layers"]
        return 1600.0 + layers * filters**2 * (2.0 + 9.0 / candidate["reduction"])

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        held = 0.35 * (math.log10(candidate["weight_decay"]) + 5.0) + 2.0 * candidate["dropout"]
        held += candidate["mix_up"] + {"none": 0.0, "some": 0.5, "much": 1.0}[candidate["crop"]]
        excess = 1.2 * (log_size - 3.6) - held
        rate = math.log10(candidate["learning_rate"])
        penalty = (
            0.10 * max(0.0, -excess - 0.3) ** 2
            + 0.30 * (rate + 2.6 + 0.2 * (candidate["layers"] / 7.0 - 1.0)) ** 2
            + 0.04 * (math.log(candidate["layers"]) - 0.5 * math.log(candidate["filters"])) ** 2
            + 0.05 * math.log(candidate["reduction"] / 3.0) ** 2
            + 0.03 * (candidate["decay"] == "exponential")
        )
        end = self.lowered(saturating(log_size, top=0.93, gap=0.38, decades=1.7), penalty)
        end += rng.normal(0.0, 0.005)
        scale = 4.0 * 10.0 ** (-0.25 * (log_size - 3.3)) * 10.0 ** (-0.3 * (rate + 2.6))
        curve = power_curve(epochs, self.chance, end, scale=max(scale, 0.3), exponent=1.4)
        onset = 40.0 * math.exp(-0.9 * max(excess, 0.0))
        lost = 0.22 * max(excess, 0.0) * rise(epochs, at=onset + 2.0, width=0.5)
        return curve - np.minimum(lost, 0.4) * (end - self.chance) + jitter(rng, epochs, 0.005)


class LateBloomers(SyntheticProblem):
    """Two plateaus: what climbs to the first one fastest often never leaves it.

    The second climb comes late, at an epoch that depends on warm-up, learning rate and size, and
    its height on parameters that do nothing for the first.
    """

    name: ClassVar[str] = "late bloomers"
    chance: ClassVar[float] = 0.3
    space: tuple[Parameter, ...] = (
        real("width", 0.3, 6.0, log=True),
        real("depth", 0.5, 4.0, log=True),
        whole("heads", 1, 8),
        real("learning_rate", 1e-5, 1e-2, log=True),
        real("warm_up", 0.0, 10.0),
        choice("curriculum", "none", "short_first", "clean_first"),
        real("ease", 0.1, 0.9, when=("curriculum", ("short_first", "clean_first"))),
        choice("auxiliary_loss", False, True),
        real("auxiliary_weight", 0.01, 1.0, log=True, when=("auxiliary_loss", (True,))),
        real("temperature", 0.3, 3.0, log=True),
        choice("initialisation", "random", "wavelets"),
    )

    def size(self, candidate: Candidate) -> float:
        width = 16.0 * candidate["width"]
        return 1500.0 + 20.0 * width**1.9 * candidate["depth"] * (1.0 + candidate["heads"] / 10.0)

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        off_rate = math.log10(candidate["learning_rate"]) + 3.4 + 0.2 * (log_size - 5.0)
        shape = math.log(candidate["depth"]) - 0.7 * math.log(candidate["width"])
        first_penalty = 0.12 * off_rate**2 + 0.03 * shape**2
        helps = 0.0
        if candidate["curriculum"] != "none":
            best = 0.65 if candidate["curriculum"] == "short_first" else 0.3
            helps += 0.5 - 2.5 * abs(candidate["ease"] - best)
        if candidate["auxiliary_loss"]:
            helps += 0.4 - 0.45 * abs(math.log10(candidate["auxiliary_weight"]) + 1.2)
        second_penalty = (
            0.10 * math.log(candidate["temperature"] / 1.4) ** 2
            + 0.03 * abs(math.log2(candidate["heads"]) - 2.0)
            + 0.40 * max(0.0, 0.6 - helps)
        )
        ceiling = saturating(log_size, top=0.95, gap=0.36, decades=1.9)
        first = self.lowered(0.62 * ceiling + 0.38 * self.chance, first_penalty)
        end = self.lowered(ceiling, first_penalty + second_penalty) + rng.normal(0.0, 0.005)
        fast = 1.5 * 10.0 ** (-0.3 * off_rate)
        if candidate["initialisation"] == "wavelets":
            fast, end = 0.4 * fast, end - 0.02
        onset = 7.0 + 14.0 * abs(candidate["warm_up"] / 10.0 - 0.5) + 5.0 * max(0.0, -off_rate)
        onset *= math.exp(0.15 * (log_size - 4.5) + rng.normal(0.0, 0.08))
        curve = exponential_curve(epochs, self.chance, first, scale=fast)
        climb = max(end - first, -0.02) * rise(epochs, at=onset, width=0.22)
        return curve + climb + jitter(rng, epochs, 0.004)


class Ravine(SyntheticProblem):
    """A narrow bent valley in a plain of chance.

    A third of the space learns nothing. Where something is learned, learning rate, weight decay and
    size must keep to a curve; off it (another third) training breaks down at some epoch for good.
    """

    name: ClassVar[str] = "ravine"
    chance: ClassVar[float] = 0.5
    space: tuple[Parameter, ...] = (
        real("capacity", 3.3, 6.4),
        real("learning_rate", 1e-5, 1.0, log=True),
        real("weight_decay", 1e-7, 1e-1, log=True),
        real("beta", 0.8, 0.999),
        real("epsilon", 1e-10, 1e-3, log=True),
        whole("batch_exponent", 3, 10),
        choice("optimiser", "adam", "lion", "sgd", "rmsprop"),
        real("nesterov", 0.0, 1.0, when=("optimiser", ("sgd",))),
        real("centre", 0.0, 1.0, when=("optimiser", ("rmsprop",))),
        real("gain", 0.2, 5.0, log=True),
    )

    def size(self, candidate: Candidate) -> float:
        return 10.0 ** candidate["capacity"] * (1.0 + 0.1 * candidate["gain"])

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        rate = place(candidate["learning_rate"], 1e-5, 1.0, log=True)
        decay = place(candidate["weight_decay"], 1e-7, 1e-1, log=True)
        shift = {"adam": 0.0, "lion": -0.12, "sgd": 0.25, "rmsprop": 0.02}[candidate["optimiser"]]
        best = 0.35 + shift + 0.03 * (candidate["batch_exponent"] - 6) + 0.08 * (5.0 - log_size)
        bend = decay - 0.5 - 1.5 * (rate - best - 0.1) * abs(rate - best - 0.1)
        off = math.hypot(2.2 * (rate - best), 0.9 * bend)
        noise = jitter(rng, epochs, 0.005)
        if off > 0.85:
            return self.chance + noise
        penalty = (
            1.8 * off**2
            + 0.15 * math.log10(candidate["gain"]) ** 2
            + 4.0 * (candidate["beta"] - 0.92) ** 2
            + 0.004 * (math.log10(candidate["epsilon"]) + 7.0) ** 2
            + 0.15 * abs(candidate.get("nesterov", 0.0) - 0.8 * ("nesterov" in candidate))
            + 0.10 * candidate.get("centre", 0.0)
            + {"adam": 0.0, "lion": 0.02, "sgd": 0.01, "rmsprop": 0.05}[candidate["optimiser"]]
        )
        end = self.lowered(saturating(log_size, top=0.97, gap=0.26, decades=1.5), penalty)
        end += rng.normal(0.0, 0.005)
        curve = power_curve(epochs, self.chance, end, scale=1.0 + 3.0 * off, exponent=1.2) + noise
        breaks = 70.0 * math.exp(-4.0 * max(0.0, off - 0.35)) * math.exp(rng.normal(0.0, 0.3))
        if breaks < 52.0:
            curve[int(breaks) :] = self.chance + noise[int(breaks) :]
        return curve
