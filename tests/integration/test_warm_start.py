"""Studies that begin from what is known, and studies that go on, on a real Ray."""

import hashlib
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import TrialState

from search.study.folder import StudyFolder
from search.study.records import CandidateRecord

from .conftest import Searched
from .driver import Home, StudyOnDisk, assert_two_lines, make_home
from .ray_head import RayHead

pytestmark = pytest.mark.slow

# One in three leaves the only rung: of two nobody, of three one.
HALVING = "halving = {min_results = 1, finish_front = false}\nsampler = {name = 'random'}\n"


def records(home: Home, name: str) -> dict[int, CandidateRecord]:
    return dict(StudyFolder(home.path / "studies" / name).open().records)


@dataclass
class Extended:
    """A study of two candidates that goes on to a third."""

    study: StudyOnDisk
    before: dict[int, CandidateRecord]
    after: dict[int, CandidateRecord]
    states: dict[int, TrialState]
    """Of the trials that were told before it went on."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with make_home(tmp_path_factory.mktemp("warm")) as made:
        yield made


def run(home: Home, file: str, ray_head: RayHead) -> subprocess.CompletedProcess[str]:
    ended = home.run("run", file, at=ray_head.address)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended


@pytest.fixture(scope="module")
def extended(home: Home, ray_head: RayHead) -> Extended:
    # The large one is on the front's end, and so the best of three whatever comes third.
    first = HALVING + "[[enqueue]]\nsize = 1000\nrate = 0.01\n[[enqueue]]\nsize = 500\n"
    study = home.study("extended")
    run(home, home.write_toy_study("extended", candidates=2, epochs=3, extra=first), ray_head)
    before = records(home, "extended")
    states = {trial.number: trial.state for trial in study.load().trials}
    run(home, home.write_toy_study("extended", candidates=3, epochs=3, extra=first), ray_head)
    return Extended(study=study, before=before, after=records(home, "extended"), states=states)


def test_what_is_enqueued_is_tried_first(extended: Extended):
    assert extended.before[0].params == {"size": 1000, "rate": 0.01}
    assert extended.before[1].params["size"] == 500
    assert [record.epochs for record in extended.before.values()] == [1, 1]


def test_who_was_stopped_is_promoted_when_the_study_goes_on(extended: Extended):
    assert sorted(record.epochs for record in extended.after.values()) == [1, 1, 3]
    (promoted,) = [n for n, record in extended.after.items() if record.epochs == 3]
    assert promoted in extended.before
    record = extended.after[promoted]
    assert record.curve[:1] == extended.before[promoted].curve
    assert (record.attempt, record.phase) == (2, "done")
    assert len(list((extended.study.path / "trials").iterdir())) == 3


def test_in_optuna_another_trial_goes_on_and_none_is_left_running(extended: Extended):
    trials = extended.study.load().trials
    assert {number: trials[number].state for number in extended.states} == extended.states
    (continuing,) = [trial for trial in trials if "continues" in trial.user_attrs]
    assert continuing.state is TrialState.COMPLETE
    assert continuing.params == trials[continuing.user_attrs["continues"]].params
    assert all(trial.state.is_finished() for trial in trials)


def test_the_same_command_again_changes_nothing(extended: Extended, home: Home, ray_head: RayHead):
    def of_trials() -> list[dict[str, Any]]:
        return [line for line in extended.study.operations() if "trial_id" in line]

    before = of_trials()
    again = run(home, "extended.toml", ray_head)
    assert "resumed  3 candidates are known" in again.stdout
    assert of_trials() == before
    assert records(home, "extended") == extended.after


@pytest.fixture(scope="module")
def widened(home: Home, ray_head: RayHead) -> subprocess.CompletedProcess[str]:
    narrow = home.write_toy_study("narrow", candidates=5, epochs=3, extra=HALVING, finite=5)
    run(home, narrow, ray_head)
    table = '[[warm_start]]\nstudy = "studies/narrow"\nuse = "import"\nranges = ["finite"]\n'
    wide = home.write_toy_study("wide", candidates=3, epochs=3, extra=HALVING + table, finite=8)
    return run(home, wide, ray_head)


def test_a_wider_study_takes_the_narrow_ones_results_over_and_trains_only_what_is_new(
    widened: subprocess.CompletedProcess[str], home: Home
):
    assert "earlier  studies/narrow: 5 candidates imported" in widened.stdout
    assert "3/3 tried" in widened.stdout
    assert "; 5 candidates imported" in widened.stdout
    narrow, wide = records(home, "narrow"), records(home, "wide")
    imported = {r.key: r.curve for r in wide.values() if r.imported is not None}
    assert imported == {record.key: record.curve for record in narrow.values()}
    own = [record for record in wide.values() if record.imported is None]
    assert sorted(record.params["size"] for record in own) == [6, 7, 8]
    home.study("wide").assert_whole(8)
    trained = {folder.name[:5] for folder in (home.study("wide").path / "trials").iterdir()}
    assert trained == {f"{record.number:05d}" for record in own}


def test_results_that_mean_something_else_are_refused_in_two_lines(
    widened: subprocess.CompletedProcess[str], home: Home
):
    table = '[[warm_start]]\nstudy = "studies/narrow"\nuse = "import"\nranges = ["finite"]\n'
    longer = home.write_toy_study("longer", candidates=3, epochs=4, extra=table, finite=8)
    refused = home.call("run", longer)
    assert_two_lines(refused, "studies/narrow cannot be imported", "budget.epochs is 3 there")
    assert not (home.path / "studies" / "longer").exists()


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


WIDER_ECG = """
name = "wider"
dataset = "data/ecg"
space = {ranges = {base = ["tiny", "small"], phi = [-3.0, -1.5]}}
budget = {candidates = 1, epochs = 3}
training = {batch_size = 32, segments_per_epoch = 64}
warm_start = [{study = "studies/ecg", use = "import"}]
"""


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A study that took a network over, and what retraining that printed and wrote."""

    run: subprocess.CompletedProcess[str]
    retrained: subprocess.CompletedProcess[str]
    number: int
    model: Path
    taken_from: tuple[dict[str, str], dict[str, str]]
    """The checksums of the earlier study's trials, before and afterwards."""


