"""Candidates: JSON and back, and what makes two of them the same."""

import dataclasses
import json
from typing import Any

import pytest

from ecgmodels.errors import ConfigError
from ecgmodels.models.efficientecg.config import EfficientECGConfig
from ecgmodels.training.config import TrainingConfig
from spaces import Candidate

MODEL = EfficientECGConfig(
    leads=2,
    samples=256,
    classes=4,
    base="tiny",
    features=("age", "sex"),
    fusion="attention",
    placements=("stem", "head"),
)
CANDIDATE = Candidate(model=MODEL, training=TrainingConfig(epochs=9))


def key(**model: Any) -> str:
    changed = dataclasses.replace(MODEL, **model)
    return dataclasses.replace(CANDIDATE, model=changed).key("data")


def test_a_candidate_goes_through_json_and_comes_back() -> None:
    assert Candidate.from_dict(json.loads(json.dumps(CANDIDATE.to_dict()))) == CANDIDATE


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="Candidate has no field 'modle'"):
        Candidate.from_dict({"modle": {}, "training": {}})


def test_a_key_is_twenty_hexadecimal_digits_and_stable() -> None:
    assert len(CANDIDATE.key("data")) == 20
    int(CANDIDATE.key("data"), 16)
    copy = Candidate.from_dict(json.loads(json.dumps(CANDIDATE.to_dict())))
    assert copy.key("data") == CANDIDATE.key("data")


def test_multipliers_that_round_to_one_network_give_one_key() -> None:
    assert key(width=1.01, depth=0.9, kernel_scale=1.1) == key()


def test_another_network_has_another_key() -> None:
    keys = {key(), key(width=1.5), key(depth=2.0), key(resolution=0.5), key(dropout=0.3)}
    assert len(keys | {key(placements=("head",)), key(features=("age", "rr"))}) == 7


def test_another_training_or_dataset_has_another_key() -> None:
    slower = dataclasses.replace(CANDIDATE, training=TrainingConfig(epochs=9, learning_rate=1e-4))
    assert len({CANDIDATE.key("data"), slower.key("data"), CANDIDATE.key("other")}) == 3
