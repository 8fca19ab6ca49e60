"""`ecgsearch enqueue`: what it writes down, and what it refuses before it writes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from search.cli import main
from search.study.folder import StudyFolder
from search.study_file.reading import StudyFile
from search.warm_start import by_command
from tests.unit.search.test_warm_start import run

STUDY = """
name = "{name}"
problem = {{path = "tests.toy:ToyProblem", arguments = {{finite = {finite}}}}}
objectives = [
    {{metric = "accuracy", direction = "max"}},
    {{metric = "parameters", direction = "min", exact = true}},
]
budget = {{candidates = {candidates}, epochs = 3}}
sampler = {{name = "random"}}
{extra}
"""


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ECGSEARCH_HOME", raising=False)


def written(name: str, *, finite: int = 0, candidates: int = 3, extra: str = "") -> str:
    path = Path(f"{name}.toml")
    path.write_text(STUDY.format(name=name, finite=finite, candidates=candidates, extra=extra))
    return str(path)


def queue(name: str) -> list[dict[str, object]]:
    return by_command(StudyFolder(Path("studies") / name).open())


def test_parameters_are_enqueued_before_the_study_begins_and_tried_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = written("toy")
    assert main(["enqueue", file, "--params", "size=3", "rate=1e-2", "--params", "size=5"]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown == ["candidate 0: size = 3, rate = 0.01", "candidate 1: size = 5"]
    assert queue("toy") == [{"size": 3, "rate": 0.01}, {"size": 5}]
    study = run(StudyFile.from_toml(Path(file)))
    assert [study.records[n].params["size"] for n in (0, 1)] == [3, 5]
    assert len(study.records) == 3


def test_what_is_enqueued_twice_is_kept_once_and_a_spent_budget_is_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = written("toy")
    run(StudyFile.from_toml(Path(file)))
    main(["enqueue", file, "--params", "size=3"])
    assert "all 3 candidates are started: raise budget.candidates" in capsys.readouterr().out
    main(["enqueue", file, "--params", "size=3"])
    assert "size = 3 (was enqueued before)" in capsys.readouterr().out
    assert queue("toy") == [{"size": 3}]
    study = run(StudyFile.from_toml(Path(written("toy", candidates=4))))
    assert study.records[3].params["size"] == 3


def test_the_best_of_another_studys_front_are_enqueued(capsys: pytest.CaptureFixture[str]) -> None:
    other = run(StudyFile.from_toml(Path(written("other", finite=9, candidates=6))))
    best = max(
        other.records.values(), key=lambda record: record.metrics["accuracy"] if record.curve else 0
    )
    assert main(["enqueue", written("toy"), "--from", "studies/other", "--top", "1"]) == 0
    size = best.params["size"]
    shown = capsys.readouterr().out
    assert shown.endswith(f"trial {best.number} of {Path.cwd()}/studies/other: size = {size}\n")
    assert queue("toy") == [{"size": size}]
    main(["enqueue", written("toy"), "--from", "studies/other", "--trial", "2", "--trial", "0"])
    sizes = [other.records[n].params["size"] for n in (2, 0)]
    assert queue("toy") == [{"size": s} for s in dict.fromkeys([size, *sizes])]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--params", "siz=3"], "enqueue[0] (siz = 3): 'siz' is no parameter that the space"),
        (["--params", "size=3", "--params", "size=0"], "enqueue[1] (size = 0): 'size' is 0"),
        (["--params", "size=9"], "bounds.parameters asks for at most 8, and it has 9"),
        (["--params", "size"], "expected NAME=VALUE, got size"),
        ([], "there is nothing to enqueue"),
        (["--top", "2"], "--top and --trial choose from a study"),
        (["--from", "studies/none"], "studies/none holds no study"),
    ],
)
def test_a_mistake_is_two_lines_and_nothing_is_written(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = written("toy", extra="[bounds.parameters]\nmax = 8")
    try:
        status = main(["enqueue", file, *arguments])
    except SystemExit as left:
        status = int(str(left.code))
    assert status == 2
    told = capsys.readouterr().err
    assert message in told
    assert len(told.splitlines()) == 2
    assert not Path("studies").exists()


def test_trials_that_do_not_fit_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    run(StudyFile.from_toml(Path(written("other", finite=9, candidates=6))))
    file = written("toy", extra="[bounds.parameters]\nmin = 500")
    assert main(["enqueue", file, "--from", "studies/other", "--trial", "77"]) == 2
    assert "there is no trial 77 in" in capsys.readouterr().err
    assert main(["enqueue", file, "--from", "studies/other", "--trial", "1"]) == 2
    assert "has no parameter that a candidate of this study could have" in capsys.readouterr().err
    assert not Path("studies/toy").exists()


def test_a_study_that_has_but_a_queue_still_begins_from_an_earlier_one() -> None:
    run(StudyFile.from_toml(Path(written("other", finite=9, candidates=6))))
    table = '[[warm_start]]\nstudy = "studies/other"\nuse = "import"'
    file = written("toy", finite=9, candidates=1, extra=table)
    assert main(["enqueue", file, "--params", "size=9"]) == 0
    study = run(StudyFile.from_toml(Path(file)))
    assert sum(record.imported is not None for record in study.records.values()) == 6
    own = [record for record in study.records.values() if record.imported is None]
    known = {record.params["size"] for record in study.records.values() if record.imported}
    assert len(own) == 1
    assert own[0].params["size"] == 9 or 9 in known
