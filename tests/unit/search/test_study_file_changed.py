"""A study goes on with a changed file as long as its results mean the same."""

from typing import Any

import pytest

from search.study_file.reading import StudyFile
from tests.unit.search.study_files import LEAST


def changed(**changes: Any) -> list[str]:
    """Return what keeps a file with these changes from going on with the least study."""
    return StudyFile.from_dict({**LEAST, **changes}).compatible_with(StudyFile.from_dict(LEAST))


def test_a_study_may_go_on_elsewhere_longer_wider_and_by_another_sampler() -> None:
    assert changed() == []
    assert changed(budget={"candidates": 100}) == []
    limits = {"total_epochs": 5, "gpu_hours": 1.0, "worker_hours": 1.0, "hours": 1.0}
    assert changed(budget={**limits, "min_gain_per_hour": 0.1}, trials={"gpus": 1.0}) == []
    assert changed(study="elsewhere", storage={"url": "postgresql://host/studies"}) == []
    assert changed(trials={"cpus": 2, "wide": {"above_parameters": 1, "workers": 2}}) == []
    assert changed(sampler={"name": "nsga2"}) == []
    assert changed(dataset="moved/mitdb") == []


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"name": "other"}, 'name: the study has "mitdb", the file "other"'),
        ({"seed": 3}, "seed: the study has 0, the file 3"),
        ({"split": "fold-1"}, 'split: the study has "fixed", the file "fold-1"'),
        ({"budget": {"epochs": 12}}, "budget.epochs: the study has 9, the file 12"),
        ({"halving": {"eta": 4}}, "halving.eta: the study has 3, the file 4"),
        (
            {"space": {"ranges": {"phi": [0, 1]}}},
            "space.ranges.phi: the study has nothing, the file [0, 1]",
        ),
        (
            {"bounds": {"macs": {"max": 5}}},
            "bounds.macs.max: the study has nothing, the file 5.0",
        ),
        (
            {"training": {"batch_size": 64}},
            "training.batch_size: the study has nothing, the file 64",
        ),
    ],
)
def test_what_decides_the_meaning_of_a_result_may_not_change(
    changes: dict[str, Any], line: str
) -> None:
    assert line in changed(**changes)


def test_the_objectives_may_not_change() -> None:
    lines = changed(objectives=[{"metric": "mean_f1", "direction": "max"}])
    assert [line.partition(":")[0] for line in lines] == ["objectives"]
