"""Carries out a conductor's decisions on Ray Tune.

Tune leases slots, the engine decides: a Tune trial is one lease. Tune's searcher asks the conductor
what to lease, Tune's scheduler passes results on and does as the verdict says. A pause is the end
of a lease after our own checkpoint; a promotion is a new lease, under another Tune trial.

One-worker leases run in Tune actors that are reused from lease to lease (a warm one starts in
milliseconds, a cold one in seconds). Wider ones run a Ray Train group each, started by a Tune actor
that reserves no CPU itself. Tune does not see that group's resources, so one ledger counts both
kinds. An idle warm actor still holds its CPU; Tune lets go of it when a trial of another shape is
waiting.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from cluster.ledger import Ledger, require_fit, slots
from cluster.resources import Capacity, Resources
from search.engine.conductor import Conductor
from search.engine.decisions import Done, Verdict
from search.engine.failures import LOST_WORKER_MESSAGE, Cause
from search.engine.lease import Lease
from search.execution.lease_runner import LeaseRunner
from search.execution.start_line import StartLine
from search.problem import ProblemSpec
from search.study.records import EpochResult

_SETTINGS = {
    # Tune's snapshots of its own state cannot be turned off; the study is the only truth.
    "TUNE_GLOBAL_CHECKPOINT_S": "1e9",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # Whoever owns the terminal decides what a Ctrl-C means.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    # Relative imports and paths of a user's own problem mean the folder the search started in.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


def run_on_tune(
    conductor: Conductor,
    spec: ProblemSpec,
    capacity: Capacity,
    *,
    folder: Path,
    interrupted: Callable[[], bool] = lambda: False,
) -> Done | None:
    """Search until the conductor says it is done.

    Args:
        spec: how workers build the problem.
        capacity: what the connected cluster offers.
        folder: for Ray's own files, on a file system that every node sees; emptied first and last.
        interrupted: asked all the time; once True, running epochs are abandoned and the search
            returns (None), to be taken up again from its study.
    """
    os.environ.update(_SETTINGS)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(max(1, slots(capacity, Resources())))
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    # A lost worker is the conductor's to report, in one line, not Tune's in thirty.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    desk = _LeaseDesk(conductor, spec, capacity, folder)
    try:
        tune.Tuner(
            LeaseRunner,
            tune_config=tune.TuneConfig(
                search_alg=_LeaseSearcher(desk),
                scheduler=_VerdictScheduler(desk),
                num_samples=-1,
                reuse_actors=True,
            ),
            run_config=tune.RunConfig(
                name="tune",
                storage_path=str(folder),
                stop=_Interruption(lambda: interrupted() or desk.error is not None),
                verbose=0,
                failure_config=tune.FailureConfig(max_failures=0),
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            ),
        ).fit()
    finally:
        desk.close()
        shutil.rmtree(folder, ignore_errors=True)
    if desk.error is not None:
        raise desk.error
    return desk.done


class _LeaseDesk:
    """The driver's side of all leases: which Tune trial carries which, and what they occupy."""

    def __init__(
        self, conductor: Conductor, spec: ProblemSpec, capacity: Capacity, folder: Path
    ) -> None:
        self.done: Done | None = None
        self.error: BaseException | None = None
        self._conductor = conductor
        self._spec = spec
        self._capacity = capacity
        self._ledger = Ledger(capacity)
        self._folder = folder
        self._leases: dict[str, Lease] = {}
        self._switchboard: Any = None
        self._start_line: StartLine | None = StartLine(folder / "start")
        """Until the first leases are all out."""

    def lease(self, trial_id: str) -> dict[str, Any] | None:
        """Return a Tune configuration that carries a new lease, or None when there is none now."""
        decision = self._conductor.next(self._fits)
        if not isinstance(decision, Lease):
            self._announce_start()
            self.done = decision if isinstance(decision, Done) else None
            return None
        self._ledger.place(trial_id, decision.resources)
        self._leases[trial_id] = decision
        wide = decision.resources.workers > 1
        if wide and self._switchboard is None:
            from search.execution.train_trainer import start_switchboard

            self._switchboard = start_switchboard()
        return {
            "lease": decision,
            "spec": self._spec.to_dict(),
            "switchboard": self._switchboard if wide else None,
            "start_line": None if wide else self._start_line,
            "storage": str(self._folder),
        }

    def _announce_start(self) -> None:
        """Nothing more fits beside the first leases: their runners are those to wait for."""
        if self._start_line is not None:
            narrow = [lease for lease in self._leases.values() if lease.resources.workers == 1]
            self._start_line.announce(len(narrow))
            self._start_line = None

    def _fits(self, resources: Resources) -> bool:
        """Say whether a trial fits now; one that never will would be waited for in vain."""
        require_fit(self._capacity, resources, "a trial")
        return self._ledger.can_place(resources)

    def report(self, trial_id: str, result: Mapping[str, Any]) -> Verdict:
        lease = self._leases[trial_id]
        if "failure" in result:
            cause, message = result["failure"]
            self._conductor.failed(lease.number, lease.attempt, Cause(cause), message)
            return Verdict.STOP
        epochs: tuple[EpochResult, ...] = result["epochs"]
        verdict = self._conductor.report(lease.number, lease.attempt, epochs)
        if lease.resources.workers > 1:
            self._switchboard.answer.remote(lease.run_name, verdict.value)
        return verdict

    def end(self, trial_id: str, *, lost: bool) -> None:
        """Take a lease back."""
        lease = self._leases.pop(trial_id, None)
        if lease is None:
            return
        self._ledger.release(trial_id)
        if lost:
            self._conductor.failed(
                lease.number, lease.attempt, Cause.LOST_WORKER, LOST_WORKER_MESSAGE
            )

    def close(self) -> None:
        if self._switchboard is not None:
            ray.kill(self._switchboard)


class _LeaseSearcher(Searcher):
    """Asks the desk for leases; an error there ends the search instead of one Tune trial."""

    def __init__(self, desk: _LeaseDesk) -> None:
        super().__init__()
        self._desk = desk

    def suggest(self, trial_id: str) -> Any:
        if self._desk.done is not None or self._desk.error is not None:
            return Searcher.FINISHED
        try:
            config = self._desk.lease(trial_id)
        except Exception as error:
            self._desk.error = error
            return Searcher.FINISHED
        return Searcher.FINISHED if self._desk.done is not None else config

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._desk.end(trial_id, lost=error)

    def save(self, checkpoint_path: str) -> None:
        """Keep nothing: the study is the only truth."""

    def restore(self, checkpoint_path: str) -> None:
        """Never called: a search is taken up from its study."""


class _VerdictScheduler(FIFOScheduler):
    """Passes results on and does as the verdict says."""

    def __init__(self, desk: _LeaseDesk) -> None:
        super().__init__()
        self._desk = desk

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        try:
            verdict = self._desk.report(trial.trial_id, result)
        except Exception as error:
            self._desk.error = error
            verdict = Verdict.STOP
        if verdict is Verdict.CONTINUE:
            return TrialScheduler.CONTINUE
        return TrialScheduler.STOP


class _Interruption(Stopper):
    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._interrupted()
