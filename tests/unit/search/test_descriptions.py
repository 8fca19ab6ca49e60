"""Configurations in a few words: what a network is, and what differs from its family's defaults."""

from typing import Any

import pytest

from ecgmodels.models.efficientecg.config import EfficientECGConfig
from ecgmodels.models.registry import FAMILIES
from ecgmodels.training.config import TrainingConfig
from search.reports.descriptions import describe_configuration
from spaces import Candidate

DATA: dict[str, Any] = {"leads": 2, "samples": 128, "classes": 4}
SIZE = "tiny, depth x1.00, width x0.50, length x1.00, kernels x2.00"


def described(model: Any) -> str:
    return describe_configuration(Candidate(model=model, training=TrainingConfig()).to_dict())


def efficientecg(**options: Any) -> str:
    base = {"base": "tiny", "width": 0.5, "kernel_scale": 2.0}
    return described(EfficientECGConfig(**DATA, **base, **options))


def test_a_network_by_default_is_its_base_and_scaling() -> None:
    assert efficientecg() == SIZE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"stages": 3}, "3 stages"),
        ({"expansion": 4}, "expansion 4"),
        ({"squeeze_ratio": 0.125}, "squeeze 0.125"),
        ({"activation": "hardswish"}, "hardswish"),
        ({"stem_stride": 4}, "stem stride 4"),
        ({"template": True}, "median beat beside each lead"),
        (
            {"leads_fused": "stage2", "heads": 4, "attention_width": 64},
            "leads fused at stage2, heads 4, attention 64 wide",
        ),
        ({"fusion": "concat", "features": ("age", "sex")}, "age+sex concatenated"),
        ({"fusion": "concat", "features": ("age", "sex", "rr_ratio")}, "3 features concatenated"),
    ],
)
def test_what_differs_from_the_default_is_told(options: dict[str, Any], words: str) -> None:
    assert efficientecg(**options) == f"{SIZE}, {words}"


def test_attention_is_told_by_what_it_sees_where_and_how() -> None:
    attention = {"fusion": "attention", "features": ("age",), "placements": ("stem", "head")}
    seen = f"{SIZE}, attention to age at stem+head"
    assert efficientecg(**attention) == seen
    assert efficientecg(**attention, direction="both") == f"{seen}, both attend"
    assert efficientecg(**attention, heads=4) == f"{seen}, heads 4"
    backwards = efficientecg(**attention, direction="features_to_signal")
    assert backwards == f"{seen}, features attend"


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "efficientecg"])
def test_a_baseline_is_its_name_and_what_is_not_as_published(family: str) -> None:
    config = FAMILIES[family].config
    assert described(config(**DATA)) == family
    other = config(**DATA, width=0.5, fusion="concat", features=("age",), template=True)
    told = f"{family}, width x0.50, median beat beside each lead, age concatenated"
    assert described(other) == told


def test_another_problems_parameters_are_told_as_they_are() -> None:
    assert describe_configuration({"size": 3, "rate": 0.123456}) == "size 3, rate 0.1235"
    assert describe_configuration({"model": {"model": "theirs"}}) == "model {'model': 'theirs'}"
