"""Four objectives at once on the command line, one of them measured on this machine."""

import json
import shutil
from collections.abc import Iterator

import pytest
from optuna.trial import TrialState

from .driver import Home, StudyOnDisk, assert_two_lines, make_home
from .ray_head import RayHead

pytestmark = pytest.mark.slow

STUDY = """
name = "four"
dataset = "data/ecg"
space = {{ranges = {{base = ["tiny"], phi = [-3.0, -1.0]}}}}
budget = {{candidates = {candidates}, epochs = 3}}
sampler = {{name = "front", startup = 3}}
training = {{batch_size = 32, segments_per_epoch = 64}}
latency = {{name = "{device}", runtime = "torch"}}
bounds = {{latency_ms = {{max = 100.0}}}}
objectives = [
    {{metric = "mean_f1", direction = "max"}},
    {{metric = "macro_auc", direction = "max"}},
    {{metric = "log10_parameters", direction = "min"}},
    {{metric = "latency_ms", direction = "min"}},
]
"""


def write(home: Home, *, candidates: int, device: str = "desk") -> str:
    (home.path / "four.toml").write_text(STUDY.format(candidates=candidates, device=device))
    return "four.toml"


def latencies(study: StudyOnDisk) -> dict[str, float]:
    devices = json.loads((study.path / "latency.json").read_text())["devices"]
    assert list(devices) == ["desk"]
    return devices["desk"]["latency_ms"]


@pytest.fixture(scope="module")
def four(
    ecg_home: Home, ray_head: RayHead, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Home]:
    """A home in which four candidates were searched; told.txt is what that printed."""
    with make_home(tmp_path_factory.mktemp("four")) as home:
        shutil.copytree(ecg_home.path / "data", home.path / "data")
        ended = home.run("run", write(home, candidates=4), at=ray_head.address)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        (home.path / "told.txt").write_text(ended.stdout)
        yield home


def test_the_front_is_printed_with_all_four(four: Home):
    lines = (four.path / "told.txt").read_text().splitlines()
    header = next(line for line in lines if line.split()[:1] == ["trial"])
    assert header.split() == [
        *("trial", "parameters", "macs", "latency_ms", "mean_f1", "macro_auc"),
        *("epochs", "seconds", "configuration"),
    ]
    assert any("latency_ms 0." in line or "latency_ms 1." in line for line in lines)


def test_every_candidate_has_its_latency_in_the_study_and_in_the_file(four: Home):
    study = four.study("four")
    study.assert_whole(4)
    measured = set(latencies(study).values())
    for trial in study.trials():
        assert trial.user_attrs["costs"]["latency_ms"] in measured
        if trial.state is TrialState.COMPLETE:
            assert len(trial.values) == 4
            assert trial.values[3] == trial.user_attrs["costs"]["latency_ms"]
    assert study.load().metric_names == [
        *("mean_f1", "macro_auc", "log10_parameters", "latency_ms")
    ]


def test_every_detail_can_be_had_as_json(four: Home):
    told = four.call("pareto", "studies/four", "--json")
    rows = json.loads(told.stdout)
    for row in rows:
        assert row["latency_ms"] in latencies(four.study("four")).values()
        assert {"mean_f1", "macro_auc"} <= set(row["metrics"])


def test_another_device_is_another_study(four: Home):
    ended = four.call("run", write(four, candidates=4, device="laptop"))
    assert_two_lines(ended, 'latency.name: the study has "desk", the file "laptop"')


def test_a_study_that_goes_on_measures_only_what_is_new(four: Home, ray_head: RayHead):
    study = four.study("four")
    before = latencies(study)
    ended = four.run("run", write(four, candidates=5), at=ray_head.address)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    study.assert_whole(5)
    after = latencies(study)
    assert {name: after[name] for name in before} == before
    assert len(after) <= len(before) + 2


def test_latencies_of_another_processor_are_refused_before_anything_starts(four: Home):
    path = four.study("four").path / "latency.json"
    content = path.read_text()
    changed = json.loads(content)
    changed["devices"]["desk"]["processor"] = "Another CPU"
    path.write_text(json.dumps(changed))
    try:
        ended = four.call("run", write(four, candidates=6))
    finally:
        path.write_text(content)
    assert_two_lines(ended, "Another CPU", "another latency.name")
    assert "ray" not in ended.stdout
