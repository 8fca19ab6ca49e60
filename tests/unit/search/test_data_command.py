from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ecgmodels.configs import Config
from ecgmodels.data import DATABASES, write_synthetic_recordings
from search.cli import main
from search.cli.config_flags import add_config_flags, chosen, field_docstrings
from search.cli.lazy_parser import LazyParser


@dataclass(frozen=True, kw_only=True)
class Example(Config):
    """Of everything that a flag can be."""

    table: str | None = None
    """Which file;
    on two lines, 100% of it."""
    least: float = 0.5
    count: int = 3
    clean: bool = True
    ceiling: float | None = 9.0
    ignore: tuple[str, ...] = ()
    band_hz: tuple[float, float] = (1.0, 2.0)


def parse(*arguments: str) -> Example:
    parser = LazyParser(fill=lambda parser: add_config_flags(parser, Example, prefix="x_"))
    return Example(**chosen(parser.parse_args(arguments), "x_"))


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten synthetic recordings, one of them cut short."""
    folder = tmp_path_factory.mktemp("synthetic") / "recordings"
    write_synthetic_recordings(folder, records=10, seconds_per_record=30)
    damaged = folder / "s004a.dat"
    damaged.write_bytes(damaged.read_bytes()[:1000])
    return folder


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    """Runs a command that must fail with two lines; returns what is wrong, and how to mend it."""

    def run(*arguments: str) -> tuple[str, str]:
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = ended.code
        told = capsys.readouterr()
        assert status == 2, told
        assert told.out == ""
        error, fix = told.err.splitlines()
        assert error.startswith("error: ")
        assert fix.startswith("fix: ")
        return error.removeprefix("error: "), fix.removeprefix("fix: ")

    return run


def test_a_flag_that_is_not_given_leaves_the_default() -> None:
    assert parse() == Example()


def test_flags_are_read_as_the_fields_are_typed() -> None:
    assert parse(
        *("--table", "a.csv", "--least", "0.25", "--count", "7", "--no-clean"),
        *("--ceiling", "none", "--ignore", "a, b", "--band-hz", "0.5,40"),
    ) == Example(
        table="a.csv",
        least=0.25,
        count=7,
        clean=False,
        ceiling=None,
        ignore=("a", "b"),
        band_hz=(0.5, 40.0),
    )


def test_the_docstring_under_a_field_is_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert field_docstrings(Example) == {"table": "Which file; on two lines, 100% of it."}
    with pytest.raises(SystemExit):
        parse("--help")
    assert "Which file; on two lines, 100% of it." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("--count", "many"), "expected NUMBER, got 'many'"),
        (("--band-hz", "1"), "expected X,Y, got '1'"),
        (("--band-hz", "1,2,3"), "expected X,Y, got '1,2,3'"),
        (("--lest", "1"), "'--lest' is not an option"),
    ],
)
def test_a_value_that_does_not_fit_is_told_in_two_lines(
    capsys: pytest.CaptureFixture[str], flags: tuple[str, ...], expected: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*flags)
    error, fix = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert expected in error
    assert fix.startswith("fix: ")


@pytest.mark.parametrize("name", sorted(DATABASES))
def test_the_help_of_a_database_explains_its_tasks_and_every_setting_of_its_own(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["data", "prepare", name, "--help"])
    assert ended.value.code == 0
    told = " ".join(capsys.readouterr().out.split())
    database = DATABASES[name]
    assert database.title in told
    for task in database.tasks:
        assert task in told
    for field, text in field_docstrings(database.settings).items():
        flag = field.replace("_", "-")
        assert re.search(rf"--(no-)?{flag}\b", told)
        assert text.replace("None", "left out")[:40] in told
    assert set(field_docstrings(database.settings)) == set(database.settings().to_dict())
    assert "--rate-hz" in told


def test_the_list_of_databases_names_all_of_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "databases"]) == 0
    told = capsys.readouterr().out
    for name, database in DATABASES.items():
        assert re.search(rf"^{name} ", told, re.MULTILINE)
        assert database.title in told


def test_help_loads_nothing_that_prepares() -> None:
    code = (
        "import sys; from search.cli import main\n"
        "try: main(['data', '--help'])\n"
        "except SystemExit: pass\n"
        "print({'numpy', 'pyarrow', 'ecgmodels.data', 'ray', 'torch'} & set(sys.modules))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert ran.stdout.splitlines()[-1] == "set()"


def test_what_failed_is_named_after_what_was_prepared_and_a_second_time_says_so(
    recordings: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "prepare", "synthetic", "--source", str(recordings), "--processes", "1"]
    command += ["--out", str(tmp_path / "out"), "--folds", "0"]
    assert main(command) == 0
    told = capsys.readouterr()
    assert "1 of 10 records failed: s004a\n  fix: copy the recording again" in told.out
    assert re.search(r"^prepared in \d+\.\d s$", told.out, re.MULTILINE)
    assert told.err == ""
    assert main(command) == 0
    assert "already prepared" in capsys.readouterr().out
    assert main(["data", "describe", str(tmp_path / "out")]) == 0
    assert "Synthetic ECG recordings" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path / "out")]) == 0


def test_strict_ends_with_the_damaged_recording_and_leaves_nothing(
    recordings: Path, tmp_path: Path, refused: Callable[..., tuple[str, str]]
) -> None:
    where = ("--source", str(recordings), "--out", str(tmp_path / "out"), "--processes", "1")
    error, fix = refused("data", "prepare", "synthetic", *where, "--strict")
    assert "s004a.dat is cut short" in error
    assert "copy the recording again" in fix
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "error", "fix"),
    [
        (("prepare", "mitbd", "--out", "o"), "DATABASE is 'mitbd'", "did you mean 'mitdb'?"),
        (("prepare", "mitdb", "--out", "o"), "required: --source", "--help"),
        (
            ("prepare", "mitdb", "--source", "s", "--out", "o", "--fold", "3"),
            "'--fold' is not an option",
            "did you mean '--folds'?",
        ),
        (
            ("prepare", "mitdb", "--source", "s", "--out", "o", "--rate-hz", "fast"),
            "expected NUMBER|native, got 'fast'",
            "--help",
        ),
        (
            ("prepare", "mitdb", "--source", "nowhere", "--out", "o", "--task", "wfbd"),
            "task is 'wfbd'",
            "did you mean 'wfdb'?",
        ),
        (("fetch", "mitbd", "--out", "o"), "NAME is 'mitbd'", "did you mean 'mitdb'?"),
        (("describe", "nowhere"), "nowhere/dataset.json is missing", "data prepare"),
        (
            ("prepare", "mitdb", "--source", "s", "--out", "o", "--ray", "--processes", "2"),
            "processes has no effect on a Ray cluster",
            "leave out --processes",
        ),
    ],
)
def test_mistakes_are_two_lines(
    refused: Callable[..., tuple[str, str]],
    arguments: tuple[str, ...],
    error: str,
    fix: str,
) -> None:
    told = refused("data", *arguments)
    assert error in told[0]
    assert fix in told[1]


@pytest.fixture
def mirror(tmp_path: Path) -> Iterator[str]:
    """The address of a server with a very small MIT-BIH database."""
    folder = tmp_path / "mirror" / "mitdb" / "1.0.0"
    folder.mkdir(parents=True)
    for name in ("RECORDS", "100.hea", "100.dat", "100.atr"):
        (folder / name).write_text(f"content of {name}\n")
    sums = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.name}\n"
        for path in folder.iterdir()
    ]
    (folder / "SHA256SUMS.txt").write_text("".join(sums))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    handler = partial(Quiet, directory=str(tmp_path / "mirror"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_what_was_fetched_is_counted_and_is_not_fetched_again(
    mirror: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mitdb"
    command = ["data", "fetch", "mitdb", "--out", str(out), "--index-url", mirror]
    assert main(command) == 0
    assert "4 files of mitdb" in capsys.readouterr().out
    assert (out / "100.dat").read_text() == "content of 100.dat\n"
    assert main(command) == 0
    assert "0 of them downloaded now" in capsys.readouterr().out


def test_an_address_goes_through_as_it_is(refused: Callable[..., tuple[str, str]]) -> None:
    error, _ = refused("data", "describe", "file:///nowhere/at/all")
    assert str(Path.cwd()) not in error
    assert "nowhere/at/all" in error
