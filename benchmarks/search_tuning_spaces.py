"""Problems to tune a search on that are hard for their space; none is in the final table."""

from __future__ import annotations

import math
from typing import Any, ClassVar

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
    saturating,
    whole,
)


class Coarse(SyntheticProblem):
    """Ties: few validation segments, rounded widths, and parameters that do nothing for long.

    Accuracy is a multiple of 1/200. Widths are rounded to multiples of 8 channels and rates to
    three a decade, so that many settings are one candidate. Penalties are nought over wide ranges;
    four parameters never count.
    """

    name: ClassVar[str] = "coarse"
    space: tuple[Parameter, ...] = (
        real("width", 0.2, 4.0, log=True),
        real("depth", 0.4, 3.0, log=True),
        choice("stem", 8, 16, 32),
        choice("squeeze", 0.0, 0.25, 0.5),
        real("learning_rate", 1e-4, 1e-1, log=True),
        real("weight_decay", 1e-6, 1e-2, log=True),
        choice("pooling", "mean", "max", "attention"),
        choice("leads", "channels", "each"),
        *(real(f"idle_{i}", 0.0, 1.0) for i in range(3)),
        choice("idle_3", "a", "b", "c", "d"),
    )

    def resolve(self, params: dict[str, Any]) -> Candidate:
        """Return what is built: rounded, and without what is never used."""
        chosen = {name: params[name] for name in ("stem", "squeeze", "pooling", "leads")}
        return {
            **chosen,
            "channels": [max(8, 8 * round(n * params["width"] / 8.0)) for n in (16, 32, 64)],
            "blocks": [max(1, round(n * params["depth"])) for n in (1, 2, 2)],
            "learning_rate": _rounded(params["learning_rate"]),
            "weight_decay": _rounded(params["weight_decay"]),
        }

    def size(self, candidate: Candidate) -> float:
        total, before = 12.0 * candidate["stem"], candidate["stem"]
        for channels, blocks in zip(candidate["channels"], candidate["blocks"], strict=True):
            total += 5.0 * channels * (before + (blocks - 1) * channels)
            total += 2.0 * candidate["squeeze"] * channels**2 * blocks
            before = channels
        return total + (before**2 if candidate["pooling"] == "attention" else 0.0)

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        off_rate = abs(math.log10(candidate["learning_rate"]) + 2.3)
        off_decay = abs(math.log10(candidate["weight_decay"]) + 4.0)
        penalty = (
            0.45 * max(0.0, off_rate - 0.3) ** 2
            + 0.12 * max(0.0, off_decay - 0.4) ** 2
            + 0.04 * abs(sum(candidate["blocks"]) - 6)
            + {0.0: 0.10, 0.25: 0.0, 0.5: 0.03}[candidate["squeeze"]]
            + {"mean": 0.05, "max": 0.12, "attention": 0.0}[candidate["pooling"]]
            + {8: 0.04, 16: 0.0, 32: 0.04}[candidate["stem"]]
            + (0.08 if (candidate["leads"] == "each") == (log_size > 4.8) else 0.0)
        )
        end = self.lowered(saturating(log_size, top=0.90, gap=0.30, decades=1.5), penalty)
        end += rng.normal(0.0, 0.003)
        curve = exponential_curve(epochs, self.chance, end, scale=2.0 + 1.5 * off_rate)
        return curve + jitter(rng, epochs, 0.003)

    def finish(self, accuracies: FloatArray) -> FloatArray:
        return np.round(super().finish(accuracies) * 200.0) / 200.0


def _rounded(value: float) -> float:
    """Return the nearest of 3 values a decade."""
    return float(f"{10.0 ** (round(3.0 * math.log10(value)) / 3.0):.3g}")


