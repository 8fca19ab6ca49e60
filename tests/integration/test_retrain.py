"""Taking a model home: `ecgsearch retrain`, and what it writes."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ecgmodels import load_model
from ecgmodels.data import open_dataset
from search.study.folder import StudyFolder

from .conftest import Searched
from .driver import assert_two_lines, files_under
from .ray_head import RayHead

pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class TakenHome:
    ended: subprocess.CompletedProcess[str]
    study: StudyFolder
    folder: Path


@pytest.fixture(scope="module")
def taken_home(searched: Searched, ray_head: RayHead) -> TakenHome:
    """`ecgsearch retrain studies/ecg --top 1`."""
    ended = searched.home.run("retrain", "studies/ecg", "--top", "1", at=ray_head.address)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    study = StudyFolder(searched.study.path)
    (folder,) = study.retrained.iterdir()
    return TakenHome(ended=ended, study=study, folder=folder)


def test_a_retrained_model_loads_and_predicts(taken_home: TakenHome):
    model, card = load_model(taken_home.folder)
    assert card["parameters"] == sum(p.numel() for p in model.parameters())
    signal = torch.zeros(2, len(card["leads"]), card["samples"])
    # The features that the network itself takes: none without fusion.
    features = torch.zeros(2, len(model.config.features))
    logits = model(signal, features, torch.zeros_like(features, dtype=torch.bool))
    assert logits.shape == (2, len(card["classes"]))
    assert torch.isfinite(logits).all()


def test_the_card_reports_every_class_of_the_test_part(taken_home: TakenHome, searched: Searched):
    dataset = open_dataset(searched.home.path / "data" / "ecg")
    card = json.loads((taken_home.folder / "card.json").read_text())
    assert card["dataset"]["hash"] == dataset.hash
    assert card["split"] == "fixed"
    assert card["epochs"] == 3
    for part, segments in (("test", 100), ("validation", 59)):
        evaluation = card[part]
        confusion = evaluation["confusion"]
        assert len(confusion) == len(confusion[0]) == 4
        assert sum(map(sum, confusion)) == segments
        for name, row in zip(dataset.classes, confusion, strict=True):
            of_class = [confusion[i][dataset.classes.index(name)] for i in range(4)]
            true = row[dataset.classes.index(name)]
            assert evaluation["metrics"][f"sensitivity_{name}"] == pytest.approx(
                true / max(1, sum(row))
            )
            assert evaluation["metrics"][f"f1_{name}"] == pytest.approx(
                2 * true / max(1, sum(row) + sum(of_class))
            )


def test_the_test_parts_reading_is_written_into_the_study(taken_home: TakenHome):
    (reading,) = taken_home.study.open().test_readings
    card = json.loads((taken_home.folder / "card.json").read_text())
    assert reading["by"] == "retrain"
    assert (reading["trial"], reading["key"]) == (card["trial"], card["key"])
    assert "  this was reading 1 of the test part in this study" in taken_home.ended.stdout


def test_the_most_accurate_member_of_the_front_is_retrained(
    taken_home: TakenHome, searched: Searched
):
    rows = json.loads(searched.home.call("pareto", "studies/ecg", "--json").stdout)
    best = max(rows, key=lambda row: row["metrics"]["mean_f1"])
    assert taken_home.folder.name == f"{best['trial']:05d}-{best['key'][:12]}"


def test_retraining_leaves_nothing_of_rays_behind(taken_home: TakenHome):
    assert not taken_home.study.ray.exists()


def test_retraining_leaves_the_searchs_trials_as_they_are(
    taken_home: TakenHome, searched: Searched
):
    searched.study.assert_whole(6)


def test_a_damaged_test_shard_is_named_before_it_is_read_as_results(
    taken_home: TakenHome, searched: Searched, tmp_path: Path
):
    study = tmp_path / "study"
    shutil.copytree(searched.study.path, study)
    dataset = tmp_path / "damaged"
    shutil.copytree(searched.home.path / "data" / "ecg", dataset)
    shard = dataset / "shards" / "test-00000.arrow"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    described = json.loads((study / "study.json").read_text())
    described["study_file"]["dataset"] = str(dataset)
    (study / "study.json").write_text(json.dumps(described))
    before = files_under(study / "retrained")

    ended = searched.home.call("retrain", str(study))
    assert_two_lines(ended, str(shard), "SHA-256")
    assert files_under(study / "retrained") == before


def test_a_trial_that_is_not_in_the_study_is_refused(searched: Searched):
    assert_two_lines(
        searched.home.call("retrain", "studies/ecg", "--trial", "77"),
        "there is no trial 77 in the study",
    )
