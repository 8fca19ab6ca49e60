"""Whatever a study varies makes another candidate: every parameter of the space is in the key."""

from typing import Any

import pytest

from spaces import DataShape
from spaces.ecg import ECGSpace

FIXED: dict[str, Any] = {
    "model": "efficientecg",
    "base": "small",
    "scaling": "direct",
    "stages": 3,
    "depth": 1.0,
    "width": 1.0,
    "resolution": 1.0,
    "fusion": "head",
    "direction": "both",
    "kernel_scale": 1.0,
    "dropout": 0.1,
    "drop_path": 0.1,
    "attention_width": 16,
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "class_weighting": "none",
    "loss": "focal",
    "mains_hum_uv": 5.0,
}
COMPOUND: dict[str, Any] = {
    **{
        name: value for name, value in FIXED.items() if name not in ("depth", "width", "resolution")
    },
    "scaling": "compound",
    "phi": 2.0,
    "alpha": 1.1,
    "beta": 1.1,
}
BASELINE: dict[str, Any] = {
    "model": "resnet1d18",
    "baseline_fusion": "concat",
    "learning_rate": 1e-3,
    "weight_decay": 0.01,
    "class_weighting": "none",
}
OTHERS: dict[str, tuple[dict[str, Any], Any]] = {
    **{name: (COMPOUND, value) for name, value in {"phi": 1.0, "alpha": 1.3, "beta": 1.2}.items()},
    **{
        name: (FIXED, value)
        for name, value in {
            "base": "tiny",
            "stages": "all",
            "depth": 2.0,
            "width": 1.5,
            "resolution": 0.5,
            "kernel_scale": 2.0,
            "expansion": 2,
            "squeeze_ratio": 0.5,
            "activation": "relu",
            "stem_stride": 1,
            "leads_fused": "stem",
            "fusion": "stem",
            "heads": 1,
            "direction": "features_to_signal",
            "attention_width": 32,
            "features": "patient",
            "template": True,
            "dropout": 0.2,
            "drop_path": 0.2,
            "learning_rate": 1e-2,
            "weight_decay": 0.1,
            "class_weighting": "sqrt",
            "focal_gamma": 1.0,
            "label_smoothing": 0.1,
            "ema_decay": 0.99,
            "gradient_clip": 1.0,
            "amplitude_scale": 0.1,
            "noise_uv": 5.0,
            "time_shift": 0.1,
            "baseline_wander_uv": 50.0,
            "mains_hum_uv": 10.0,
            "mains_hz": 60,
            "lead_dropout": 0.1,
        }.items()
    },
    "loss": ({**FIXED, "loss": "cross_entropy"}, "focal"),
    **{
        name: (BASELINE, value)
        for name, value in {
            "baseline_width": 0.5,
            "baseline_depth": 2.0,
            "baseline_kernel_scale": 2.0,
            "baseline_dropout": 0.3,
            "baseline_fusion": "none",
        }.items()
    },
}


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_every_parameter_of_the_space_is_in_the_key(
    shape: DataShape, random_trial, name: str
) -> None:
    ranges, other = OTHERS[name]

    def key_with(ranges: dict[str, Any]) -> str:
        trial = random_trial(0)
        candidate = ECGSpace(shape, {"epochs": 9}, ranges).suggest(trial)
        assert trial.asked == {}
        return candidate.key("data")

    assert key_with({**ranges, name: other}) != key_with(ranges)


def test_no_parameter_of_the_space_is_left_out_of_these_tests(shape: DataShape) -> None:
    by_what_they_lead_to = {"model", "scaling"}
    parameters = set(ECGSpace(shape, {"epochs": 9}).parameters)
    assert set(OTHERS) == parameters - by_what_they_lead_to
