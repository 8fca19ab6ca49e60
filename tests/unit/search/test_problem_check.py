"""What is wrong with a problem of one's own is refused before anything is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.cli import main
from search.errors import StudyError
from search.objectives import Bound, Objective
from search.problem_check import require_sound
from search.running import begin
from search.study_file.reading import StudyFile
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


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (Failing(), "drawn by chance: ZeroDivisionError: division by zero"),
        (Unwritable(), "drawn by chance: TypeError: Object of type builtin_function"),
        (Shapeless(), r"resources\(\) returned a dict"),
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
