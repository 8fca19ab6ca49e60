"""The space of EfficientECG networks and of how they are trained.

Sizes come from a base and from compound scaling: depth alpha^phi, width beta^phi, resolution
gamma^phi with gamma = 2 / (alpha * beta^2), so one step of phi doubles or halves the work. phi is
spread evenly, sizes therefore over magnitudes: with 2 leads and 4 classes, from about 5 k
parameters (base "tiny", phi -3) to 1.2 M (base "small", phi 3); base "b0" goes on to 40 M.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast, get_args

from ecgmodels.errors import ConfigError
from ecgmodels.models.efficientecg.config import (
    BASES,
    Direction,
    EfficientECGConfig,
    compound_scaling,
    placement_names,
)
from ecgmodels.training.config import ClassWeighting, TrainingConfig
from spaces.candidate import Candidate
from spaces.errors import CandidateRefused, SpaceError
from spaces.parameters import Choice, Float, Parameter, Trial, overridden
from spaces.space import DataShape

WITHOUT_ATTENTION = ("none", "concat")

FUSIONS = (*WITHOUT_ATTENTION, "stem", "stage2", "stage4", "head", "stem+head", "stage2+stage4")
"""How features come in, by default: not, beside the classifier's input, or by attention there."""


def _possible_fusions() -> tuple[str, ...]:
    """Return every set of up to three placements of any base, joined by "+", and the others."""
    longest = max(BASES, key=lambda base: len(placement_names(base)))
    sets = (itertools.combinations(placement_names(longest), count) for count in (1, 2, 3))
    return (*WITHOUT_ATTENTION, *("+".join(places) for places in itertools.chain(*sets)))


DEFAULTS: Mapping[str, Parameter] = MappingProxyType(
    {
        "base": Choice(("tiny", "small"), allowed=tuple(BASES)),
        "phi": Float(-3.0, 3.0, allowed=(-6.0, 6.0)),
        # The box stays where gamma >= 1 (1.3 * 1.24^2 = 1.999), so that by default no proposal is
        # turned down, and holds the paper's optimum (1.2, 1.1). Wider ranges are allowed; the
        # corner beyond is then refused candidate by candidate.
        "alpha": Float(1.0, 1.3, allowed=(1.0, 2.0)),
        "beta": Float(1.0, 1.24, allowed=(1.0, 2.0**0.5)),
        # The small bases' kernels of 5 become 3 to 15.
        "kernel_scale": Float(0.6, 3.0, allowed=(0.1, 20.0)),
        "fusion": Choice(FUSIONS, allowed=_possible_fusions()),
        "direction": Choice(get_args(Direction)),
        "heads": Choice((1, 2, 4), allowed=(1, 2, 3, 4, 6, 8)),
        "head_width": Choice((16,), allowed=(4, 8, 16, 32, 64)),
        "dropout": Float(0.0, 0.5, allowed=(0.0, 0.9)),
        "drop_path": Float(0.0, 0.3, allowed=(0.0, 0.9)),
        "learning_rate": Float(3e-4, 1e-2, log=True, allowed=(1e-7, 1.0)),
        "weight_decay": Float(1e-4, 1e-1, log=True, allowed=(0.0, 10.0)),
        "class_weighting": Choice(get_args(ClassWeighting)),
    }
)
"""Every parameter with its default range; those a candidate does not need are not suggested."""

ATTENTION = ("direction", "heads", "head_width")
SEARCHED_TRAINING = ("learning_rate", "weight_decay", "class_weighting")


