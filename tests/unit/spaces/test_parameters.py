"""Parameters: their limits, what a study file makes of them, and what a trial is asked."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import FixedTrial

from spaces import Choice, Float, Int, SpaceError
from spaces.parameters import Parameter, overridden

PARAMETERS: dict[str, Parameter] = {
    "phi": Float(-3.0, 3.0, allowed=(-6.0, 6.0)),
    "learning_rate": Float(1e-4, 1e-2, log=True),
    "layers": Int(2, 8, step=2, allowed=(1, 64)),
    "heads": Choice((1, 2), allowed=(1, 2, 4, 8)),
    "base": Choice(("tiny", "small"), allowed=("tiny", "small", "b0")),
}


def refused(name: str, value: object) -> tuple[str, str]:
    with pytest.raises(SpaceError) as caught:
        overridden(PARAMETERS, {name: value})
    message = str(caught.value)
    assert message.startswith(f"space.ranges.{name}: ")
    return message.removeprefix(f"space.ranges.{name}: "), caught.value.hint


def read(name: str, value: object) -> Any:
    return overridden(PARAMETERS, {name: value})[name]


def test_two_numbers_are_new_bounds_and_a_logarithm_stays() -> None:
    assert read("learning_rate", [1e-3, 2e-3]) == Float(1e-3, 2e-3, log=True)
    assert read("layers", [4, 6]) == Int(4, 6, step=2, allowed=(1, 64))


def test_a_table_changes_what_it_names() -> None:
    assert read("learning_rate", {"high": 1.0}) == Float(1e-4, 1.0, log=True)
    assert read("learning_rate", {"log": False}) == Float(1e-4, 1e-2)
    assert read("layers", {"low": 1, "high": 3, "step": 1}) == Int(1, 3, allowed=(1, 64))


def test_a_list_of_options_may_widen_a_choice_to_what_is_allowed() -> None:
    assert read("heads", [2, 4]).options == (2, 4)
    assert read("base", ["tiny", "b0"]).options == ("tiny", "b0")


@pytest.mark.parametrize(("name", "value"), [("phi", -1.0), ("layers", 4), ("base", "b0")])
def test_a_single_value_is_fixed_and_no_trial_is_asked(name: str, value: Any) -> None:
    parameter = read(name, value)
    assert parameter.fixed
    assert parameter.suggest(FixedTrial({}), name) == value  # would raise if asked


def test_a_logarithmic_parameter_may_be_fixed_at_nought_but_not_start_there() -> None:
    assert read("learning_rate", 0).fixed
    assert refused("learning_rate", [0, 1])[0] == "a logarithmic range cannot start at 0"


def test_ranges_are_asked_of_the_trial_as_they_are() -> None:
    trial = FixedTrial({"phi": 0.5, "layers": 4, "heads": 2})
    assert PARAMETERS["phi"].suggest(trial, "phi") == 0.5
    assert PARAMETERS["layers"].suggest(trial, "layers") == 4
    assert PARAMETERS["heads"].suggest(trial, "heads") == 2
    assert trial.distributions["layers"].step == 2  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("phi", [1.0], "expected two bounds, got 1"),
        ("phi", "wide", "expected finite numbers as bounds, got 'wide'"),
        ("phi", True, "expected finite numbers as bounds, got True"),
        ("phi", [0.0, math.nan], "expected finite numbers as bounds, got nan"),
        ("phi", [2.0, 1.0], "the lower bound 2.0 is above the upper bound 1.0"),
        ("phi", [-7.0, 1.0], "[-7.0, 1.0] is more than can be built"),
        ("phi", {"hi": 1.0}, "unknown key 'hi'"),
        ("layers", [1.5, 3], "expected whole numbers, got 1.5"),
        ("layers", [2, 5], "steps of 2 do not lead from 2 to 5"),
        ("layers", {"log": True}, "a logarithmic range has no step, got 2"),
        ("learning_rate", {"log": 1}, "log is true or false, not 1"),
        ("heads", [1, 3], "3 is not an option"),
        ("heads", [True], "True is not an option"),
        ("heads", [1, 1], "option 1 is listed twice"),
        ("heads", [], "a choice has no options"),
        ("heads", {"low": 1}, "expected a list of options, got a table"),
    ],
)
def test_what_does_not_suit_a_parameter_is_refused(name: str, value: object, message: str) -> None:
    assert refused(name, value)[0] == message


def test_hints_name_what_would_be_right() -> None:
    assert refused("phi", [-7.0, 1.0])[1] == "stay within [-6, 6]"
    assert refused("phi", [2.0, 1.0])[1] == "write [1.0, 2.0]"
    assert refused("heads", [3])[1] == "valid: 1, 2, 4, 8"
    assert refused("base", ["smal"])[1] == "did you mean 'small'?"
    assert refused("phy", 1.0) == ("the space has no such parameter", "did you mean 'phi'?")


def test_a_whole_number_stands_for_an_equal_option() -> None:
    choice = Choice((0.5, 1.0)).from_toml([1])
    assert type(choice.options[0]) is float


@given(st.data())
def test_what_to_toml_writes_from_toml_reads(data: st.DataObject) -> None:
    low, high = sorted(data.draw(st.tuples(st.floats(1, 9), st.floats(1, 9))))
    real = Float(low, high, log=data.draw(st.booleans()))
    whole = Int(int(low), int(high))
    choice = Choice(tuple(data.draw(st.lists(st.integers(), min_size=1, unique=True))))
    assert Float(0.0, 10.0).from_toml(real.to_toml()) == (
        real if not real.fixed else Float(low, low)
    )
    assert Int(0, 10).from_toml(whole.to_toml()) == whole
    assert Choice(choice.options[::-1]).from_toml(choice.to_toml()).options == choice.options
