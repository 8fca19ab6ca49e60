"""What a user gets wrong: two lines on what and how to mend it, and nothing half-written."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Searched
from .driver import ECG_STUDY, Home, assert_two_lines, files_under
from .ray_head import RayHead, free_ports

pytestmark = pytest.mark.slow


@pytest.fixture
def recordings(ecg_home: Home, tmp_path: Path) -> Path:
    """A copy of the synthetic recordings, to spoil."""
    return Path(shutil.copytree(ecg_home.path / "recordings", tmp_path / "recordings"))


def _without_signal(recordings: Path) -> str:
    (recordings / "s003a.dat").unlink()
    return "s003a"


def _cut_short(recordings: Path) -> str:
    signal = recordings / "s003a.dat"
    signal.write_bytes(signal.read_bytes()[:-300])
    return "s003a"


PREPARE = (
    *("data", "prepare", "synthetic", "--source", "recordings", "--out", "ecg"),
    *("--processes", "1"),
)


@pytest.mark.parametrize("spoil", [_without_signal, _cut_short])
def test_a_recording_that_is_missing_or_cut_short_is_named_and_the_others_are_prepared(
    home: Home, recordings: Path, spoil: Callable[[Path], str]
):
    record = spoil(recordings)
    ended = home.call(*PREPARE)
    assert ended.returncode == 0, ended.stderr
    assert "1 of 10 records failed:" in ended.stdout
    assert record in json.loads((home.path / "ecg" / "dataset.json").read_text())["failed"]


@pytest.mark.parametrize("spoil", [_without_signal, _cut_short])
def test_with_strict_such_a_recording_is_an_error_and_no_dataset_is_written(
    home: Home, recordings: Path, spoil: Callable[[Path], str]
):
    record = spoil(recordings)
    before = files_under(home.path)
    assert_two_lines(home.call(*PREPARE, "--strict"), record)
    assert files_under(home.path) == before


def _study_file(home: Home, text: str) -> str:
    (home.path / "ecg.toml").write_text(text)
    return "ecg.toml"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("[budget]\ncandidats = 3\n", ("candidats", "candidates"), id="key"),
        pytest.param("[space.ranges]\nphy = [-3, 3]\n", ("phy", "phi"), id="parameter"),
        pytest.param("seed = \n", ("ecg.toml", "line 3"), id="syntax"),
        pytest.param('split = "fold-9"\n', ("fold-9", "fold-"), id="split"),
    ],
)
def test_a_mistyped_study_file_is_refused_with_the_nearest_valid_name(
    home: Home, ecg_home: Home, text: str, said: tuple[str, ...]
):
    dataset = ecg_home.path / "data" / "ecg"
    file = _study_file(home, f'name = "ecg"\ndataset = "{dataset}"\n{text}')
    assert_two_lines(home.call("run", file), *said)
    assert files_under(home.path) == ["ecg.toml"]


def test_what_is_not_there_is_named(home: Home):
    assert_two_lines(home.run("run", "nothing.toml"), "nothing.toml")
    file = _study_file(home, ECG_STUDY)
    assert_two_lines(home.call("run", file), str(home.path / "data" / "ecg"))
    (home.path / "empty").mkdir()
    for command in ("pareto", "retrain"):
        assert_two_lines(home.call(command, "empty"), str(home.path / "empty"), "holds no study")
    assert files_under(home.path) == ["ecg.toml", "empty"]


def test_a_problem_that_cannot_be_imported_is_named(home: Home):
    file = home.write_toy_study("toy", candidates=1, epochs=2)
    text = (home.path / file).read_text().replace("tests.toy:ToyProblem", "tests.toy:TyProblem")
    (home.path / file).write_text(text)
    assert_two_lines(home.call("run", file), "tests.toy:TyProblem")
    assert files_under(home.path) == ["toy.toml"]


def test_a_changed_byte_in_a_shard_is_found_and_named_by_check(home: Home, ecg_home: Home):
    shard = _copy_with_a_changed_byte(ecg_home, home, "test")
    assert_two_lines(home.call("data", "check", "data/ecg"), str(shard), "SHA-256")


def test_a_changed_byte_in_what_candidates_learn_from_is_found_before_the_search_starts(
    home: Home, ecg_home: Home
):
    file = _study_file(home, ECG_STUDY)
    shutil.copytree(ecg_home.path / "data", home.path / "data")
    # The sound shard is remembered; the change is noticed all the same.
    assert home.call("data", "check", "data/ecg").returncode == 0
    shutil.rmtree(home.path / "data")
    shard = _copy_with_a_changed_byte(ecg_home, home, "development")
    assert_two_lines(home.call("run", file), str(shard), "SHA-256")
    assert not (home.path / "studies").exists()


def _copy_with_a_changed_byte(ecg_home: Home, home: Home, part: str) -> Path:
    shutil.copytree(ecg_home.path / "data", home.path / "data")
    shard = home.path / "data" / "ecg" / "shards" / f"{part}-00000.arrow"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    return shard


def test_fusion_of_features_that_the_dataset_lacks_is_refused(home: Home, ecg_home: Home):
    prepared = home.call(
        *("data", "prepare", "synthetic", "--source", str(ecg_home.path / "recordings")),
        *("--out", "data/ecg", "--features", "none", "--processes", "1"),
    )
    assert prepared.returncode == 0, prepared.stderr
    file = _study_file(home, ECG_STUDY.replace("phi =", 'fusion = ["none", "head"], phi ='))
    assert_two_lines(
        home.call("run", file), "fusion", "'head'", "prepare the dataset with features"
    )
    assert not (home.path / "studies").exists()


def test_a_trial_that_can_never_fit_the_cluster_is_refused_with_the_numbers(
    home: Home, ecg_home: Home, ray_head: RayHead
):
    text = ECG_STUDY.replace('"data/ecg"', f'"{ecg_home.path / "data" / "ecg"}"')
    file = _study_file(home, f"{text}trials = {{wide = {{above_parameters = 1, workers = 4}}}}\n")
    ended = home.run("run", file, at=ray_head.address)
    assert_two_lines(ended, "4 workers", "needs 4 CPUs", "2 CPUs", "at most 2 workers")
    assert not (home.path / "studies").exists()


def test_a_problem_of_ones_own_that_can_never_fit_is_refused_before_anything_is_written(
    home: Home, ray_head: RayHead
):
    file = home.write_toy_study("toy", candidates=4, epochs=2, wide_above=500, workers=4)
    ended = home.run("run", file, at=ray_head.address)
    assert_two_lines(ended, "4 workers", "needs 4 CPUs", "2 CPUs", "at most 2 workers")
    assert files_under(home.path) == ["toy.toml"]


def test_a_problem_that_fails_in_mid_search_is_named_and_goes_on_once_it_is_mended(
    home: Home, ray_head: RayHead
):
    (home.path / "fragile.py").write_text(FRAGILE)
    # Workers of a cluster have started elsewhere.
    paths = os.pathsep.join([home.env["PYTHONPATH"], str(home.path)])
    home = Home(path=home.path, env={**home.env, "PYTHONPATH": paths})
    file = home.write_toy_study("toy", path="fragile:Fragile", candidates=9, epochs=3, epoch_s=0.1)
    ended = home.run("run", file, at=ray_head.address)
    assert_two_lines(ended, "problem Fragile: cost() failed on a candidate with size = ", "'lead'")
    begun = len(home.study("toy").trials())
    assert 0 < begun < 9
    (home.path / "mended").touch()
    mended = home.run("run", file, at=ray_head.address)
    assert mended.returncode == 0, mended.stderr
    assert f"resumed  {begun} candidate" in mended.stdout
    home.study("toy").assert_whole(9)


FRAGILE = """
from pathlib import Path
from tests.toy import ToyProblem

