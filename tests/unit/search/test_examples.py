"""The study files that come along can be searched on a dataset like the one they name."""

from pathlib import Path

import pytest

from ecgmodels import cost
from search.reports.space_survey import Surveyed, draw
from search.study_file.reading import StudyFile
from spaces import DataShape, build_space

EXAMPLES = sorted((Path(__file__).resolve().parents[3] / "examples").glob("*.toml"))
MITDB = DataShape(
    leads=2,
    samples=128,
    classes=4,
    features=("age", "sex", "rr_previous_s", "rr_next_s", "rr_ratio"),
    rate_hz=128.0,
    aligned=True,
)


def surveyed(path: Path) -> Surveyed:
    study = StudyFile.from_toml(path)
    training = {**study.training, "epochs": study.budget.epochs}
    space = build_space(study.space.name, MITDB, training, study.space.ranges)
    return Surveyed(
        name="MIT-BIH",
        suggest=space.suggest,
        cost=lambda candidate: cost(candidate.model),
        bounds=study.to_bounds(),
        fixed={},
    )


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_proposes_enough_that_it_may_train(path: Path) -> None:
    samples = draw(surveyed(path), candidates=200, seed=0)
    assert all(sample.costs is not None for sample in samples)
    assert sum(sample.within_bounds for sample in samples) > 80


def test_the_baselines_example_has_every_family_it_names_within_its_bounds() -> None:
    path = next(path for path in EXAMPLES if path.stem == "baselines")
    samples = draw(surveyed(path), candidates=300, seed=0)
    within = {sample.group for sample in samples if sample.within_bounds}
    named = set(StudyFile.from_toml(path).space.ranges["model"])  # type: ignore[arg-type]
    assert within == named - {"efficientecg"} | {"tiny", "small"}
