"""Whether training on a dataset measures what a study asks for is known before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecgmodels.data import Dataset, open_dataset
from search.ecg_problem import require_measured
from search.errors import StudyError
from search.study_file.reading import StudyFile
from tests.unit.data.made_datasets import CLASSES, make_records, write_dataset


def study(metric: str) -> StudyFile:
    return StudyFile.model_validate(
        {
            "name": "s",
            "dataset": "d",
            "objectives": [
                {"metric": metric, "direction": "max"},
                {"metric": "log10_parameters", "direction": "min"},
            ],
        }
    )


def refusal(metric: str, dataset: Dataset) -> StudyError | None:
    try:
        require_measured(study(metric), dataset)
    except StudyError as error:
        return error
    return None


@pytest.fixture(scope="module")
def one_class(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("made") / "one"
    write_dataset(folder, make_records(6, 2))
    return open_dataset(folder)


@pytest.fixture(scope="module")
def several_classes(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("made") / "several"
    write_dataset(folder, make_records(6, 2, multi_label=True), multi_label=True)
    return open_dataset(folder)


@pytest.mark.parametrize(
    "metric", ["mean_f1", "macro_f1_occurring", "micro_f1", "macro_auc", f"f1_{CLASSES[0]}"]
)
def test_what_every_dataset_measures_is_accepted(
    metric: str, one_class: Dataset, several_classes: Dataset
) -> None:
    assert refusal(metric, one_class) is None
    assert refusal(metric, several_classes) is None


@pytest.mark.parametrize("metric", ["accuracy", "balanced_accuracy"])
def test_accuracy_is_refused_where_a_segment_has_several_classes(
    metric: str, one_class: Dataset, several_classes: Dataset
) -> None:
    assert refusal(metric, one_class) is None
    with pytest.raises(StudyError, match=f"'{metric}' is not measured on .* several classes"):
        require_measured(study(metric), several_classes)


@pytest.mark.parametrize("metric", ["exact_match", f"auc_{CLASSES[0]}"])
def test_what_only_several_classes_have_is_refused_for_one(
    metric: str, one_class: Dataset, several_classes: Dataset
) -> None:
    assert refusal(metric, several_classes) is None
    with pytest.raises(StudyError, match=f"'{metric}' is not measured on .* one class"):
        require_measured(study(metric), one_class)


def test_a_challenges_score_is_refused_where_nothing_is_a_challenges(one_class: Dataset) -> None:
    with pytest.raises(StudyError, match=r"'challenge_score' is not .* not scored as"):
        require_measured(study("challenge_score"), one_class)


def test_a_challenges_score_is_accepted_on_its_recordings(tmp_path: Path) -> None:
    classes = ("N", "A", "O", "~")
    records = make_records(8, 4, classes=classes)
    write_dataset(tmp_path, records, classes=classes, database="cinc2017")
    assert refusal("challenge_score", open_dataset(tmp_path)) is None


def test_a_class_that_the_dataset_lacks_is_named(one_class: Dataset) -> None:
    with pytest.raises(StudyError, match="'f1_Z' names no class") as raised:
        require_measured(study("f1_Z"), one_class)
    assert "f1_" in raised.value.hint


def stopping_early(metric: str) -> StudyFile:
    training = {"early_stop_epochs": 2, "early_stop_metric": metric, "warmup_epochs": 25}
    return StudyFile.model_validate(
        {"name": "s", "dataset": "d", "training": training, "budget": {"epochs": 30}}
    )


def test_early_stop_looks_at_what_the_dataset_measures(
    one_class: Dataset, several_classes: Dataset
) -> None:
    require_measured(stopping_early("exact_match"), several_classes)
    for metric in ("exact_match", "challenge_score", "f1_Z"):
        with pytest.raises(StudyError, match=rf"^training\.early_stop_metric: '{metric}' "):
            require_measured(stopping_early(metric), one_class)
