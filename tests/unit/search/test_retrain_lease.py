"""What retraining takes over from the search."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from cluster.resources import Resources
from search.problem import candidate_key
from search.retraining.retrain import RetrainOptions, _lease
from search.running import problem_spec
from search.study.folder import StudyFolder
from search.study.records import CandidateRecord, Failure, Phase
from search.study_file.reading import StudyFile
from tests.unit.data.made_datasets import make_records, write_dataset

FULL = Failure(cause="out of memory", message="full", attempt=1)
LOST = Failure(cause="lost worker", message="gone", attempt=2)


@pytest.mark.parametrize(("setbacks", "parts"), [((), 1), ((LOST, LOST), 1), ((FULL, LOST), 2)])
def test_a_candidate_that_ran_out_of_memory_is_retrained_with_batches_in_parts(
    tmp_path: Path, setbacks: tuple[Failure, ...], parts: int
) -> None:
    write_dataset(tmp_path / "data", make_records(6, 2))
    study_file = StudyFile.model_validate(
        {"name": "s", "dataset": str(tmp_path / "data"), "space": {"ranges": {"base": ["tiny"]}}}
    )
    spec, _ = problem_spec(study_file)
    problem = spec.build()
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1)).ask()
    candidate = problem.suggest(trial)
    record = CandidateRecord(
        number=3,
        key=candidate_key(problem, candidate),
        params=trial.params,
        candidate=candidate.to_dict(),
        costs=problem.cost(candidate),
        resources=Resources(),
        phase=Phase.DONE,
        setbacks=setbacks,
    )
    folder = StudyFolder(tmp_path / "study")
    lease = _lease(record, spec, folder, Resources(), study_file, RetrainOptions())
    assert lease.batch_parts == parts
    assert lease.key == record.key
