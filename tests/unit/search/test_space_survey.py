"""`ecgsearch space`: what a study would propose, counted, tabled and drawn."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from search.cli import main
from search.errors import StudyError
from search.objectives import Bound
from search.reports.space_figure import draw_figure
from search.reports.space_survey import Sample, Surveyed, draw, groups, survey_table
from search.study_file.reading import StudyFile
from spaces import CandidateRefused
from tests.unit.data.made_datasets import make_records, write_dataset

STUDY = """
name = "made"
dataset = "{dataset}"

[bounds.parameters]
max = 50_000

[space.ranges]
{ranges}
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "dataset"
    write_dataset(folder, make_records(6, 2))
    return folder


@pytest.fixture
def study(dataset: Path, tmp_path: Path) -> Path:
    return study_file(tmp_path, dataset, 'base = ["tiny", "small"]')


def study_file(folder: Path, dataset: Path, ranges: str) -> Path:
    path = folder / "study.toml"
    path.write_text(STUDY.format(dataset=dataset, ranges=ranges))
    return path


def sample(group: str, parameters: float | None, *, within: bool = True) -> Sample:
    costs = None if parameters is None else {"parameters": parameters, "macs": 2 * parameters}
    return Sample(group=group, costs=costs, within_bounds=within and costs is not None)


# Drawing ----------------------------------------------------------------------------------------


def test_the_same_seed_draws_the_same(study: Path) -> None:
    surveyed = Surveyed.of(StudyFile.from_toml(study))
    assert draw(surveyed, 30, seed=1) == draw(surveyed, 30, seed=1)
    assert draw(surveyed, 30, seed=1) != draw(surveyed, 30, seed=2)


def test_proposals_are_grouped_by_base_and_family(dataset: Path, tmp_path: Path) -> None:
    ranges = 'base = "tiny"\nmodel = ["efficientecg", "cnn_lstm"]'
    surveyed = Surveyed.of(StudyFile.from_toml(study_file(tmp_path, dataset, ranges)))
    assert {sample.group for sample in draw(surveyed, 30, seed=0)} == {"tiny", "cnn_lstm"}


def test_refusals_are_counted_where_they_belong(dataset: Path, tmp_path: Path) -> None:
    ranges = 'base = ["tiny", "b0"]\nfusion = ["stage6", "head"]'
    surveyed = Surveyed.of(StudyFile.from_toml(study_file(tmp_path, dataset, ranges)))
    found = {group.name: group for group in groups(draw(surveyed, 100, seed=0))}
    assert 10 < found["tiny"].refused < found["tiny"].drawn
    assert found["b0"].refused == 0


def test_bounds_are_kept_by_what_is_counted_within_them(study: Path) -> None:
    samples = draw(Surveyed.of(StudyFile.from_toml(study)), 100, seed=0)
    for each in samples:
        assert each.costs is not None
        assert each.within_bounds == (each.costs["parameters"] <= 50_000)
    assert 0 < sum(each.within_bounds for each in samples) < 100


def test_a_problem_of_ones_own_is_one_group_of_its_own_costs(tmp_path: Path) -> None:
    path = tmp_path / "toy.toml"
    path.write_text(
        'name = "toy"\n[problem]\npath = "tests.toy:ToyProblem"\n'
        '[[objectives]]\nmetric = "accuracy"\ndirection = "max"\n'
    )
    (group,) = groups(draw(Surveyed.of(StudyFile.from_toml(path)), 20, seed=0))
    assert (group.name, group.drawn) == ("all", 20)
    assert "parameters" in group.quantiles


# Counting ---------------------------------------------------------------------------------------


def test_quantiles_are_sizes_that_were_drawn() -> None:
    (group,) = groups([sample("tiny", float(size)) for size in range(100, 0, -1)])
    assert group.quantiles["parameters"] == {"min": 1, "5%": 6, "50%": 51, "95%": 95, "max": 100}


def test_groups_go_from_small_to_large_and_end_with_all() -> None:
    samples = [sample("b0", 9e6), sample("b0", None), sample("tiny", 1e4, within=False)]
    found = groups(samples)
    assert [group.name for group in found] == ["tiny", "b0", "all"]
    assert [(g.drawn, g.refused, g.within_bounds) for g in found] == [
        (1, 0, 0),
        (2, 1, 1),
        (3, 1, 1),
    ]


def test_the_table_has_counts_and_a_block_for_each_cost() -> None:
    table = survey_table(groups([sample("tiny", 1234), sample("b0", None)]), bounded=True)
    assert table.splitlines() == [
        "            drawn  refused  within bounds",
        "b0              1   100.0%           0.0%",
        "tiny            1     0.0%         100.0%",
        "all             2    50.0%          50.0%",
        "",
        "parameters    min     5%    50%    95%    max",
        "b0              -      -      -      -      -",
        "tiny        1,234  1,234  1,234  1,234  1,234",
        "all         1,234  1,234  1,234  1,234  1,234",
        "",
        "macs          min     5%    50%    95%    max",
        "b0              -      -      -      -      -",
        "tiny        2,468  2,468  2,468  2,468  2,468",
        "all         2,468  2,468  2,468  2,468  2,468",
    ]