class Branches(SyntheticProblem):
    """Three kinds of network with parameters of their own; size itself counts for little.

    The kind that is best at an early epoch and at small sizes is not the one at the end.
    """

    name: ClassVar[str] = "branches"
    space: tuple[Parameter, ...] = (
        choice("kind", "plain", "residual", "attention"),
        whole("channels", 8, 160, log=True),
        whole("depth", 1, 10),
        real("learning_rate", 1e-4, 1e-1, log=True),
        real("augmentation", 0.0, 1.0),
        whole("kernel", 3, 25, step=2, when=("kind", ("plain", "residual"))),
        choice("pool", "max", "stride", when=("kind", ("plain",))),
        real("skip_drop", 0.0, 0.5, when=("kind", ("residual",))),
        choice("pre_activation", False, True, when=("kind", ("residual",))),
        choice("heads", 1, 2, 4, 8, when=("kind", ("attention",))),
        real("attention_dropout", 0.0, 0.5, when=("kind", ("attention",))),
        choice("positions", "none", "learned", "rotary", when=("kind", ("attention",))),
    )

    def size(self, candidate: Candidate) -> float:
        each = {"plain": 3.0, "residual": 6.0, "attention": 12.0}[candidate["kind"]]
        kernel = 1.0 + candidate.get("kernel", 3) / 25.0
        return 1200.0 + each * kernel * candidate["depth"] * candidate["channels"] ** 2

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size, kind = self.log_size(candidate), candidate["kind"]
        best_rate = {"plain": -2.0, "residual": -1.6, "attention": -3.0}[kind]
        off_rate = math.log10(candidate["learning_rate"]) - best_rate
        penalty = 0.15 * off_rate**2 + 0.3 * (candidate["augmentation"] - 0.4) ** 2
        if kind == "plain":
            penalty += 0.03 * max(0, candidate["depth"] - 4) + 0.03 * (candidate["pool"] == "max")
        if kind == "residual":
            penalty += 0.4 * (candidate["skip_drop"] - 0.05 * candidate["depth"]) ** 2
            penalty += 0.03 * (not candidate["pre_activation"])
        if kind == "attention":
            penalty += 0.5 * (candidate["attention_dropout"] - 0.1) ** 2
            penalty += {"none": 0.12, "learned": 0.03, "rotary": 0.0}[candidate["positions"]]
            penalty += 0.03 * abs(math.log2(candidate["heads"]) - 2.0)
        else:
            penalty += 0.05 * math.log(candidate["kernel"] / 9.0) ** 2
        top, gap = {"plain": (0.78, 0.10), "residual": (0.82, 0.18), "attention": (0.87, 0.34)}[
            kind
        ]
        end = self.lowered(saturating(log_size, top=top, gap=gap, decades=2.0), penalty)
        end += rng.normal(0.0, 0.006)
        scale = {"plain": 1.0, "residual": 2.5, "attention": 7.0}[kind]
        curve = power_curve(epochs, self.chance, end, scale=scale, exponent=1.2)
        return curve + jitter(rng, epochs, 0.005)


class Noisy(SyntheticProblem):
    """Chance is as large as what most of sixteen parameters change; half of them change nothing.

    Each training has its own luck, a standard deviation of 0.02, and each epoch of 0.012.
    """

    name: ClassVar[str] = "noisy"
    space: tuple[Parameter, ...] = (
        real("width", 0.2, 3.0, log=True),
        real("depth", 0.5, 3.0, log=True),
        real("learning_rate", 1e-4, 1e-1, log=True),
        *(real(f"knob_{i}", 0.0, 1.0) for i in range(10)),
        *(choice(f"switch_{i}", "off", "on", "auto") for i in range(3)),
    )

    def __init__(self) -> None:
        rng = np.random.default_rng(20_011)
        self._best = rng.uniform(0.15, 0.85, 10)
        self._weight = np.where(np.arange(10) < 4, rng.uniform(0.2, 0.5, 10), 0.0)
        self._switch = rng.uniform(0.0, 0.06, (3, 3))

    def size(self, candidate: Candidate) -> float:
        return 16_000.0 * candidate["width"] ** 2.3 * candidate["depth"] ** 1.2 + 1500.0

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        knobs = np.array([candidate[f"knob_{i}"] for i in range(10)])
        rate = place(candidate["learning_rate"], 1e-4, 1e-1, log=True)
        scaled = math.log(candidate["depth"]) - 0.6 * math.log(candidate["width"])
        penalty = (
            float(self._weight @ (knobs - self._best) ** 2)
            + sum(
                self._switch[i, ("off", "on", "auto").index(candidate[f"switch_{i}"])]
                for i in range(3)
            )
            + 1.5 * (rate - 0.55) ** 2
            + 0.06 * scaled**2
        )
        end = self.lowered(saturating(log_size, top=0.88, gap=0.32, decades=1.8), penalty)
        end += rng.normal(0.0, 0.02)
        scale = 1.5 + 6.0 * max(0.0, 0.55 - rate) + knobs[0] * 1.5
        curve = power_curve(epochs, self.chance, end, scale=scale, exponent=1.2)
        return curve + jitter(rng, epochs, 0.012)
