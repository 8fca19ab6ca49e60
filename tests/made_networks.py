"""Small networks of every family, and inputs for them."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ecgmodels import ECGNetwork, build_model, model_config

LEADS, SAMPLES, CLASSES = 3, 97, 5
FEATURES = ("age", "sex", "rr_ratio")
FUSED = {"fusion": "concat", "features": FEATURES}
ATTENTION = {
    "fusion": "attention",
    "features": FEATURES,
    "placements": ("stem", "stage2", "head"),
    "base": "tiny",
}

CASES: dict[str, dict[str, Any]] = {
    "efficientecg": {"base": "tiny"},
    "efficientecg, scaled up": {
        "base": "small",
        "depth": 1.2,
        "width": 1.3,
        "resolution": 1.4,
        "kernel_scale": 2.0,
        "drop_path": 0.1,
    },
    "efficientecg, another shape": {
        "base": "small",
        "stages": 3,
        "expansion": 2,
        "squeeze_ratio": 0.1,
        "activation": "hardswish",
        "stem_stride": 4,
        "resolution": 0.7,
        "template": True,
    },
    "efficientecg, concat": {"base": "tiny", "activation": "gelu", **FUSED},
    "efficientecg, signal attends": {"direction": "signal_to_features", **ATTENTION},
    "efficientecg, features attend": {
        "direction": "features_to_signal",
        "heads": 3,
        "attention_width": 16,
        **ATTENTION,
    },
    "efficientecg, both attend": {"direction": "both", "template": True, **ATTENTION},
    "efficientecg, leads apart": {
        "base": "tiny",
        "leads_fused": "stage2",
        "activation": "relu",
        "stem_stride": 1,
        "template": True,
        **FUSED,
    },
    "efficientecg, leads apart, both attend": {
        **ATTENTION,
        "leads_fused": "stem",
        "direction": "both",
    },
    "resnet1d_wang": {"width": 0.25},
    "resnet1d_wang, fused": {"width": 0.1, "depth": 1.5, "template": True, **FUSED},
    "xresnet1d101": {"width": 0.25, "depth": 0.05},
    "xresnet1d101, fused": {"width": 0.1, "depth": 0.1, "template": True, **FUSED},
    "inception1d": {"width": 0.25, "depth": 0.5},
    "inception1d, fused": {"width": 0.2, "kernel_scale": 0.5, "template": True, **FUSED},
    "cnn_lstm": {},
    "cnn_lstm, fused": {"width": 2.5, "kernel_scale": 0.5, "template": True, **FUSED},
    "resnet1d18": {"width": 0.1},
    "resnet1d18, fused": {
        "width": 0.1,
        "depth": 0.5,
        "kernel_scale": 2.0,
        "dropout": 0.3,
        "template": True,
        **FUSED,
    },
}
"""A family's name, a comma and what is particular -> fields of its configuration."""

Inputs = tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor | None]
"""What `ECGNetwork.forward` takes."""


def configured(case: str) -> Any:
    given_values = {"leads": LEADS, "samples": SAMPLES, "classes": CLASSES, **CASES[case]}
    return model_config({"model": case.partition(",")[0], **given_values})


def built(case: str, seed: int = 0) -> ECGNetwork:
    torch.manual_seed(seed)
    return build_model(configured(case))


@cache
def lived(case: str) -> ECGNetwork:
    """A network in evaluation mode whose norms tell of training; tests leave it as it is.

    Fresh norms map 0 to 0, and those that begin with a scale of 0 hide a whole branch.
    """
    model = built(case)
    random = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for values in (module.weight.data, module.running_var):
                values.uniform_(0.5, 1.5, generator=random)
            for values in (module.bias.data, module.running_mean):
                values.normal_(0, 0.3, generator=random)
    return model.eval()


@cache
def lived_in_double(case: str) -> ECGNetwork:
    return copy.deepcopy(lived(case)).double()


def freeze_norms(model: nn.Module) -> None:
    """Let batch norm use its running statistics in training too: they do not depend on a batch."""
    train = model.train

    def train_all_else(mode: bool = True) -> nn.Module:
        train(mode)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
                module.eval()
        return model

    model.train = train_all_else  # type: ignore[method-assign]


def inputs(case: str, batch: int = 6, seed: int = 1, time: int = SAMPLES) -> Inputs:
    """Standard normal values; half of the features are missing."""
    config, random = configured(case), torch.Generator().manual_seed(seed)
    known = torch.rand(batch, len(config.features), generator=random) < 0.5
    values = torch.randn(batch, len(config.features), generator=random)
    signal, template = torch.randn(2, batch, LEADS, time, generator=random)
    return signal, values * known, known, None, template if config.template else None


def padded(of: Inputs, lengths: list[int], time: int, garbage: float) -> Inputs:
    """Cut each of the first segments to its length, and pad them all to `time`."""
    signal, values, known, _, template = (x if x is None else x[: len(lengths)] for x in of)
    mask = torch.arange(time) < torch.tensor(lengths)[:, None]

    def pad(x: Tensor) -> Tensor:
        longer = x.new_full((*x.shape[:2], time), garbage)
        shared = min(time, x.shape[2])
        longer[:, :, :shared] = x[:, :, :shared]
        return longer.masked_fill(~mask[:, None], garbage)

    return pad(signal), values, known, mask, None if template is None else pad(template)


def row(of: Inputs, index: int, length: int | None = None) -> Inputs:
    """One segment of a batch, of its first `length` samples, without a mask."""
    signal, values, known, _, template = of
    one = slice(index, index + 1)
    cut = None if template is None else template[one, :, :length]
    return signal[one, :, :length], values[one], known[one], None, cut


def in_double(of: Inputs) -> Inputs:
    signal, values, known, mask, template = of
    return (
        signal.double(),
        values.double(),
        known,
        mask,
        None if template is None else template.double(),
    )


def counted_parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def counted_macs(model: ECGNetwork) -> int:
    """Count what runs for one segment, without running it: `model` is on the meta device then.

    There an LSTM and attention are their matrix products, which are what is counted.
    """
    config = model.config
    signal = torch.zeros(1, config.leads, config.samples)
    features = torch.zeros(1, len(config.features))
    given_inputs = (signal, features, features.bool(), None, signal if config.template else None)
    model.to("meta")
    with FlopCounterMode(display=False) as counter:
        model(*(None if value is None else value.to("meta") for value in given_inputs))
    of_modules = {name.partition(".")[2]: sum(n.values()) for name, n in _counts(counter).items()}
    return (of_modules[""] - of_modules.get("resample", 0)) // 2


def _counts(counter: FlopCounterMode) -> dict[str, dict[Any, int]]:
    counts = counter.get_flop_counts()
    counts.pop("Global")
    return counts
