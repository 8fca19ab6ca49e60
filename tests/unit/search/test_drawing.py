"""Drafts: drawn by chance or near another candidate, and stored nowhere."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution

from search.sampling.drawing import DrawnTrial, draft, from_unit, to_unit
from spaces import CandidateRefused
from tests.toy import ToyProblem

RANGES = [
    FloatDistribution(-2.0, 3.0),
    FloatDistribution(1e-4, 10.0, log=True),
    FloatDistribution(0.0, 1.0, step=0.25),
    IntDistribution(1, 7),
    IntDistribution(2, 10, step=2),
    IntDistribution(1, 1000, log=True),
    IntDistribution(5, 5),
]


class Branching(ToyProblem):
    def suggest(self, trial: Any) -> dict[str, Any]:
        candidate: dict[str, Any] = {
            "fusion": trial.suggest_categorical("fusion", ["none", "head"]),
            "size": trial.suggest_int("size", 1, 100),
        }
        if candidate["fusion"] == "head":
            candidate["heads"] = trial.suggest_int("heads", 1, 8)
        if candidate["size"] > 90:
            raise CandidateRefused("too large", hint="smaller")
        return candidate


@pytest.mark.parametrize("distribution", RANGES)
@given(place=st.floats(0, 1))
def test_every_place_of_a_range_is_a_value_in_it(
    distribution: FloatDistribution | IntDistribution, place: float
) -> None:
    value = from_unit(distribution, place)
    assert distribution._contains(distribution.to_internal_repr(value))
    assert isinstance(value, int if isinstance(distribution, IntDistribution) else float)


@pytest.mark.parametrize("distribution", RANGES[:6])
def test_places_and_values_are_each_others_inverse(
    distribution: FloatDistribution | IntDistribution,
) -> None:
    for place in np.linspace(0, 1, 11):
        value = from_unit(distribution, float(place))
        assert from_unit(distribution, to_unit(distribution, value)) == pytest.approx(value)


def test_whole_numbers_are_equally_likely() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(from_unit(IntDistribution(1, 4), rng.random()) for _ in range(4000))
    assert set(drawn) == {1, 2, 3, 4}
    assert max(drawn.values()) < 1.2 * min(drawn.values())


def test_a_draft_has_its_parameters_key_and_exact_costs() -> None:
    found = draft(ToyProblem(), DrawnTrial(np.random.default_rng(0)))
    assert found is not None
    assert found.costs == {"parameters": float(found.params["size"])}
    assert set(found.params) == set(found.distributions) == {"size", "rate"}
    assert len(found.key) == 20


def test_what_the_space_refuses_is_no_draft() -> None:
    trial = DrawnTrial(np.random.default_rng(0), {"fusion": "none", "size": 95})
    assert draft(Branching(), trial) is None


def test_near_a_candidate_nothing_changes_unless_it_is_to() -> None:
    origin = {"size": 17, "rate": 0.02}
    same = draft(ToyProblem(), DrawnTrial(np.random.default_rng(0), origin))
    assert same is not None
    assert same.params == origin
    changed = draft(ToyProblem(), DrawnTrial(np.random.default_rng(0), origin, changed=1.0))
    assert changed is not None
    assert all(changed.params[name] != value for name, value in origin.items())


def test_parameters_that_a_branch_adds_are_drawn() -> None:
    trial = DrawnTrial(np.random.default_rng(0), {"fusion": "head", "size": 3})
    found = draft(Branching(), trial)
    assert found is not None
    assert 1 <= found.params["heads"] <= 8
    assert found.params["size"] == 3


def test_values_that_a_range_no_longer_has_are_drawn_anew() -> None:
    found = draft(ToyProblem(), DrawnTrial(np.random.default_rng(0), {"size": 5000, "rate": 0.02}))
    assert found is not None
    assert found.params["size"] <= 1000
    assert found.params["rate"] == 0.02


def test_a_number_that_changes_stays_in_its_range() -> None:
    for seed in range(200):
        trial = DrawnTrial(np.random.default_rng(seed), {"x": 0.999}, changed=1.0)
        assert 0.0 <= trial.suggest_float("x", 0.0, 1.0) <= 1.0
