"""Carries out a conductor's decisions on Ray Tune.

Tune leases slots, the engine decides: a Tune trial is one lease. Tune's searcher asks the conductor
what to lease, Tune's scheduler passes results on and does as the verdict says. A pause is the end
of a lease after our own checkpoint; a promotion is a new lease, under another Tune trial.

Leases run in Tune actors that are reused from lease to lease (a warm one starts in milliseconds, a
cold one in seconds); that of a wide lease keeps a group of workers in its placement group. So Tune
reserves what a lease takes, and the ledger only says what is worth asking Tune for: it knows of
slots that Tune is still clearing. An idle warm actor holds its CPUs, and those of its group; Tune
lets go of it when a lease of another shape is waiting.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.schedulers import FIFOScheduler, TrialScheduler
from ray.tune.search import Searcher
from ray.tune.stopper import Stopper

from cluster.kernel_kills import memory_kills
from cluster.resources import Capacity, Resources, read_capacity
from search.engine.conductor import Conductor
from search.engine.decisions import Done, Verdict
from search.engine.failures import Cause, explain_death
from search.engine.lease import Lease
from search.execution.capacity_watch import CapacityWatch
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
    # The ledger says how many trials there are at a time, and nodes may join.
    "TUNE_MAX_PENDING_TRIALS_PG": "100000",
}


def run_on_tune(
    conductor: Conductor,
    spec: ProblemSpec,
    capacity: Capacity,
    *,
    folder: Path,
    interrupted: Callable[[], bool] = lambda: False,
    capacity_changed: Callable[[Capacity], None] = lambda capacity: None,
) -> Done | None:
    """Search until the conductor says it is done.

    Args:
        spec: how workers build the problem.
        capacity: what the connected cluster offers now.
        folder: for Ray's own files, on a file system that every node sees; emptied first and last.
        interrupted: asked all the time; once True, running epochs are abandoned and the search
            returns (None), to be taken up again from its study.
        capacity_changed: told what the cluster offers whenever nodes have joined or left.
    """
    os.environ.update(_SETTINGS)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    # A lost worker is the conductor's to report, in one line, not Tune's in thirty.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    watch = CapacityWatch(capacity, read_capacity, changed=capacity_changed)
    desk = _LeaseDesk(conductor, spec, watch, folder)
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
        shutil.rmtree(folder, ignore_errors=True)
    if desk.error is not None:
        raise desk.error
    return desk.done


class _LeaseDesk:
    """The driver's side of all leases: which Tune trial carries which, and what they occupy."""

    def __init__(
        self, conductor: Conductor, spec: ProblemSpec, watch: CapacityWatch, folder: Path
    ) -> None:
        self.done: Done | None = None
        self.error: BaseException | None = None
        self._conductor = conductor
        self._spec = spec
        self._watch = watch
        self._folder = folder
        self._leases: dict[str, Lease] = {}
        self._memory_kills: dict[str, int] = {}
        """Of this machine's kernel, when each lease was last heard of."""
        self._start_lines: dict[Resources, StartLine] | None = {}
        """Of each shape its own, until the first leases are all out."""

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune writes down searcher and scheduler, and never restores them."""
        return {}

    def lease(self, trial_id: str) -> dict[str, Any] | None:
        """Return a Tune configuration that carries a new lease, or None when there is none now."""
        decision = self._conductor.next(self._watch.fits)
        if not isinstance(decision, Lease):
            self._announce_start()
            self.done = decision if isinstance(decision, Done) else None
            return None
        self._watch.ledger.place(trial_id, decision.resources)
        self._leases[trial_id] = decision
        self._memory_kills[trial_id] = memory_kills()
        return {
            "lease": decision,
            "spec": self._spec.to_dict(),
            "start_line": self._start_line(decision.resources),
        }

    def _start_line(self, shape: Resources) -> StartLine | None:
        if self._start_lines is None:
            return None
        folder = self._folder / "start" / str(len(self._start_lines))
        return self._start_lines.setdefault(shape, StartLine(folder))

    def _announce_start(self) -> None:
        """Nothing more fits beside the first leases: their runners are those to wait for."""
        if self._start_lines is None:
            return
        runners = Counter(lease.resources for lease in self._leases.values())
        for shape, line in self._start_lines.items():
            line.announce(runners[shape])
        self._start_lines = None

    def report(self, trial_id: str, result: Mapping[str, Any]) -> Verdict:
        lease = self._leases[trial_id]
        self._memory_kills[trial_id] = memory_kills()
        if "failure" in result:
            cause, message = result["failure"]
            self._conductor.failed(lease.number, lease.attempt, Cause(cause), message)
            return Verdict.STOP
        epochs: tuple[EpochResult, ...] = result["epochs"]
        return self._conductor.report(lease.number, lease.attempt, epochs)

    def end(self, trial_id: str, *, death: str | None) -> None:
        """Take a lease back; `death` is what Ray says of its worker if that died."""
        lease = self._leases.pop(trial_id, None)
        if lease is None:
            return
        self._watch.ledger.release(trial_id)
        killed = memory_kills() - self._memory_kills.pop(trial_id)
        if death is not None:
            cause, message = explain_death(death, memory_kills=killed)
            if cause is Cause.LOST_NODE:
                self._watch.distrust()
            self._conductor.failed(lease.number, lease.attempt, cause, message)
        self._conductor.released(lease.number, lease.attempt)


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
        self._desk.end(trial_id, death="" if error else None)

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

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Hear of a death before the searcher does, which is not told what Ray says of it."""
        self._desk.end(trial.trial_id, death=_last_words(trial))


def _last_words(trial: Any) -> str:
    try:
        return Path(trial.error_file).read_text(encoding="utf-8", errors="replace")
    except (OSError, TypeError):  # none were written
        return ""


class _Interruption(Stopper):
    def __init__(self, interrupted: Callable[[], bool]) -> None:
        self._interrupted = interrupted

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune writes down how to restore itself, which is never done."""
        return {}

    def __call__(self, trial_id: str, result: dict[str, Any]) -> bool:
        return False

    def stop_all(self) -> bool:
        return self._interrupted()
