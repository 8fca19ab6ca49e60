"""Objectives and bounds: how metrics and costs become what the search minimises."""

import math
import pickle

import pytest

from search.errors import ECGSearchError, StudyError, StudyFileError
from search.objectives import (
    Bound,
    Objective,
    bound_violations,
    exact_value,
    first_learned,
    is_exact,
    objective_vector,
)

COSTS = {"parameters": 20_000.0, "macs": 1_000_000.0}
F1 = Objective("mean_f1", "max")
SIZE = Objective("parameters", "min", exact=True)


def test_maximised_objectives_are_negated_and_the_order_is_kept() -> None:
    assert objective_vector((F1, SIZE), {"mean_f1": 0.7}, COSTS) == (-0.7, 20_000.0)
    assert objective_vector((SIZE, F1), {"mean_f1": 0.7}, COSTS) == (20_000.0, -0.7)


def test_models_are_first_of_all_judged_by_the_first_objective_that_is_learned() -> None:
    auc = Objective("macro_auc", "max")
    assert first_learned((SIZE, auc, F1)) == auc


def test_natural_undoes_minimised() -> None:
    assert F1.natural(F1.minimised(0.7)) == 0.7
    assert SIZE.natural(SIZE.minimised(9.0)) == 9.0


def test_log10_of_a_cost_is_derived() -> None:
    assert exact_value("log10_macs", COSTS) == 6.0
    assert exact_value("log10_parameters", COSTS) == pytest.approx(4.30103)


def test_a_cost_that_is_called_log10_itself_is_taken_as_it_is() -> None:
    assert exact_value("log10_macs", {"log10_macs": 7.5}) == 7.5


def test_the_logarithm_of_nothing_is_refused() -> None:
    with pytest.raises(StudyError, match="logarithm of macs, which is 0"):
        exact_value("log10_macs", {"macs": 0.0})


def test_costs_and_their_logarithms_are_exact_and_metrics_are_not() -> None:
    assert is_exact("parameters", COSTS)
    assert is_exact("log10_macs", COSTS)
    assert not is_exact("mean_f1", COSTS)
    assert not is_exact("log10_mean_f1", COSTS)


def test_a_missing_metric_names_the_nearest_that_is_there() -> None:
    with pytest.raises(StudyError, match="metric 'mean_f1' is missing") as caught:
        objective_vector((F1,), {"mean_f2": 0.7, "loss": 0.2}, COSTS)
    assert caught.value.hint == "did you mean 'mean_f2'?"


def test_a_cost_that_is_not_marked_exact_is_recognised() -> None:
    with pytest.raises(StudyError) as caught:
        objective_vector((Objective("macs", "min"),), {"mean_f1": 0.7}, COSTS)
    assert caught.value.hint == "it is a cost: give objective 'macs' exact = true"


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_metric_that_is_not_a_number_is_refused(value: float) -> None:
    with pytest.raises(StudyError, match=rf"metric 'mean_f1' is {value}, not a finite number"):
        objective_vector((F1,), {"mean_f1": value}, COSTS)


def test_a_bound_is_violated_by_a_fraction_of_its_limit() -> None:
    assert Bound("parameters", max=10_000).violation(COSTS) == 1.0
    assert Bound("parameters", max=40_000).violation(COSTS) == -0.5
    assert Bound("parameters", min=40_000).violation(COSTS) == 0.5
    assert Bound("parameters", min=20_000, max=20_000).violation(COSTS) == 0.0


def test_every_bound_has_its_own_violation() -> None:
    bounds = (Bound("parameters", max=10_000), Bound("log10_macs", max=8))
    assert bound_violations(bounds, COSTS) == (1.0, -0.25)


def test_a_bound_without_limits_or_with_crossed_limits_is_refused() -> None:
    with pytest.raises(StudyError, match="neither min nor max"):
        Bound("parameters")
    with pytest.raises(StudyError, match="min 5 is above max 1"):
        Bound("parameters", 5, 1)


def test_a_direction_is_max_or_min() -> None:
    with pytest.raises(StudyError, match="direction is 'max' or 'min', not 'maxi'") as caught:
        Objective("mean_f1", "maxi")  # type: ignore[arg-type]
    assert caught.value.hint == "did you mean 'max'?"


def test_errors_keep_their_hint_between_processes() -> None:
    for kind in (ECGSearchError, StudyError, StudyFileError):
        copy = pickle.loads(pickle.dumps(kind("what", hint="how")))
        assert (type(copy), str(copy), copy.hint) == (kind, "what", "how")
