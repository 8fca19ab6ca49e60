"""Problems for the final table that are hard for their space; no search may be tuned on them."""

from __future__ import annotations

import itertools
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
    power_curve,
    real,
    saturating,
    whole,
)


class Rotated(SyntheticProblem):
    """Nothing can be tuned by itself: nine parameters count only in combinations of all.

    The penalty is a quadratic form with axes turned at random and a condition number of 100; two
    of the nine decide the size, and size counts for little.
    """

    name: ClassVar[str] = "rotated"
    space: tuple[Parameter, ...] = (
        real("scale", 0.0, 1.0),
        real("aspect", 0.0, 1.0),
        *(real(f"latent_{i}", 0.0, 1.0) for i in range(7)),
        choice("precision", "float32", "bfloat16"),
    )

    def __init__(self) -> None:
        rng = np.random.default_rng(90_407)
        self._axes = np.linalg.qr(rng.standard_normal((9, 9)))[0]
        self._weights = np.logspace(-1.2, 0.8, 9)
        self._centre = rng.uniform(0.35, 0.65, 9)
        self._drift = np.concatenate([[0.0, 0.0], rng.uniform(-0.25, 0.25, 7)])

    def size(self, candidate: Candidate) -> float:
        return 10.0 ** (3.35 + 2.5 * candidate["scale"] + 0.7 * candidate["aspect"])

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        values = [candidate["scale"], candidate["aspect"]]
        values += [candidate[f"latent_{i}"] for i in range(7)]
        off = np.array(values) - self._centre - self._drift * (candidate["scale"] - 0.5)
        off[0] = 0.0  # size itself is free to choose
        turned = self._axes @ off
        penalty = float(self._weights @ turned**2) + 0.02 * (candidate["precision"] == "bfloat16")
        end = self.lowered(saturating(log_size, top=0.86, gap=0.14, decades=2.2), penalty)
        end += rng.normal(0.0, 0.004)
        scale = 2.0 * math.exp(1.5 * float(turned[0])) * (1.0 + 0.4 * (log_size - 3.3))
        curve = power_curve(epochs, self.chance, end, scale=scale, exponent=1.0)
        return curve + jitter(rng, epochs, 0.004)


class Tables(SyntheticProblem):
    """Choices only: nine categorical parameters that count in pairs, by random tables.

    There are no neighbours and nothing to interpolate; many candidates have equal size.
    """

    name: ClassVar[str] = "tables"
    space: tuple[Parameter, ...] = (
        choice("width", 8, 12, 16, 24, 32, 48, 64, 96, 128),
        choice("depth", 1, 2, 3, 4, 6, 8),
        choice("cell", "conv", "depthwise", "gated", "recurrent"),
        *(choice(f"option_{i}", "a", "b", "c", "d") for i in range(5)),
        choice("rate", 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2),
    )

    _CELL: ClassVar[dict[str, float]] = {
        "conv": 9.0,
        "depthwise": 2.0,
        "gated": 14.0,
        "recurrent": 8.0,
    }

    def __init__(self) -> None:
        rng = np.random.default_rng(31_337)
        pairs = itertools.combinations(range(6), 2)
        self._tables = {pair: rng.gamma(0.7, 0.05, (4, 4)) for pair in pairs}
        self._tempo = rng.uniform(0.6, 6.0, (4, 4))

    def size(self, candidate: Candidate) -> float:
        each = self._CELL[candidate["cell"]] * candidate["width"] ** 2
        return 1200.0 + each * candidate["depth"] + 60.0 * candidate["width"]

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        places = [list(self._CELL).index(candidate["cell"])]
        places += ["abcd".index(candidate[f"option_{i}"]) for i in range(5)]
        penalty = sum(float(t[places[i], places[j]]) for (i, j), t in self._tables.items())
        best = -2.2 - 0.3 * places[1] - 0.15 * math.log2(candidate["depth"])
        penalty += 0.2 * (math.log10(candidate["rate"]) - best) ** 2
        penalty += (
            0.04 * (math.log2(candidate["depth"]) - 0.6 * math.log2(candidate["width"] / 8)) ** 2
        )
        end = self.lowered(saturating(log_size, top=0.96, gap=0.40, decades=1.8), 0.6 * penalty)
        end += rng.normal(0.0, 0.006)
        scale = float(self._tempo[places[0], places[2]]) * (1.0 + 0.3 * (log_size - 3.3))
        curve = exponential_curve(epochs, self.chance, end, scale=scale)
        return curve + jitter(rng, epochs, 0.006)


