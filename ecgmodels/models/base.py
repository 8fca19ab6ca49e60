"""What every family of networks states about a member, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from ecgmodels.configs import Config
from ecgmodels.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class ModelConfig(Config):
    """One network. Families add fields of their own; `to_dict` names the family as "model".

    Raises:
        ConfigError: a value is out of range, or has no effect beside the others.
    """

    model: ClassVar[str]
    """Name of the family, its key in `ecgmodels.models.registry.FAMILIES`."""

    leads: int
    """ECG leads in a segment."""

    samples: int
    """Length of a segment at the dataset's rate; the longest one where lengths differ."""

    classes: int
    """Classes told apart; the logits' width."""

    features: tuple[str, ...] = ()
    """Patient and rhythm features the model sees, by their names in the dataset."""

    template: bool = False
    """Whether each lead comes with a second channel, the recording's own median beat."""

    def __post_init__(self) -> None:
        for name in ("leads", "samples", "classes"):
            value = getattr(self, name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            self._require(name, whole, "a whole number")
            self._require(name, value >= 1, "at least 1")
        self._require("template", isinstance(self.template, bool), "true or false")
        if len(set(self.features)) < len(self.features):
            raise ConfigError(
                f"features {list(self.features)} name one twice", hint="name each feature once"
            )

    @property
    def in_channels(self) -> int:
        """Channels of the network's input: the leads, and their templates."""
        return self.leads * (2 if self.template else 1)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-ready values, and the family's name as "model"."""
        return {"model": self.model, **super().to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build the configuration from `to_dict`'s result.

        Raises:
            ConfigError: a key is not a field, a value is out of range, or the family another.
        """
        fields = dict(values)
        name = fields.pop("model", cls.model)
        if name != cls.model:
            raise ConfigError(
                f"{cls.__name__} describes '{cls.model}', got a '{name}'",
                hint="use ecgmodels.model_config, which reads every family",
            )
        return super().from_dict(fields)

    def _require(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise ConfigError(
                f"{name} must be {expected}, got {getattr(self, name)!r}", hint=f"change {name}"
            )


@dataclass(frozen=True)
class Cost:
    """What a network, or a part of one, costs.

    Parameters are everything that training learns. Multiply-accumulates (MACs) are those of
    convolutions, linear and recurrent layers and attention's two matrix products for one segment,
    padding counted; normalisation, activations, pooling, token embedding and the resampling of the
    input (which prepares a segment and can be done once) are not.
    """

    parameters: int = 0
    macs: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.parameters + other.parameters, self.macs + other.macs)

    def __mul__(self, times: int) -> Cost:
        """Return the cost of as many copies, each with weights of its own."""
        return Cost(self.parameters * times, self.macs * times)

    def applied(self, times: int) -> Cost:
        """Return the cost of one set of weights used so many times."""
        return Cost(self.parameters, self.macs * times)


def convolution(taps: int, channels: int, length: int, *, bias: bool = False) -> Cost:
    """A convolution whose every output sums over `taps` inputs (channels of a group x kernel).

    Its bias is a parameter for each channel and no multiplication.
    """
    return Cost(taps * channels + channels * bias, taps * channels * length)


def batch_norm(channels: int) -> Cost:
    """Batch norm's scale and shift."""
    return Cost(parameters=2 * channels)


def linear(inputs: int, outputs: int, *, bias: bool = True, positions: int = 1) -> Cost:
    """A linear layer applied at so many positions."""
    return Cost(inputs * outputs + outputs * bias, inputs * outputs * positions)