@pytest.fixture(scope="module")
def imported(searched: Searched, ray_head: RayHead) -> Imported:
    """`retrain --workers 2` of a network that `wider.toml` imported."""
    home = searched.home
    before = digests(searched.study.path / "trials")
    (home.path / "wider.toml").write_text(WIDER_ECG)
    ended = run(home, "wider.toml", ray_head)
    wider = records(home, "wider")
    number = next(n for n, r in wider.items() if r.imported is not None and r.phase == "done")
    retrained = home.run(
        *("retrain", "studies/wider", "--trial", str(number)),
        *("--workers", "2", "--epochs", "2"),
        at=ray_head.address,
    )
    assert retrained.returncode == 0, retrained.stdout + retrained.stderr
    (model,) = (home.path / "studies" / "wider" / "retrained").iterdir()
    return Imported(
        run=ended,
        retrained=retrained,
        number=number,
        model=model,
        taken_from=(before, digests(searched.study.path / "trials")),
    )


def test_an_imported_network_costs_what_it_did(imported: Imported, searched: Searched):
    assert "earlier  studies/ecg: 6 candidates imported" in imported.run.stdout
    record = records(searched.home, "wider")[imported.number]
    ecg = {record.key: record for record in records(searched.home, "ecg").values()}
    assert record.costs == ecg[record.key].costs


def test_an_imported_network_can_be_retrained_from_its_parameters_alone(imported: Imported):
    assert (imported.model / "model.safetensors").exists()
    before, after = imported.taken_from
    assert before == after != {}


def test_two_workers_retrain_data_parallel(imported: Imported):
    assert "2 epochs on 2 workers x (1 CPU)" in imported.retrained.stdout
    assert imported.model.name.endswith("-workers-2")
    card = json.loads((imported.model / "card.json").read_text())
    assert (card["epochs"], card["workers"]) == (2, 2)
