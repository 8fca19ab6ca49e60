"""Every family of networks by name: how a configuration becomes sizes, a cost and a network.

config = model_config({"model": "efficientecg", "leads": 12, "samples": 1000, "classes": 5})
cost(config)         # {"parameters": ..., "macs": ...}, without torch
build_model(config)  # the network, with random weights
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from ecgmodels.configs import Config, nearest_hint
from ecgmodels.errors import ConfigError
from ecgmodels.models.base import Cost, ModelConfig
from ecgmodels.models.baselines import cost as baseline_cost
from ecgmodels.models.baselines.cnn_lstm_plan import resolve_cnn_lstm
from ecgmodels.models.baselines.config import (
    CNNLSTMConfig,
    InceptionConfig,
    ResNet18Config,
    ResNetWangConfig,
    XResNet101Config,
)
from ecgmodels.models.baselines.inception_plan import resolve_inception1d
from ecgmodels.models.baselines.residual_plan import (
    resolve_resnet1d18,
    resolve_resnet1d_wang,
    resolve_xresnet1d101,
)
from ecgmodels.models.efficientecg import cost as efficientecg_cost
from ecgmodels.models.efficientecg import plan as efficientecg_plan
from ecgmodels.models.efficientecg.config import EfficientECGConfig

if TYPE_CHECKING:
    from ecgmodels.models.network import ECGNetwork


@dataclass(frozen=True, kw_only=True)
class Family:
    """One way from a configuration to a network."""

    config: type[ModelConfig]
    resolve: Callable[[Any], Config]
    """Configuration -> plan: the exact sizes, after rounding. Equal plans are one network."""
    cost: Callable[[Any], Cost]
    """Plan -> cost, by arithmetic."""
    network: str
    """Import path "module:Class" of the `ECGNetwork` that is built from a configuration; a path,
    because importing it needs torch."""


FAMILIES: Mapping[str, Family] = MappingProxyType(
    {
        family.config.model: family
        for family in (
            Family(
                config=EfficientECGConfig,
                resolve=efficientecg_plan.resolve,
                cost=efficientecg_cost.plan_cost,
                network="ecgmodels.models.efficientecg.network:EfficientECG",
            ),
            Family(
                config=ResNetWangConfig,
                resolve=resolve_resnet1d_wang,
                cost=baseline_cost.residual_cost,
                network="ecgmodels.models.baselines.residual:ResNet1dWang",
            ),
            Family(
                config=XResNet101Config,
                resolve=resolve_xresnet1d101,
                cost=baseline_cost.residual_cost,
                network="ecgmodels.models.baselines.residual:XResNet1d101",
            ),
            Family(
                config=InceptionConfig,
                resolve=resolve_inception1d,
                cost=baseline_cost.inception_cost,
                network="ecgmodels.models.baselines.inception:Inception1d",
            ),
            Family(
                config=CNNLSTMConfig,
                resolve=resolve_cnn_lstm,
                cost=baseline_cost.cnn_lstm_cost,
                network="ecgmodels.models.baselines.cnn_lstm:CNNLSTM",
            ),
            Family(
                config=ResNet18Config,
                resolve=resolve_resnet1d18,
                cost=baseline_cost.residual_cost,
                network="ecgmodels.models.baselines.residual:ResNet1d18",
            ),
        )
    }
)


def model_config(values: Mapping[str, Any]) -> ModelConfig:
    """Return the configuration that some family's `to_dict` wrote.

    Raises:
        ConfigError: "model" names no family, a key is unknown, or a value is out of range.
    """
    name = str(values.get("model"))
    if name not in FAMILIES:
        raise ConfigError(f"model '{name}' is unknown", hint=nearest_hint(name, FAMILIES))
    return FAMILIES[name].config.from_dict(values)


def resolve(config: ModelConfig) -> Config:
    """Return the plan: the network's exact sizes, whose `to_dict` is what identity hashes."""
    return FAMILIES[config.model].resolve(config)


def cost(config: ModelConfig) -> dict[str, int]:
    """Return {"parameters", "macs"} of the network that `config` describes, exactly."""
    family = FAMILIES[config.model]
    total = family.cost(family.resolve(config))
    return {"parameters": total.parameters, "macs": total.macs}


def build_model(config: ModelConfig) -> ECGNetwork:
    """Return the network with random weights, drawn from torch's default generator."""
    module, name = FAMILIES[config.model].network.split(":")
    network: type[ECGNetwork] = getattr(importlib.import_module(module), name)
    return network(config)
