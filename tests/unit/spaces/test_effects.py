"""Ranges without effect are refused, and what is not refused has one."""

import contextlib
import copy
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from spaces import CandidateRefused, DataShape, SpaceError
from spaces.ecg import ECGSpace

ATTENTION = "no option of fusion is an attention"


@pytest.mark.parametrize(
    ("ranges", "name", "because"),
    [
        ({"fusion": ["none", "concat"], "heads": 1}, "heads", ATTENTION),
        ({"fusion": "none", "attention_width": [8, 16]}, "attention_width", ATTENTION),
        ({"fusion": "none", "leads_fused": "stem", "direction": "both"}, "direction", ATTENTION),
        ({"phi": 0, "alpha": [1, 1.2]}, "alpha", "phi is fixed at 0, where they change nothing"),
        ({"phi": 0.0, "beta": 1.1}, "beta", "phi is fixed at 0, where they change nothing"),
        (
            {"width": [0.5, 1.0]},
            "width",
            "scaling is 'compound', where phi, alpha and beta decide it",
        ),
        ({"scaling": "direct", "phi": [-1, 1]}, "phi", "scaling is 'direct'"),
        ({"stages": 1, "expansion": [2, 4]}, "expansion", "the first stage never expands"),
        ({"fusion": "none", "features": "patient"}, "features", "no candidate sees features"),
        (
            {"model": "resnet1d18", "features": "patient"},
            "features",
            "no candidate sees features",
        ),
        ({"baseline_width": [0.5, 1.0]}, "baseline_width", "no family of model has it"),
        (
            {"model": ["efficientecg", "cnn_lstm"], "baseline_depth": [0.5, 1.0]},
            "baseline_depth",
            "no family of model has it",
        ),
        ({"model": ["resnet1d18"], "phi": [-1, 1]}, "phi", "model has no 'efficientecg'"),
        ({"focal_gamma": [1, 3]}, "focal_gamma", "no option of loss is 'focal'"),
        ({"mains_hz": [50, 60]}, "mains_hz", "mains_hum_uv is 0"),
    ],
)
def test_a_range_without_effect_is_refused(
    shape: DataShape, ranges: dict[str, Any], name: str, because: str
) -> None:
    with pytest.raises(SpaceError) as caught:
        ECGSpace(shape, {"epochs": 9}, ranges)
    assert str(caught.value) == f"space.ranges.{name} has no effect: {because}"
    assert caught.value.hint.startswith(f"leave out {name}, or ")


def test_attention_settings_need_features_or_leads_to_attend(featureless: DataShape) -> None:
    with pytest.raises(SpaceError, match=r"space\.ranges\.heads has no effect"):
        ECGSpace(featureless, {"epochs": 9}, {"heads": [1, 2]})


# What decides whether others have an effect.
NARROWED: dict[str, list[Any]] = {
    "model": ["efficientecg", ["efficientecg", "cnn_lstm"], ["resnet1d18"]],
    "scaling": ["compound", "direct", ["compound", "direct"]],
    "phi": [0.0, [-1.0, 1.0]],
    "fusion": ["none", "concat", ["none", "head"], "stem"],
    "leads_fused": ["input", ["input", "stem"]],
    "stages": [1, [2, 3]],
    "baseline_fusion": ["none", ["none", "concat"]],
    "loss": ["cross_entropy", "focal"],
    "mains_hum_uv": [0.0, 10.0],
}
# What has an effect under a condition.
SEARCHED: dict[str, Any] = {
    "alpha": [1.0, 1.2],
    "width": [0.5, 1.0],
    "expansion": [2, 3],
    "direction": ["both", "signal_to_features"],
    "heads": [1, 2],
    "features": ["patient", "all"],
    "baseline_width": [0.5, 1.0],
    "baseline_depth": [0.5, 1.0],
    "baseline_dropout": [0.1, 0.2],
    "focal_gamma": [1.0, 3.0],
    "mains_hz": [50, 60],
}


def refusal(shape: DataShape, ranges: dict[str, Any]) -> str | None:
    try:
        ECGSpace(shape, {"epochs": 9}, ranges)
    except SpaceError as error:
        return str(error)
    return None


def asked_by_some(space: ECGSpace, random_trial: Any) -> set[str]:
    asked: set[str] = set()
    for seed in range(60):
        trial = random_trial(seed)
        with contextlib.suppress(CandidateRefused):
            space.suggest(trial)
        asked |= set(trial.asked)
    return asked


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_range_is_refused_exactly_where_no_candidate_asks_for_it(
    shape: DataShape, random_trial, data: st.DataObject
) -> None:
    ranges: dict[str, Any] = {}
    for name, options in NARROWED.items():
        if data.draw(st.booleans()):
            ranges[name] = data.draw(st.sampled_from(options))
    assume(refusal(shape, ranges) is None)  # what is narrowed may be idle itself
    name = data.draw(st.sampled_from(sorted(SEARCHED)))
    without = ECGSpace(shape, {"epochs": 9}, ranges)
    parameter = without.parameters[name].from_toml(SEARCHED[name])
    # As it would search if nobody refused.
    unchecked = copy.copy(without)
    object.__setattr__(unchecked, "parameters", {**without.parameters, name: parameter})
    message = refusal(shape, {**ranges, name: SEARCHED[name]})
    if name in asked_by_some(unchecked, random_trial):
        assert message is None
    else:
        assert message is not None
        assert message.startswith(f"space.ranges.{name} has no effect: ")
