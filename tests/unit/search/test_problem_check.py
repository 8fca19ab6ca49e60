"""What is wrong with a problem of one's own is refused before anything is written."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from cluster.resources import Resources
from search import problem_check
from search.cli import main
from search.errors import StudyError
from search.objectives import Bound, Objective
from search.problem_check import drawn_shapes, require_reachable, require_sound
from search.running import begin
from search.study_file.reading import StudyFile
from spaces import CandidateRefused
from tests.toy import TOY_OBJECTIVES, ToyProblem

LEARNED = Objective("accuracy", "max")


class Signed(ToyProblem):
    """A toy with a cost that has no logarithm."""

    def cost(self, candidate: object) -> dict[str, float]:
        return {"parameters": -1.0}


class Measured(ToyProblem):
    """A toy with a cost that is measured when a candidate is admitted."""

    def measured_costs(self) -> tuple[str, ...]:
        return ("energy_mj",)


def test_costs_that_are_there_pass_measured_ones_too() -> None:
    require_sound(ToyProblem(), TOY_OBJECTIVES, (Bound("log10_parameters", max=3.0),))
    energy = Objective("log10_energy_mj", "min", exact=True)
    require_sound(Measured(), (LEARNED, energy), (Bound("energy_mj", max=3.0),))


def test_a_misspelt_cost_is_named_with_where_it_stands() -> None:
    with pytest.raises(StudyError, match=r"bounds\.parametres: the problem has no such") as caught:
        require_sound(ToyProblem(), TOY_OBJECTIVES, (Bound("parametres", max=3.0),))
    assert caught.value.hint == "did you mean 'parameters'?"
    misspelt = Objective("paramters", "min", exact=True)
    with pytest.raises(StudyError, match="objective 'paramters': the problem has no such cost"):
        require_sound(ToyProblem(), (LEARNED, misspelt), ())


def test_a_cost_that_is_not_marked_as_one_is_refused() -> None:
    for name in ("parameters", "log10_parameters"):
        with pytest.raises(StudyError, match=f"objective '{name}' is a cost") as caught:
            require_sound(ToyProblem(), (LEARNED, Objective(name, "min")), ())
        assert caught.value.hint == "add exact = true to it"


def test_a_logarithm_of_what_has_none_is_refused() -> None:
    with pytest.raises(StudyError, match=r"bounds\.log10_parameters: .* which is -1"):
        require_sound(Signed(), (LEARNED,), (Bound("log10_parameters", max=1.0),))


class Failing(ToyProblem):
    def cost(self, candidate: object) -> dict[str, float]:
        return {"parameters": 1 / 0}


class Unwritable(ToyProblem):
    def suggest(self, trial: object) -> dict[str, object]:  # type: ignore[override]
        return {**super().suggest(trial), "activation": len}


class Shapeless(ToyProblem):
    def resources(self, candidate: object) -> dict[str, int]:  # type: ignore[override]
        return {"cpus": 2}


class Numbered(ToyProblem):
    def key(self, candidate: object) -> int:
        return 7


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Failing(), r"problem Failing: cost\(\) failed on .*: ZeroDivisionError: division by zero"),
        (Unwritable(), "a candidate cannot be written down: Object of type builtin_function"),
        (Shapeless(), r"problem Shapeless: resources\(\) returned a dict"),
        (Numbered(), r"problem Numbered: key\(\) returned a int"),
    ],
)
def test_a_problem_that_fails_on_any_candidate_is_refused(problem: ToyProblem, said: str) -> None:
    with pytest.raises(StudyError, match=said) as caught:
        require_sound(problem, TOY_OBJECTIVES, ())
    assert caught.value.hint


def test_it_is_checked_by_whatever_begins_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECGSEARCH_HOME", raising=False)
    file = Path("toy.toml")
    file.write_text(
        'name = "toy"\nproblem = {path = "tests.toy:ToyProblem"}\n'
        'objectives = [{metric = "accuracy", direction = "max"},'
        ' {metric = "parameters", direction = "min"}]\n'
    )
    with pytest.raises(StudyError, match="is a cost"):
        begin(StudyFile.from_toml(file), ToyProblem(), None, None)
    assert main(["enqueue", str(file), "--params", "size=3"]) == 2
    assert "objective 'parameters' is a cost" in capsys.readouterr().err
    assert not Path("studies").exists()


# Bounds that nothing keeps ------------------------------------------------------------------------


class TwoCosts(ToyProblem):
    """A second cost that falls as the first grows."""

    def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
        return {"parameters": candidate["size"], "error": 1 / candidate["size"]}


class Even(ToyProblem):
    """Sizes are even."""

    def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
        return {"parameters": 2.0 * candidate["size"]}


@pytest.mark.parametrize(
    ("problem", "bounds", "said"),
    [
        (
            ToyProblem(),
            [Bound("parameters", max=2000), Bound("log10_parameters", max=-0.5)],
            "bounds.log10_parameters: none of 2,000 candidates drawn keeps it; "
            "max is -0.5, the smallest has 0",
        ),
        (
            ToyProblem(),
            [Bound("parameters", min=1500)],
            "bounds.parameters: none of 2,000 candidates drawn keeps it; "
            "min is 1,500, the largest has 1,000",
        ),
        (
            Even(),
            [Bound("parameters", min=6.5, max=7.5)],
            "bounds.parameters: none of 2,000 candidates drawn keeps it; "
            "from 6.5 to 7.5 is asked for, the nearest have 6 and 8",
        ),
        (
            TwoCosts(),
            [Bound("parameters", max=10), Bound("error", max=0.05)],
            "none of 2,000 candidates drawn keeps all of bounds.parameters, bounds.error at once",
        ),
    ],
)
def test_bounds_that_no_candidate_keeps_are_refused_with_what_the_nearest_have(
    problem: ToyProblem, bounds: list[Bound], said: str
) -> None:
    with pytest.raises(StudyError) as caught:
        require_reachable(problem, bounds)
    assert str(caught.value) == said
    assert "enqueue a candidate that keeps them" in caught.value.hint


def test_rare_candidates_that_keep_the_bounds_are_found() -> None:
    """One in 26,000 by chance: all three near their ends."""

    class Corner(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            names = ("first", "second", "third")
            first, second, third = (trial.suggest_float(name, 0.0, 1.0) for name in names)
            return {"size": first * second * third, "rate": 0.01}

    require_reachable(Corner(), [Bound("parameters", min=0.94)])


def test_the_ends_of_the_space_are_found() -> None:
    """One in 7,600 by chance."""
    require_reachable(ToyProblem(), [Bound("parameters", min=1000)])
    require_reachable(ToyProblem(), [Bound("parameters", max=1)])


def test_what_lies_between_narrow_bounds_is_found() -> None:
    """One in 5,900 by chance."""
    require_reachable(ToyProblem(), [Bound("parameters", min=777, max=777)])


def test_measured_costs_are_not_foreseen() -> None:
    require_reachable(Measured(), [Bound("energy_mj", max=-1.0)])


def test_a_space_that_refuses_everything_is_refused_with_its_reason() -> None:
    class Strict(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            raise CandidateRefused("gamma falls below 1", hint="...")

    require_sound(Strict(), TOY_OBJECTIVES, ())
    with pytest.raises(StudyError, match=r"refuses all of 2,000 .*: gamma falls below 1"):
        require_reachable(Strict(), ())


def test_only_a_study_that_begins_with_nothing_is_refused_for_its_bounds() -> None:
    class Rare(ToyProblem):
        def suggest(self, trial: Any) -> dict[str, float]:
            return {"size": trial.suggest_int("size", 1, 10**9), "rate": 0.01}

    def begun_with(**more: Any) -> object:
        values = {
            "name": "toy",
            "problem": {"path": "tests.toy:ToyProblem"},
            "objectives": [{"metric": "accuracy", "direction": "max"}],
            "bounds": {"parameters": {"min": 123_456_789, "max": 123_456_789}},
        }
        return begin(StudyFile.from_dict({**values, **more}), Rare(), None, None)

    with pytest.raises(StudyError, match=r"bounds\.parameters: none of 2,000"):
        begun_with()
    begun_with(enqueue=[{"size": 123_456_789}])


def test_a_problem_whose_costs_take_long_is_left_to_the_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(ToyProblem):
        asked = 0

        def cost(self, candidate: Mapping[str, float]) -> dict[str, float]:
            self.asked += 1
            time.sleep(0.01)
            return super().cost(candidate)

    monkeypatch.setattr(problem_check, "_PATIENCE_S", 0.05)
    problem = Slow()
    require_reachable(problem, [Bound("parameters", max=0.5)])
    assert drawn_shapes(problem, (), (), 0) == [Resources()]
    assert 2 <= problem.asked < 20


# What trials take ---------------------------------------------------------------------------------


def test_a_problem_that_asks_for_nothing_takes_one_worker_whatever_is_drawn() -> None:
    class Plain:
        suggest = cost = learn = None

    assert drawn_shapes(Plain(), (), (), 0) == [Resources()]  # type: ignore[arg-type]


def test_shapes_are_those_of_candidates_within_bounds_and_of_enqueued_ones() -> None:
    problem = ToyProblem(wide_above=30, workers=4)
    narrow, wide = Resources(), Resources(workers=4)
    assert set(drawn_shapes(problem, (), (), 0)) == {narrow, wide}
    small = (Bound("parameters", max=30),)
    assert drawn_shapes(problem, small, (), 0) == [narrow]
    rare = ToyProblem(wide_above=999, workers=4)
    assert drawn_shapes(rare, (), (), 0) == [narrow]
    assert drawn_shapes(rare, (), [{"size": 1000}], 0) == [wide, narrow]