class Fragile(ToyProblem):
    def cost(self, candidate):
        journal = Path("studies/toy/journal.log")
        if journal.exists() and '"epoch:' in journal.read_text() and not Path("mended").exists():
            raise KeyError("lead")
        return super().cost(candidate)
"""


def test_a_cluster_that_does_not_answer_is_named_within_seconds(home: Home):
    file = home.write_toy_study("toy", candidates=1, epochs=2)
    address = f"127.0.0.1:{free_ports(1)[0]}"
    assert_two_lines(home.run("run", file, "--address", address, timeout_s=20), address)
    assert files_under(home.path) == ["toy.toml"]


def test_a_study_does_not_go_on_with_settings_that_change_what_its_results_mean(
    searched: Searched,
):
    (searched.home.path / "longer.toml").write_text(ECG_STUDY.replace("epochs = 3", "epochs = 9"))
    before = searched.study.journal.read_bytes()
    ended = searched.home.call("run", "longer.toml")
    assert_two_lines(ended, "budget.epochs: the study has 3, the file 9", str(searched.study.path))
    assert searched.study.journal.read_bytes() == before


def test_a_study_does_not_go_on_with_other_data(searched: Searched, home: Home):
    prepared = home.call(
        *("data", "prepare", "synthetic", "--source", str(searched.home.path / "recordings")),
        *("--out", "other", "--rate-hz", "100", "--processes", "1"),
    )
    assert prepared.returncode == 0, prepared.stderr
    text = ECG_STUDY.replace("data/ecg", str(home.path / "other"))
    (searched.home.path / "other.toml").write_text(text)
    ended = searched.home.call("run", "other.toml")
    assert_two_lines(ended, "was begun with another dataset", str(searched.study.path))


def test_debug_shows_where_an_error_came_from(home: Home):
    ended = home.run("--debug", "run", "nothing.toml")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Traceback")
