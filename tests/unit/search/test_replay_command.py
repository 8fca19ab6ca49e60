"""`ecgsearch replay`: what it prints, and its exit status."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from search.cli import main
from search.engine.conductor import Conductor
from search.study.folder import StudyFolder
from search.study.study import Study
from search.study_file.plan import plan
from search.study_file.reading import StudyFile
from tests.toy import ToyProblem
from tests.unit.search.driving import carry_out

optuna.logging.set_verbosity(optuna.logging.WARNING)

STUDY_FILE = {
    "name": "toy",
    "budget": {"candidates": 8, "epochs": 9},
    "sampler": {"name": "front", "startup": 4},
    "problem": {"path": "tests.toy:ToyProblem"},
    "objectives": [
        {"metric": "accuracy", "direction": "max"},
        {"metric": "parameters", "direction": "min", "exact": True},
    ],
}


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    """A finished study."""
    folder = StudyFolder(tmp_path / "toy")
    study_file = StudyFile.from_dict(STUDY_FILE)
    with folder.driving():
        study = folder.create(study_file, None)
        conductor = Conductor(ToyProblem(), study, plan(study_file), checkpoints=folder.trials)
        carry_out(conductor, ToyProblem())
        conductor.conclude()
    return folder


def test_it_says_how_much_came_out_the_same(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(folder.path)]) == 0
    words = capsys.readouterr().out.split()
    assert int(words[0]) >= 8
    assert int(words[3]) > 16
    assert " ".join(words[1:3] + words[4:]) == "suggestions and decisions came out the same"


def test_it_prints_nothing_of_optunas(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    optuna.logging.set_verbosity(optuna.logging.INFO)
    main(["replay", str(folder.path)])
    assert optuna.logging.get_verbosity() == optuna.logging.WARNING
    assert capsys.readouterr().err == ""


def test_it_leaves_the_study_as_it_is(folder: StudyFolder) -> None:
    before = folder.journal.read_bytes()
    main(["replay", str(folder.path)])
    assert folder.journal.read_bytes() == before


def test_it_shows_both_sides_of_the_first_difference(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    study: Study = folder.open()
    session = study.note("session:1")
    study.set_note("session:1", {**session, "plan": {**session["plan"], "seed": 7}})
    assert main(["replay", str(folder.path)]) == 1
    said, recorded, replayed = capsys.readouterr().out.splitlines()
    assert said == "0 suggestions and 0 decisions came out the same, then place 2 did not:"
    assert recorded.startswith('  recorded  candidate 0 is suggested: {"size": ')
    assert replayed.startswith('  replayed  candidate 0 is suggested: {"size": ')
    assert recorded[12:] != replayed[12:]


def test_a_folder_without_a_study_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["replay", str(tmp_path)]) == 2
    assert "holds no study" in capsys.readouterr().err
