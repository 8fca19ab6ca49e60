import os
import pickle
from pathlib import Path

import pytest

from cluster.errors import ClusterError
from cluster.paths import HOME_VARIABLE, JOB_CONFIG_VARIABLE, home, inside_job, resolve_path

JOB_CONFIG = '{"metadata": {"job_submission_id": "raysubmit_1"}}'


@pytest.fixture(autouse=True)
def current_folder(tmp_path, monkeypatch):
    monkeypatch.delenv(HOME_VARIABLE, raising=False)
    monkeypatch.delenv(JOB_CONFIG_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_outside_a_job_relative_paths_count_from_the_current_folder(current_folder):
    assert not inside_job()
    assert resolve_path("studies/a", what="study folder") == current_folder / "studies" / "a"


def test_home_variable_replaces_the_current_folder(monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, "/shared/ecg")
    assert resolve_path(Path("studies/a"), what="study folder") == Path("/shared/ecg/studies/a")


def test_absolute_paths_stay_as_they_are(monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, "/shared/ecg")
    assert resolve_path("/data/mitdb", what="dataset") == Path("/data/mitdb")


def test_a_link_keeps_the_name_the_user_gave(current_folder):
    (current_folder / "disk7").mkdir()
    (current_folder / "data").symlink_to("disk7")
    assert resolve_path("data/mitdb", what="dataset") == current_folder / "data" / "mitdb"


def test_dots_and_tilde_are_resolved(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv(HOME_VARIABLE, "/shared/ecg")
    assert resolve_path("../data/./mitdb", what="dataset") == Path("/shared/data/mitdb")
    assert resolve_path("~/mitdb", what="dataset") == Path("/home/ada/mitdb")


def test_a_relative_home_variable_is_refused(monkeypatch):
    monkeypatch.setenv(HOME_VARIABLE, "studies")
    with pytest.raises(ClusterError, match="ECGSEARCH_HOME is 'studies'") as refusal:
        home()
    assert "export ECGSEARCH_HOME=" in refusal.value.hint


def test_inside_a_job_a_relative_path_is_refused_with_the_reason_and_the_remedy(monkeypatch):
    monkeypatch.setenv(JOB_CONFIG_VARIABLE, JOB_CONFIG)
    assert inside_job()
    with pytest.raises(ClusterError) as refusal:
        resolve_path("studies/a", what="study folder")
    assert str(refusal.value) == (
        "study folder 'studies/a' is relative, and inside a Ray job the working directory is a "
        "copy that changes with each edit"
    )
    assert '--runtime-env-json \'{"env_vars": {"ECGSEARCH_HOME":' in refusal.value.hint


def test_inside_a_job_absolute_paths_and_the_home_variable_work(monkeypatch):
    monkeypatch.setenv(JOB_CONFIG_VARIABLE, JOB_CONFIG)
    assert resolve_path("/data/mitdb", what="dataset") == Path("/data/mitdb")
    monkeypatch.setenv(HOME_VARIABLE, "/shared/ecg")
    assert resolve_path("mitdb", what="dataset") == Path("/shared/ecg/mitdb")


def test_a_worker_of_a_job_is_inside_the_job_though_ray_sets_no_variable_there(current_folder):
    unpacked = current_folder / "runtime_resources" / "working_dir_files" / "_ray_pkg_1"
    unpacked.mkdir(parents=True)
    os.chdir(unpacked)
    assert inside_job()


def test_errors_keep_their_hint_on_the_way_between_processes():
    error = pickle.loads(pickle.dumps(ClusterError("no node", hint="start one")))
    assert (str(error), error.hint, type(error)) == ("no node", "start one", ClusterError)