@dataclasses.dataclass(frozen=True)
class EfficientECGSpace:
    """EfficientECG for one dataset's shape; see the module's docstring.

    Raises:
        SpaceError: a range asks for features that the dataset lacks, or for a place that a base
            lacks; a training setting is searched, and so cannot be shared.
        ConfigError: a training setting is unknown or out of range.
    """

    shape: DataShape
    training: Mapping[str, Any]
    """Fields of `TrainingConfig` that all candidates share."""

    ranges: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """What a study file sets beside the defaults."""

    parameters: Mapping[str, Parameter] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        defaults = dict(DEFAULTS)
        if not self.shape.features:
            defaults["fusion"] = defaults["fusion"].from_toml("none")
        object.__setattr__(self, "parameters", overridden(defaults, self.ranges))
        self._check_fusion()
        self._check_attention()
        self._check_scaling()
        self._check_training()

    def with_ranges(self, overrides: Mapping[str, object]) -> EfficientECGSpace:
        """Return this space with other ranges; see `spaces.space.Space`."""
        return dataclasses.replace(self, ranges={**self.ranges, **overrides})

    def suggest(self, trial: Trial) -> Candidate:
        """Return a candidate.

        alpha and beta are asked for unless phi is fixed at 0, where they have no effect; direction
        and heads only with attention.

        Raises:
            CandidateRefused: gamma falls below 1, or the sizes cannot be built.
        """

        def pick(name: str) -> Any:
            return self.parameters[name].suggest(trial, name)

        base = pick("base")
        phi = pick("phi")
        scaling = {"alpha": pick("alpha"), "beta": pick("beta")} if phi != 0.0 else {}
        model = {name: pick(name) for name in ("kernel_scale", "dropout", "drop_path")}
        fusion = pick("fusion")
        if fusion not in WITHOUT_ATTENTION:
            model |= {name: pick(name) for name in ATTENTION}
        training = {name: pick(name) for name in SEARCHED_TRAINING}
        try:
            return Candidate(
                model=EfficientECGConfig(
                    leads=self.shape.leads,
                    samples=self.shape.samples,
                    classes=self.shape.classes,
                    base=base,
                    **_multipliers(phi, **scaling),
                    **self._fusion(fusion),
                    **model,
                ),
                training=TrainingConfig(**self.training, **training),
            )
        except ConfigError as error:
            raise CandidateRefused(str(error), hint=error.hint) from error

    def _fusion(self, option: str) -> dict[str, Any]:
        """Return the fields of the model that an option of `fusion` stands for."""
        if option == "none":
            return {"fusion": "none"}
        if option == "concat":
            return {"fusion": "concat", "features": self.shape.features}
        return {
            "fusion": "attention",
            "features": self.shape.features,
            "placements": tuple(option.split("+")),
        }

    def _fusion_options(self) -> tuple[str, ...]:
        return tuple(str(option) for option in self._choice("fusion").options)

    def _choice(self, name: str) -> Choice:
        return cast(Choice, self.parameters[name])

    def _range(self, name: str) -> Float:
        return cast(Float, self.parameters[name])

    def _check_fusion(self) -> None:
        for option in self._fusion_options():
            if option != "none" and not self.shape.features:
                raise SpaceError(
                    f"space.ranges.fusion: '{option}' needs features, and the dataset has none",
                    hint="prepare the dataset with features, or leave fusion out",
                )
            if option in WITHOUT_ATTENTION:
                continue
            for place, base in itertools.product(option.split("+"), self._choice("base").options):
                places = placement_names(str(base))
                if place not in places:
                    raise SpaceError(
                        f"space.ranges.fusion: there is no '{place}' in base '{base}'",
                        hint=f"valid: {', '.join(places)}; or leave that base out",
                    )

    def _check_attention(self) -> None:
        if set(self._fusion_options()) <= set(WITHOUT_ATTENTION):
            for name in (name for name in ATTENTION if name in self.ranges):
                raise SpaceError(
                    f"space.ranges.{name} has no effect: no option of fusion is an attention",
                    hint=f"leave out {name}, or add a placement such as 'head' to fusion",
                )

    def _check_scaling(self) -> None:
        alpha, beta = self._range("alpha").low, self._range("beta").low
        if alpha * beta**2 > 2.0 + 1e-9:
            raise SpaceError(
                f"space.ranges: alpha from {alpha:g} and beta from {beta:g} leave gamma below 1",
                hint="lower their lower bounds until alpha * beta^2 is at most 2",
            )

    def _check_training(self) -> None:
        for name in SEARCHED_TRAINING:
            if name in self.training:
                raise SpaceError(
                    f"training.{name} is searched by the space",
                    hint=f"to fix it, set {name} under [space.ranges] instead",
                )
        TrainingConfig.from_dict(self.training)


def _multipliers(phi: float, alpha: float = 1.0, beta: float = 1.0) -> dict[str, Any]:
    if phi == 0.0:
        return {}
    depth, width, resolution = compound_scaling(phi, alpha, beta)
    return {"depth": depth, "width": width, "resolution": resolution}