def test_without_bounds_no_share_of_them_is_told() -> None:
    assert "bounds" not in survey_table(groups([sample("tiny", 1.0)]), bounded=False)


# The command ------------------------------------------------------------------------------------


def test_the_command_prints_what_a_study_would_propose(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["space", str(study), "--candidates", "40"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("40 candidates of 'made' at random, 2 leads x 64 samples, 3 classes")
    assert [line.split()[0] for line in lines[3:6]] == ["tiny", "small", "all"]


def test_json_has_every_number(study: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["space", str(study), "--candidates", "40", "--json"]) == 0
    rows: list[Mapping[str, Any]] = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == ["tiny", "small", "all"]
    assert rows[-1]["drawn"] == 40
    assert set(rows[0]["quantiles"]) == {"parameters", "macs"}


def test_a_range_that_cannot_be_searched_is_told_in_two_lines(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = study_file(tmp_path, dataset, "head_width = 16")
    assert main(["space", str(path)]) == 2
    assert capsys.readouterr().err.splitlines()[0] == (
        "error: space.ranges.head_width: the space has no such parameter"
    )


def test_neither_ray_nor_torch_is_loaded(study: Path) -> None:
    program = (
        "import sys\nfrom search.cli import main\n"
        f"main(['space', {str(study)!r}, '--candidates', '3'])\n"
        "assert not {'ray', 'torch', 'matplotlib'} & set(sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr


# The figure -------------------------------------------------------------------------------------


def test_the_figure_is_written(study: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")
    path = tmp_path / "space.png"
    assert main(["space", str(study), "--candidates", "40", "--figure", str(path)]) == 0
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_figure_shows_axes_groups_and_bounds(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")
    samples = [sample("tiny", 10.0**power, within=power < 4) for power in range(2, 7)]
    bounds = [Bound("log10_parameters", max=4.0), Bound("macs", min=1000.0)]
    path = tmp_path / "space.svg"
    draw_figure(samples, bounds, path, title="five networks")
    drawn = path.read_text()
    for words in ("five networks", "parameters", "(MACs)", "tiny (5)", "at most 10,000"):
        assert f"<!-- {words} -->" in drawn or words in drawn, words
    assert "at least 1,000" in drawn


def test_a_format_that_nobody_writes_is_named(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")
    with pytest.raises(StudyError, match=r"space\.xyz: .*[Ff]ormat"):
        draw_figure([sample("tiny", 10.0)], [], tmp_path / "space.xyz", title="")


def test_a_figure_without_a_suffix_is_not_written_under_another_name(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")
    with pytest.raises(StudyError, match=r"space: .*[Ff]ormat"):
        draw_figure([sample("tiny", 10.0)], [], tmp_path / "space", title="")
    assert list(tmp_path.iterdir()) == []


def test_costs_of_another_kind_have_no_figure(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra 'plots' is not installed")
    theirs = Sample(group="all", costs={"watts": 3.0}, within_bounds=True)
    with pytest.raises(StudyError, match="no figure without candidates that cost parameters"):
        draw_figure([theirs], [], tmp_path / "space.png", title="")


def test_without_matplotlib_the_extra_is_named(
    study: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert (
        main(["space", str(study), "--candidates", "3", "--figure", str(tmp_path / "x.png")]) == 2
    )
    assert capsys.readouterr().err.splitlines()[1] == "fix: pip install 'ecgsearch[plots]'"


def test_a_space_that_refuses_all_is_counted_too() -> None:
    def refuse(trial: Any) -> Any:
        raise CandidateRefused("never", hint="")

    surveyed = Surveyed(name="", suggest=refuse, cost=dict, bounds=(), fixed={})
    (group,) = groups(draw(surveyed, 5, seed=0))
    assert (group.drawn, group.refused, group.quantiles) == (5, 5, {})
    assert "100.0%" in survey_table([group], bounded=False)


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("--candidates", "many", "at least 1"),
        ("--candidates", "0", "at least 1"),
        ("--seed", "-1", "0 to 4294967295"),
        ("--seed", "4294967296", "0 to 4294967295"),
    ],
)
def test_a_number_that_cannot_be_is_named_with_its_limits(
    study: Path, flag: str, value: str, expected: str, capsys: Any
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["space", str(study), flag, value])
    line = capsys.readouterr().err.splitlines()[0]
    assert line == f"error: argument {flag}: expected a number of {expected}, got {value}"
