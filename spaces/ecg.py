"""The space that comes along: networks of every family, the features they see, their training.

By default it is the EfficientECG family alone. A study file may set baselines beside it on one
front (`model = ["efficientecg", "resnet1d_wang"]`), and open or close every other parameter.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from ecgmodels.errors import ConfigError
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.registry import FAMILIES
from spaces import baselines, efficientecg, training
from spaces.candidate import Candidate
from spaces.combinations import buildable_fusions, check_combinations, check_dataset
from spaces.effects import check_effects
from spaces.errors import CandidateRefused, SpaceError
from spaces.features import features_of, features_parameter
from spaces.parameters import Choice, Parameter, Pick, Trial, overridden
from spaces.shape import DataShape


@dataclasses.dataclass(frozen=True)
class ECGSpace:
    """Networks and their training for one dataset's shape; see the module's docstring.

    Raises:
        SpaceError: a range asks for what the dataset lacks, for what no other option goes with, or
            has no effect beside the others; a training setting is both searched and shared.
        ConfigError: a training setting is unknown or out of range.
    """

    shape: DataShape
    training: Mapping[str, Any]
    """Fields of `TrainingConfig` that all candidates share."""

    ranges: Mapping[str, object] = dataclasses.field(default_factory=dict)
    """What a study file sets beside the defaults."""

    parameters: Mapping[str, Parameter] = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        shared = training.check_shared(self.shape, self.training, self.ranges)
        ranges = dict(self.ranges)
        if "fusion" in ranges:
            ranges["fusion"] = efficientecg.in_signal_order(ranges["fusion"])
        parameters = overridden(_defaults(self.shape, self.training, ranges), ranges)
        if "fusion" not in ranges:  # by default no proposal is turned down
            parameters["fusion"] = buildable_fusions(parameters)
        object.__setattr__(self, "parameters", parameters)
        check_effects(parameters, self.training, self.ranges)
        check_dataset(self.shape, parameters)
        check_combinations(parameters)
        training.check_augmentation(self.shape, shared, parameters)

    def with_ranges(self, overrides: Mapping[str, object]) -> ECGSpace:
        """Return this space with other ranges; see `spaces.space.Space`."""
        return dataclasses.replace(self, ranges={**self.ranges, **overrides})

    def suggest(self, trial: Trial) -> Candidate:
        """Return a candidate, asking only for parameters that have an effect on it.

        Raises:
            CandidateRefused: gamma falls below 1, places do not exist, or the sizes cannot be
                built.
        """

        def pick(name: str) -> Any:
            return self.parameters[name].suggest(trial, name)

        try:
            model = self._model(pick("model"), pick)
            return Candidate(model=model, training=training.suggest_training(pick, self.training))
        except ConfigError as error:
            raise CandidateRefused(str(error), hint=error.hint) from error

    def _model(self, family: str, pick: Pick) -> ModelConfig:
        shared = {
            "leads": self.shape.leads,
            "samples": self.shape.samples,
            "classes": self.shape.classes,
            "template": pick("template"),
        }

        def features() -> tuple[str, ...]:
            return features_of(pick("features"), self.shape.features)

        if family == efficientecg.FAMILY:
            return efficientecg.suggest_model(pick, shared, features)
        return baselines.suggest_model(family, pick, shared, features)


def _defaults(
    shape: DataShape, shared: Mapping[str, Any], ranges: Mapping[str, object]
) -> dict[str, Parameter]:
    """Return every parameter that may be searched on such a dataset, with its default range."""
    try:
        features = features_parameter(shape.features, ranges.get("features"))
    except SpaceError as error:
        raise SpaceError(f"space.ranges.features: {error}", hint=error.hint) from error
    parameters: dict[str, Parameter] = {
        "model": Choice((efficientecg.FAMILY,), allowed=tuple(FAMILIES)),
        **efficientecg.PARAMETERS,
        **baselines.PARAMETERS,
        "features": features,
        "template": Choice((False,), allowed=(False, True)),
        **{name: p for name, p in training.PARAMETERS.items() if name not in shared},
    }
    if not shape.features:
        parameters["fusion"] = parameters["fusion"].from_toml("none")
    return parameters
