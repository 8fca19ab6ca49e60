from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from ecgmodels import EfficientECGConfig, build_model
from search.retraining.evaluation import Evaluation, evaluation_of, evaluation_threads

CLASSES = ("N", "A")
# Records 3 and 5 are N, 4 is A; 3 and 4 have two segments each.
RECORD = np.array([3, 3, 4, 4, 5], np.int32)
LABEL = np.array([0, 0, 1, 1, 0])
PROBABILITIES = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.45, 0.55], [0.3, 0.7]], np.float32)


def evaluated(score: str, *, several: bool = False) -> Evaluation:
    return evaluation_of(
        PROBABILITIES,
        np.eye(2, dtype=np.uint8)[LABEL] if several else LABEL,
        RECORD,
        part="test",
        classes=CLASSES,
        scored_classes=CLASSES,
        score=score,  # type: ignore[arg-type]
    )


def test_segments_are_counted_one_by_one() -> None:
    evaluation = evaluated("segment")
    assert evaluation.confusion == ((1, 2), (0, 2))
    lines = evaluation.to_text().splitlines()
    assert lines[0] == "test (5 segments)"
    assert lines[1].split()[:2] == ["class", "segments"]
    assert lines[2].split() == ["N", "3", "0.3333", "1.0000", "0.5000"]
    assert lines[4].split()[:2] == ["mean_f1", f"{(1 / 2 + 2 / 3) / 2:.4f}"]
    assert lines[4].endswith("over 2 of 2 classes")
    assert lines[-2].split() == ["N", "1", "2"]


def test_records_are_counted_by_the_mean_over_their_segments() -> None:
    evaluation = evaluated("mean")
    assert evaluation.confusion == ((1, 1), (0, 1))
    assert evaluation.counts == (2, 1)
    lines = evaluation.to_text().splitlines()
    assert lines[0] == "test (3 records, each the mean over its segments, 5 in all)"
    assert lines[1].split()[:2] == ["class", "records"]
    assert lines[2].split()[:3] == ["N", "2", "0.5000"]


def test_several_classes_have_rows_with_auc_and_no_confusion_matrix() -> None:
    evaluation = evaluated("max", several=True)
    lines = evaluation.to_text().splitlines()
    assert lines[0] == "test (3 records, each the maximum over its segments, 5 in all)"
    assert lines[1].split() == ["class", "records", "sensitivity", "pos.", "pred.", "F1", "AUC"]
    # N: claimed of record 3 (0.9), of 3 and 5. A: of all three, of 4.
    assert lines[2].split() == ["N", "2", "0.5000", "1.0000", "0.6667", "0.5000"]
    assert lines[3].split() == ["A", "1", "1.0000", "0.3333", "0.5000", "1.0000"]
    assert lines[4].endswith("macro_auc 0.7500 over 2 of 2 classes")
    assert len(lines) == 5


def test_a_class_without_both_kinds_has_no_auc_to_show() -> None:
    evaluation = evaluation_of(
        PROBABILITIES[:1],
        np.array([[1, 0]], np.uint8),
        RECORD[:1],
        part="test",
        classes=CLASSES,
        scored_classes=CLASSES,
        score="segment",
    )
    assert [line.split()[-1] for line in evaluation.to_text().splitlines()[2:4]] == ["-", "-"]


def test_a_class_that_is_not_there_is_told_beside_the_means_that_it_lowers() -> None:
    evaluation = evaluation_of(
        PROBABILITIES[:2],
        LABEL[:2],
        RECORD[:2],
        part="test",
        classes=CLASSES,
        scored_classes=CLASSES,
        score="segment",
    )
    lines = evaluation.to_text().splitlines()
    assert "macro_f1 0.3333" in lines[4]
    assert lines[4].endswith("macro_auc 0.5000 over 0 of 2 classes")
    assert lines[5].split(maxsplit=1)[1].startswith("of 2 classes not there, with an F1 of 0")
    assert lines[5].endswith("over the 1 that are, macro_f1_occurring 0.6667")


def test_the_score_of_a_challenge_is_told_with_its_name() -> None:
    classes = ("N", "A", "O", "~")
    evaluation = evaluation_of(
        np.eye(4, dtype=np.float32)[[0, 1, 2, 3, 0]],
        np.array([0, 1, 2, 3, 3]),
        np.arange(5, dtype=np.int32),
        part="test",
        classes=classes,
        scored_classes=classes[:3],
        score="mean",
        challenge="cinc2017",
    )
    expected = f"{(2 / 3 + 1 + 1) / 3:.4f}"
    assert (
        f"  challenge_score {expected} (formula of cinc2017)" in evaluation.to_text().splitlines()
    )
    assert evaluation.to_dict()["challenge"] == "cinc2017"
    assert "challenge" not in evaluated("mean").to_dict()


def test_an_evaluation_is_json_and_has_a_confusion_matrix_where_classes_exclude_each_other() -> (
    None
):
    one, many = (evaluated("mean", several=several).to_dict() for several in (False, True))
    assert json.loads(json.dumps(one)) == one
    assert one["confusion"] == [[1, 1], [0, 1]]
    assert (one["score"], one["counted"], one["segments"]) == ("mean", 3, 5)
    assert one["counts"] == {"N": 2, "A": 1}
    assert "confusion" not in many
    assert many["metrics"]["auc_classes"] == 2


@pytest.mark.parametrize("limit", [1, 2])
def test_no_more_threads_evaluate_than_are_allowed(limit: int) -> None:
    before = torch.get_num_threads()
    model = build_model(EfficientECGConfig(leads=2, samples=64, classes=3, base="tiny"))
    model.train()
    assert 1 <= evaluation_threads(model, limit) <= limit
    assert torch.get_num_threads() == before
    assert model.training
