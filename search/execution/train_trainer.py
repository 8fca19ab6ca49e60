"""Trains one candidate data-parallel under Ray Train, for retraining.

`TrainRun` starts a `TorchTrainer` (gloo on CPUs, nccl on GPUs) in a thread of whoever owns it. Rank
0 posts each epoch's results to a `Mailbox`. A group under Ray Train takes seconds to start, which
the minutes of a retraining outweigh; a search, with leases as short as an epoch, keeps warm groups
instead (search.execution.warm_group).
"""

from __future__ import annotations

import contextlib
import gc
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Train looks after its workers every 2 s by default, and notices a finished epoch loop no sooner.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")

import ray
import ray.train
import ray.train.torch
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.engine.lease import PROBLEMS, Lease, learn
from search.execution.mailbox import Mailbox, Report
from search.problem import ProblemSpec
from search.study.checkpoints import Checkpoint, CheckpointFolder


class TrainRun:
    """One attempt at one candidate on a group of workers."""

    def __init__(self, lease: Lease, spec: ProblemSpec, mailbox: Any, *, storage: Path) -> None:
        """Start training in a thread.

        Args:
            mailbox: an actor of `open_mailbox` that no other training uses.
            storage: folder on a file system that every node sees; Ray Train keeps its own state
                there, nothing of ours.
        """
        self._mailbox = mailbox
        self._error: BaseException | None = None
        resources = lease.resources
        per_worker = {"CPU": resources.cpus}
        if resources.gpus:
            per_worker["GPU"] = resources.gpus
        if resources.memory_bytes:
            per_worker["memory"] = resources.memory_bytes
        trainer = TorchTrainer(
            _train_loop,
            train_loop_config={
                "lease": lease,
                "spec": spec.to_dict(),
                "checkpoint": CheckpointFolder(lease.checkpoints).latest(),
                "mailbox": mailbox,
            },
            scaling_config=ScalingConfig(
                num_workers=resources.workers,
                use_gpu=resources.gpus > 0,
                resources_per_worker=per_worker,
            ),
            run_config=RunConfig(
                name=lease.run_name,
                storage_path=str(storage),
                # Who retrains says what failed, and goes on from the checkpoint when asked again.
                failure_config=FailureConfig(max_failures=0),
            ),
        )
        self._thread = threading.Thread(target=self._fit, args=(trainer,), daemon=True)
        self._thread.start()

    def next_report(self, interrupted: Callable[[], bool] = lambda: False) -> Report | None:
        """Wait for the next results; None when training has ended.

        Raises:
            WorkerGroupError: a worker raised or died.
            KeyboardInterrupt: `interrupted`, asked while waiting, said so.
        """
        while True:
            if interrupted():
                raise KeyboardInterrupt
            running = self._thread.is_alive()
            report = ray.get(self._mailbox.next.remote(0.5))
            if report is not None:
                return report
            if not running:
                if self._error is not None:
                    raise self._error
                return None

    def join(self) -> None:
        """Wait until the workers are gone and their resources free."""
        self._thread.join()

    def _fit(self, trainer: TorchTrainer) -> None:
        try:
            trainer.fit()
        except BaseException as error:
            self._error = error


def _train_loop(config: Mapping[str, Any]) -> None:
    """Run on every rank: learn, then let go of the models.

    A model that is trained data-parallel holds the process group, whose gloo threads abort the
    interpreter if they outlive it; and models lie in reference cycles.
    """
    try:
        _learn_together(config)
    finally:
        gc.collect()


def _learn_together(config: Mapping[str, Any]) -> None:
    """Learn to the end, report on rank 0."""
    lease: Lease = config["lease"]
    checkpoint: Checkpoint | None = config["checkpoint"]
    context = ray.train.get_context()
    rank = context.get_world_rank()
    results = learn(
        lease,
        PROBLEMS.get(ProblemSpec.from_dict(config["spec"])),
        checkpoint,
        rank=rank,
        world_size=context.get_world_size(),
        device=str(ray.train.torch.get_device()),
        threads=max(1, int(lease.resources.cpus)),
    )
    for report in results:
        if rank == 0:
            ray.get(config["mailbox"].put.remote(report))


@contextlib.contextmanager
def open_mailbox() -> Iterator[Any]:
    """A mailbox on this node for as long as the context lasts."""
    here = ray.get_runtime_context().get_node_id()
    strategy = NodeAffinitySchedulingStrategy(here, soft=False)
    actor: Any = ray.remote(Mailbox).options(num_cpus=0, scheduling_strategy=strategy).remote()
    try:
        yield actor
    finally:
        ray.kill(actor)