class ManyKnobs(SyntheticProblem):
    """Twenty parameters and a strong effect of size; small networks are a gamble.

    Four stages have width and depth of their own. How much luck a training has falls with size,
    from 0.03 to 0.004, so that the front's small end is partly luck.
    """

    name: ClassVar[str] = "many knobs"
    chance: ClassVar[float] = 0.15
    space: tuple[Parameter, ...] = (
        *(whole(f"width_{stage}", 4, 128, log=True) for stage in range(4)),
        *(whole(f"repeats_{stage}", 1, 5) for stage in range(4)),
        *(choice(f"kernel_{stage}", 3, 5, 9, 15) for stage in range(4)),
        real("learning_rate", 1e-4, 1e-1, log=True),
        real("weight_decay", 1e-6, 1e-1, log=True),
        real("stochastic_depth", 0.0, 0.5),
        real("noise", 0.0, 1.0),
        real("scaling", 0.0, 0.5),
        choice("attention", "none", "squeeze", "cross"),
        choice("attention_at", "stem", "stage", "head", when=("attention", ("cross",))),
        choice("balance", "none", "sqrt", "full"),
    )

    def size(self, candidate: Candidate) -> float:
        total, before = 600.0, 4
        for stage in range(4):
            width = candidate[f"width_{stage}"]
            each = width * (width + 2.0 * candidate[f"kernel_{stage}"])
            total += 2.0 * before * width + 3.0 * each * candidate[f"repeats_{stage}"]
            before = width
        return total * (1.25 if candidate["attention"] == "cross" else 1.0)

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        widths = np.log2([candidate[f"width_{stage}"] for stage in range(4)])
        repeats = np.array([candidate[f"repeats_{stage}"] for stage in range(4)])
        kernels = np.log2([candidate[f"kernel_{stage}"] for stage in range(4)])
        rate = math.log10(candidate["learning_rate"])
        at = {"stem": 0.08, "stage": 0.0, "head": 0.03}.get(
            candidate.get("attention_at", "stage"), 0
        )
        penalty = (
            0.05 * float(np.mean((np.diff(widths) - 0.8) ** 2))
            + 0.02 * float(np.mean((repeats - np.array([1, 2, 3, 2])) ** 2))
            + 0.02 * float(np.mean((kernels - np.array([3.9, 3.2, 2.3, 1.6])) ** 2))
            + 0.16 * (rate + 2.1) ** 2
            + 0.006 * (math.log10(candidate["weight_decay"]) + 3.0) ** 2
            + 0.8 * (candidate["stochastic_depth"] - 0.06 * (log_size - 3.3)) ** 2
            + 0.12 * (candidate["noise"] - 0.3) ** 2
            + 0.4 * (candidate["scaling"] - 0.2) ** 2
            + {"none": 0.12, "squeeze": 0.05, "cross": at}[candidate["attention"]]
            + {"none": 0.08, "sqrt": 0.0, "full": 0.03}[candidate["balance"]]
        )
        end = self.lowered(saturating(log_size, top=0.95, gap=0.62, decades=2.4), penalty)
        luck = 0.004 + 0.026 * 10.0 ** (-0.7 * (log_size - 3.3))
        end += rng.normal(0.0, luck)
        scale = 1.0 + 1.2 * (log_size - 3.3) + 1.5 * max(0.0, -2.1 - rate)
        curve = exponential_curve(epochs, self.chance, end, scale=scale)
        return curve + jitter(rng, epochs, 0.4 * luck + 0.002)


class FewBeats(SyntheticProblem):
    """Whole numbers and counts: accuracy is how many of 300 validation segments are right.

    What is measured scatters by up to 0.03 and ties often; which segments are right hardly changes
    from epoch to epoch, so more epochs do not average it out.
    """

    name: ClassVar[str] = "few beats"
    chance: ClassVar[float] = 0.25
    space: tuple[Parameter, ...] = (
        whole("stem", 4, 64, log=True),
        whole("growth", 2, 48, log=True),
        whole("blocks", 1, 4),
        whole("layers", 1, 6),
        whole("taps", 3, 33, step=6),
        whole("rate_step", 0, 12),
        whole("decay_step", 0, 8),
        choice("loss", "cross_entropy", "focal", "margin"),
        whole("gamma", 1, 5, when=("loss", ("focal",))),
        whole("margin", 1, 9, when=("loss", ("margin",))),
        choice("features", "none", "rr", "rr_age"),
    )

    def size(self, candidate: Candidate) -> float:
        total, channels = 14.0 * candidate["stem"], candidate["stem"]
        taps = 1.0 + candidate["taps"] / 20.0
        for _ in range(candidate["blocks"]):
            for _ in range(candidate["layers"]):
                total += 4.0 * taps * channels * candidate["growth"]
                channels += candidate["growth"]
            channels = (channels + 1) // 2
        return 900.0 + total + (300.0 if candidate["features"] != "none" else 0.0)

    def accuracies(
        self, candidate: Candidate, epochs: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        log_size = self.log_size(candidate)
        loss: dict[str, Any] = {
            "cross_entropy": 0.06,
            "focal": 0.03 * abs(candidate.get("gamma", 2) - 2),
            "margin": 0.02 + 0.015 * abs(candidate.get("margin", 3) - 3),
        }
        penalty = (
            0.03 * (candidate["rate_step"] - 7 + 0.8 * (log_size - 4.5)) ** 2
            + 0.012 * (candidate["decay_step"] - 4) ** 2
            + 0.02 * (candidate["blocks"] - 3) ** 2
            + 0.02 * (candidate["layers"] - 2 - candidate["blocks"] / 2.0) ** 2
            + 0.001 * (candidate["taps"] - 15) ** 2
            + loss[candidate["loss"]]
            + {"none": 0.25, "rr": 0.0, "rr_age": 0.05}[candidate["features"]]
        )
        end = self.lowered(saturating(log_size, top=0.93, gap=0.33, decades=1.7), penalty)
        scale = 2.5 * 2.0 ** (0.2 * (7 - candidate["rate_step"])) * (1 + 0.2 * (log_size - 3.3))
        curve = power_curve(epochs, self.chance, end, scale=scale, exponent=1.6)
        hard = np.sort(rng.random(300))  # how good a network must be to get each segment right
        moved = np.clip(curve + jitter(rng, epochs, 0.004), 0.0, 1.0)
        return np.searchsorted(hard, moved) / 300.0
