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
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ray
from ray import tune
from ray.tune import PlacementGroupFactory, Trainable
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from cluster.ledger import Ledger, require_fit, slots
from cluster.resources import Capacity, Resources
from search.checkpoints import CheckpointFolder
from search.conductor import Conductor
from search.engine import Done, Verdict, Wait
from search.failures import LOST_WORKER_MESSAGE, Cause
from search.lease import PROBLEMS, Lease, ended_early, learn
from search.problem import ProblemSpec
from search.records import EpochResult
from search.train_trainer import TrainRun, classify_train_error, run_name, start_switchboard

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
_DRIVER_MEMORY_BYTES = 1 << 20
"""What a wide trial's Tune actor reserves: something, as Tune demands, but no CPU, since drivers
that hold CPUs keep their own workers waiting for ever."""


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

    def lease(self, trial_id: str) -> dict[str, Any] | None:
        """Return a Tune configuration that carries a new lease, or None when there is none now."""
        decision = self._conductor.next(self._fits)
        if isinstance(decision, Wait):
            return None
        if isinstance(decision, Done):
            self.done = decision
            return None
        self._ledger.place(trial_id, decision.resources)
        self._leases[trial_id] = decision
        wide = decision.resources.workers > 1
        if wide and self._switchboard is None:
            self._switchboard = start_switchboard()
        return {
            "lease": decision,
            "spec": self._spec.to_dict(),
            "switchboard": self._switchboard if wide else None,
            "storage": str(self._folder),
        }

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
            self._switchboard.answer.remote(run_name(lease), verdict.value)
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


class LeaseRunner(Trainable):
    """Carries out leases, one after the other, in one warm process: a step is an epoch.

    Nothing happens in `setup` and `reset_config` but noting the lease: Tune may call them for a
    trial that it then gives to another actor.
    """

    _learning: _OwnLearning | _GroupLearning | None = None

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        resources: Resources = config["lease"].resources
        if resources.workers > 1:
            return PlacementGroupFactory([{"memory": _DRIVER_MEMORY_BYTES}])
        bundle = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory_bytes}
        return PlacementGroupFactory([{name: value for name, value in bundle.items() if value}])

    def setup(self, config: dict[str, Any]) -> None:
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._take(new_config)
        return True

    def _take(self, config: dict[str, Any]) -> None:
        if self._learning is not None:
            self._learning.close()
        wide = config["switchboard"] is not None
        self._learning = _GroupLearning(config) if wide else _OwnLearning(config)

    def step(self) -> dict[str, Any]:
        try:
            assert self._learning is not None
            return {"epochs": self._learning.next_epochs()}
        except Exception as error:
            cause, message = classify_train_error(error)
            return {"failure": (cause.value, message)}

    def cleanup(self) -> None:
        if self._learning is not None:
            self._learning.close()


class _OwnLearning:
    """One-worker learning, in this process."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._lease: Lease = config["lease"]
        self._spec = ProblemSpec.from_dict(config["spec"])
        self._results: Iterator[tuple[EpochResult, ...]] | None = None

    def next_epochs(self) -> tuple[EpochResult, ...]:
        if self._results is None:
            resources = self._lease.resources
            self._results = learn(
                self._lease,
                PROBLEMS.get(self._spec),
                CheckpointFolder(self._lease.checkpoints).latest(),
                device="cuda" if resources.gpus else "cpu",
                threads=max(1, int(resources.cpus)),
            )
        return _required(next(self._results, None), self._lease)

    def close(self) -> None:
        """Let go of model and optimiser."""
        self._results = None


class _GroupLearning:
    """Learning on a group of workers that Ray Train starts for this lease."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._run: TrainRun | None = None

    def next_epochs(self) -> tuple[EpochResult, ...]:
        if self._run is None:
            self._run = TrainRun(
                self._config["lease"],
                ProblemSpec.from_dict(self._config["spec"]),
                self._config["switchboard"],
                storage=Path(self._config["storage"]) / "train",
            )
        return _required(self._run.next_report(), self._config["lease"])

    def close(self) -> None:
        """Wait until the group's resources are free; its verdict has reached it already."""
        if self._run is not None:
            self._run.join()


def _required(epochs: tuple[EpochResult, ...] | None, lease: Lease) -> tuple[EpochResult, ...]:
    if epochs is None:
        raise ended_early(lease)
    return epochs
