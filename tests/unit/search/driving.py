"""An executor in one process, with real checkpoints, and a storage that kills its driver."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from optuna.storages import InMemoryStorage

from search.engine.conductor import Conductor
from search.engine.decisions import Done, Verdict, Wait
from search.engine.failures import Cause, classify
from search.engine.lease import Lease, learn
from search.study.checkpoints import CheckpointFolder
from search.study.records import EpochResult
from tests.toy import ToyProblem


class Killed(BaseException):
    """The driver dies here."""


class MortalStorage(InMemoryStorage):
    """Kills its driver instead of the n-th write from now."""

    def __init__(self) -> None:
        super().__init__()
        self.writes_left = math.inf

    def create_new_trial(self, *args: Any, **options: Any) -> int:
        self._spend()
        return super().create_new_trial(*args, **options)

    def set_trial_user_attr(self, *args: Any) -> None:
        self._spend()
        super().set_trial_user_attr(*args)

    def set_study_system_attr(self, *args: Any) -> None:
        self._spend()
        super().set_study_system_attr(*args)

    def set_trial_state_values(self, *args: Any, **options: Any) -> bool:
        self._spend()
        return super().set_trial_state_values(*args, **options)

    def _spend(self) -> None:
        if self.writes_left <= 0:
            raise Killed
        self.writes_left -= 1


def carry_out(
    conductor: Conductor,
    problem: ToyProblem,
    *,
    slots: int = 2,
    steps: float = math.inf,
    loses_worker: Callable[[], bool] = lambda: False,
) -> Done | None:
    """Do in one process what an executor does, with real checkpoints.

    Returns None when it left after so many epochs.
    """
    learning: dict[int, tuple[Lease, Iterator[tuple[EpochResult, ...]]]] = {}
    while steps > 0:
        decision = conductor.next(lambda resources: len(learning) < slots)
        if isinstance(decision, Done):
            return decision
        if isinstance(decision, Lease):
            checkpoint = CheckpointFolder(decision.checkpoints).latest()
            learning[decision.number] = decision, learn(decision, problem, checkpoint)
            continue
        assert isinstance(decision, Wait)
        number = min(learning, key=lambda n: learning[n][0].attempt * 31 + n * 7 % 11)
        lease, results = learning.pop(number)
        steps -= 1
        try:
            epochs = next(results)
        except ZeroDivisionError as error:
            conductor.failed(number, lease.attempt, classify(error), str(error))
            continue
        if loses_worker():
            conductor.failed(number, lease.attempt, Cause.LOST_WORKER, "gone")
        elif conductor.report(number, lease.attempt, epochs) is Verdict.CONTINUE:
            learning[number] = lease, results
    return None
