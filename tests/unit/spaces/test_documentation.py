"""docs/space.md says what the code has, and what it shows to copy can be copied."""

import re
import tomllib
from pathlib import Path

import pytest

from spaces import Choice, DataShape
from spaces.ecg import ECGSpace
from spaces.parameters import Parameter

DOCS = Path(__file__).resolve().parents[3] / "docs"
ROW = re.compile(r"^\| `(\w+)` \| ([^|]*) \| ([^|]*) \|", re.MULTILINE)
BLOCK = re.compile(r"```toml\n(.*?)```", re.DOTALL)


def rows() -> dict[str, tuple[str, str]]:
    return {name: (default, allowed) for name, default, allowed in ROW.findall(text("space.md"))}


def text(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def written(parameter: Parameter) -> str:
    if isinstance(parameter, Choice):
        return ", ".join(
            f"{option:g}" if isinstance(option, float) else str(option).lower()
            for option in parameter.options
        )
    if parameter.fixed:
        return f"{parameter.low:g}"
    return f"{parameter.low:g} to {parameter.high:g}" + ", log" * parameter.log


def test_every_parameter_stands_in_the_tables_with_its_default(shape: DataShape) -> None:
    parameters = ECGSpace(shape, {"epochs": 9}).parameters
    defaults = {name: written(parameter) for name, parameter in parameters.items()}
    assert {name: default for name, (default, _) in rows().items()} == defaults


def test_the_bounds_of_numbers_stand_there_too(shape: DataShape) -> None:
    for name, parameter in ECGSpace(shape, {"epochs": 9}).parameters.items():
        if not isinstance(parameter, Choice):
            low, high = parameter.allowed
            assert rows()[name][1] == f"{low:g} to {high:g}", name


@pytest.mark.parametrize("page", ["space.md", "study-file.md"])
def test_the_ranges_that_are_shown_can_be_searched(page: str, shape: DataShape) -> None:
    shown = [tomllib.loads(block) for block in BLOCK.findall(text(page))]
    ranges = [block["space"]["ranges"] for block in shown if "space" in block]
    assert len(ranges) == 1
    assert ECGSpace(shape, {"epochs": 9}, ranges[0]).ranges == ranges[0]


def test_the_picture_is_there_and_small() -> None:
    picture = DOCS / "images" / "space.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size < 150_000
