"""Spaces by name and by import path."""

import sys
from pathlib import Path

import pytest

from ecgmodels.models.efficientecg.config import EfficientECGConfig
from ecgmodels.training.config import TrainingConfig
from spaces import Candidate, DataShape, SpaceError, build_space
from spaces.ecg import ECGSpace

OWN_SPACE = """
from ecgmodels.models.efficientecg.config import EfficientECGConfig
from ecgmodels.training.config import TrainingConfig
from spaces import Candidate, Float
from spaces.parameters import overridden

CONSTANT = 3

class Widths:
    def __init__(self, shape, training, parameters={"width": Float(0.5, 2.0)}):
        self.shape, self.training, self.parameters = shape, training, parameters

    def with_ranges(self, overrides):
        return Widths(self.shape, self.training, overridden(self.parameters, overrides))

    def suggest(self, trial):
        model = EfficientECGConfig(
            leads=self.shape.leads, samples=self.shape.samples, classes=self.shape.classes,
            base="tiny", width=self.parameters["width"].suggest(trial, "width"),
        )
        return Candidate(model=model, training=TrainingConfig(**self.training))

class Unfinished:
    def __init__(self, shape, training):
        self.parameters = {}
"""


@pytest.fixture
def own_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_spaces.py").write_text(OWN_SPACE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_spaces", raising=False)
    return "own_spaces"


def refused(name: str, shape: DataShape) -> tuple[str, str]:
    with pytest.raises(SpaceError) as caught:
        build_space(name, shape, {"epochs": 2})
    return str(caught.value), caught.value.hint


def test_the_default_space_has_a_name(shape: DataShape) -> None:
    assert isinstance(build_space("efficientecg", shape, {"epochs": 2}), ECGSpace)


def test_a_space_of_ones_own_is_found_by_its_import_path(
    own_module: str, shape: DataShape, random_trial
) -> None:
    space = build_space(f"{own_module}:Widths", shape, {"epochs": 2}, {"width": 1.5})
    assert space.suggest(random_trial(0)) == Candidate(
        model=EfficientECGConfig(leads=2, samples=256, classes=4, base="tiny", width=1.5),
        training=TrainingConfig(epochs=2),
    )


def test_a_misspelt_name_is_told_the_nearest(shape: DataShape) -> None:
    assert refused("eficientecg", shape) == (
        "there is no space 'eficientecg'",
        "did you mean 'efficientecg'?; one of your own is \"module:Class\"",
    )


def test_a_module_that_cannot_be_imported_is_named(shape: DataShape) -> None:
    message, _ = refused("no_such_module:Space", shape)
    assert message.startswith("space 'no_such_module:Space': no_such_module cannot be imported")


def test_a_class_that_is_not_in_the_module_is_told_the_nearest(
    own_module: str, shape: DataShape
) -> None:
    assert refused(f"{own_module}:Width", shape) == (
        "space 'own_spaces:Width': own_spaces has no class 'Width'",
        "did you mean 'Widths'?",
    )
    assert "no class 'CONSTANT'" in refused(f"{own_module}:CONSTANT", shape)[0]


def test_a_class_that_is_no_space_is_told_what_it_lacks(own_module: str, shape: DataShape) -> None:
    message, hint = refused(f"{own_module}:Unfinished", shape)
    assert message == "space 'own_spaces:Unfinished' does not follow spaces.space.Space"
    assert hint == "it needs .parameters, with_ranges(overrides) and suggest(trial)"
