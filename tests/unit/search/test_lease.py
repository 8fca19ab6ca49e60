"""Carrying out a lease: what is trained, saved and reported, and in which order."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cluster.resources import Resources
from search.engine.lease import Lease, ProblemCache, candidate_name, learn
from search.errors import StudyError
from search.problem import Context, ProblemSpec, candidate_key
from search.study.checkpoints import CheckpointFolder
from search.study.records import EpochResult
from tests.toy import ToyProblem

PARAMS = {"size": 50, "rate": 0.01}
KEY = candidate_key(ToyProblem(), PARAMS)


@pytest.fixture
def folder(tmp_path: Path) -> CheckpointFolder:
    return CheckpointFolder(tmp_path / candidate_name(7, KEY))


def lease(folder: CheckpointFolder, **changes: Any) -> Lease:
    values: dict[str, Any] = {
        "number": 7,
        "attempt": 1,
        "key": KEY,
        "params": PARAMS,
        "resources": Resources(),
        "seed": 11,
        "max_epochs": 9,
        "rungs": (1, 3),
        "known_epochs": 0,
        "checkpoints": folder.path,
    }
    return Lease(**(values | changes))


def saved(folder: CheckpointFolder) -> int | None:
    latest = folder.latest()
    return latest.epoch if latest else None


def train(folder: CheckpointFolder, epochs: int, **changes: Any) -> list[EpochResult]:
    """Train so many epochs from the latest checkpoint, then leave."""
    results = learn(lease(folder, **changes), ToyProblem(), folder.latest())
    return [epoch for _, report in zip(range(epochs), results, strict=False) for epoch in report]


def numbers(reports: list[EpochResult]) -> list[int]:
    return [epoch.number for epoch in reports]


def test_a_candidate_is_named_by_number_and_key(folder: CheckpointFolder) -> None:
    assert lease(folder).name == f"00007-{KEY[:12]}"
    assert folder.path.name == lease(folder).name


def test_every_epoch_is_reported_by_itself(folder: CheckpointFolder) -> None:
    reports = list(learn(lease(folder), ToyProblem(), None))
    assert [len(report) for report in reports] == [1] * 9
    assert [report[0].number for report in reports] == list(range(1, 10))


def test_an_epoch_is_not_trained_before_the_one_before_it_was_judged(
    folder: CheckpointFolder,
) -> None:
    trained: list[int] = []

    class Watched(ToyProblem):
        def learn(self, candidate: Any, context: Context) -> Any:
            for epoch in super().learn(candidate, context):
                trained.append(epoch.number)
                yield epoch

    results = learn(lease(folder), Watched(), None)
    for number in (1, 2, 3):
        next(results)
        assert trained == list(range(1, number + 1))


def test_training_is_told_the_seed_and_where_it_runs(folder: CheckpointFolder) -> None:
    seen: list[Context] = []

    class Curious(ToyProblem):
        def learn(self, candidate: Any, context: Context) -> Any:
            seen.append(context)
            return super().learn(candidate, context)

    train_anew = learn(
        lease(folder), Curious(), None, rank=1, world_size=2, device="cuda:1", threads=3
    )
    next(train_anew)
    assert seen == [
        Context(seed=11, max_epochs=9, rank=1, world_size=2, device="cuda:1", threads=3)
    ]


# Checkpoints ------------------------------------------------------------------------------------


def test_a_checkpoint_lies_at_every_rung_and_at_the_end(folder: CheckpointFolder) -> None:
    results = learn(lease(folder), ToyProblem(), None)
    at_report = [saved(folder) for _ in results]
    assert at_report == [1, 1, 3, 3, 3, 3, 3, 3, 9]


def test_a_checkpoint_is_written_before_its_results_are_reported(folder: CheckpointFolder) -> None:
    next(learn(lease(folder), ToyProblem(), None))
    latest = folder.latest()
    assert latest is not None
    assert numbers(list(latest.history())) == [1]


def test_between_rungs_a_checkpoint_is_written_when_it_is_due(folder: CheckpointFolder) -> None:
    results = learn(lease(folder, rungs=(), save_every_s=0.0), ToyProblem(), None)
    assert [saved(folder) for _ in results] == list(range(1, 10))


def test_how_often_between_rungs_is_told_in_seconds(
    folder: CheckpointFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    now_s = 0.0
    monkeypatch.setattr("search.engine.lease.time", SimpleNamespace(monotonic=lambda: now_s))
    at_report = []
    for _ in learn(lease(folder, rungs=(), save_every_s=50.0), ToyProblem(), None):
        at_report.append(saved(folder))
        now_s += 20.0
    assert at_report == [None, None, None, 4, 4, 4, 7, 7, 9]


def test_only_the_first_rank_saves(folder: CheckpointFolder) -> None:
    for _ in learn(lease(folder), ToyProblem(), None, rank=1, world_size=2):
        assert saved(folder) is None


# Going on ---------------------------------------------------------------------------------------


def test_training_goes_on_after_the_checkpoint(folder: CheckpointFolder) -> None:
    whole = train(CheckpointFolder(folder.path / "undisturbed"), 9)
    first = train(folder, 3)
    second = train(folder, 9, attempt=2, known_epochs=3)
    assert numbers(second) == [4, 5, 6, 7, 8, 9]
    assert first + second == whole
    latest = folder.latest()
    assert latest is not None
    assert list(latest.history()) == whole


def test_what_the_checkpoint_knows_and_the_study_does_not_is_reported_first(
    folder: CheckpointFolder,
) -> None:
    train(folder, 3)
    results = learn(lease(folder, attempt=2, known_epochs=1), ToyProblem(), folder.latest())
    assert numbers(list(next(results))) == [2, 3]
    assert numbers(list(next(results))) == [4]


def test_no_epoch_is_trained_before_the_backfill_was_judged(folder: CheckpointFolder) -> None:
    class Untouchable(ToyProblem):
        def learn(self, candidate: Any, context: Context) -> Any:
            raise AssertionError("trained")

    train(folder, 3)
    results = learn(lease(folder, attempt=2, known_epochs=2), Untouchable(), folder.latest())
    assert numbers(list(next(results))) == [3]
    with pytest.raises(AssertionError, match="trained"):
        next(results)


def test_a_candidate_that_was_killed_after_its_last_save_only_reports(
    folder: CheckpointFolder,
) -> None:
    train(folder, 9)
    results = learn(lease(folder, attempt=2, known_epochs=3), ToyProblem(), folder.latest())
    assert numbers(list(next(results))) == [4, 5, 6, 7, 8, 9]
    assert next(results, None) is None


def test_epochs_after_the_checkpoint_that_the_study_knows_are_trained_again(
    folder: CheckpointFolder,
) -> None:
    train(folder, 5)  # saved at epoch 3
    assert numbers(train(folder, 2, attempt=2, known_epochs=5)) == [4, 5]


def test_a_lost_checkpoint_means_from_the_beginning(folder: CheckpointFolder) -> None:
    assert numbers(train(folder, 2, attempt=2, known_epochs=3)) == [1, 2]


# What comes out ---------------------------------------------------------------------------------


def test_numbers_of_numpy_become_plain_ones_that_the_study_can_write_down(
    folder: CheckpointFolder,
) -> None:
    class InNumpy(ToyProblem):
        def learn(self, candidate: Any, context: Context) -> Any:
            for epoch in super().learn(candidate, context):
                metrics = {name: np.float32(value) for name, value in epoch.metrics.items()}
                yield type(epoch)(epoch.number, metrics, np.float32(epoch.seconds))

    (result,) = next(learn(lease(folder), InNumpy(), None))
    assert type(result.metrics["accuracy"]) is float
    assert type(result.seconds) is float


class Keeping(ToyProblem):
    """Keeps the model of one epoch from there on."""

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.kept = kept

    def learn(self, candidate: Any, context: Context) -> Any:
        for epoch in super().learn(candidate, context):
            kept = self.kept if epoch.number > 1 else 1
            yield SimpleNamespace(
                number=epoch.number,
                metrics=epoch.metrics,
                seconds=epoch.seconds,
                kept=kept,
                save=epoch.save,
            )


def test_which_epochs_model_is_kept_is_reported_and_written_down(folder: CheckpointFolder) -> None:
    reports = list(learn(lease(folder, max_epochs=3), Keeping(1), None))
    assert [report[0].kept for report in reports] == [None, 1, 1]
    latest = folder.latest()
    assert latest is not None
    assert [result.kept for result in latest.history()] == [None, 1, 1]


@pytest.mark.parametrize("kept", [0, 3])
def test_an_epoch_that_is_not_there_cannot_be_kept(folder: CheckpointFolder, kept: int) -> None:
    reports = learn(lease(folder), Keeping(kept), None)
    next(reports)
    with pytest.raises(StudyError, match=f"epoch 2 keeps the model of epoch {kept}"):
        next(reports)


def test_a_candidate_whose_code_changed_is_refused(folder: CheckpointFolder) -> None:
    changed = lease(folder, params={"size": 51, "rate": 0.01})
    with pytest.raises(StudyError, match=f"candidate {KEY} is rebuilt as "):
        next(learn(changed, ToyProblem(), None))


# The worker's cache -----------------------------------------------------------------------------


def test_a_worker_keeps_its_problem_from_lease_to_lease() -> None:
    cache = ProblemCache()
    spec = ProblemSpec(path="tests.toy:ToyProblem", arguments={"epoch_s": 0.5})
    problem = cache.get(spec)
    assert problem.epoch_s == 0.5  # type: ignore[attr-defined]
    assert cache.get(ProblemSpec.from_dict(spec.to_dict())) is problem


def test_a_worker_builds_another_problem_for_another_study() -> None:
    cache = ProblemCache()
    first = cache.get(ProblemSpec(path="tests.toy:ToyProblem"))
    other = cache.get(ProblemSpec(path="tests.toy:ToyProblem", arguments={"finite": 3}))
    assert other is not first
    assert other.finite == 3  # type: ignore[attr-defined]
