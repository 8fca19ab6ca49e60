"""Trains one candidate data-parallel under Ray Train: wide trials of a search, and retraining.

`TrainRun` starts a `TorchTrainer` (gloo on CPUs, nccl on GPUs) in a thread of whoever owns it. Rank
0 hands each epoch's results to the `Switchboard` and waits there for the verdict, which all ranks
then follow. So training never runs past a rung whose decision is still being made, and a stop ends
the training loop itself, which is what makes Ray Train give its resources back.
"""

from __future__ import annotations

import contextlib
import gc
import os
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

# Train looks after its workers every 2 s by default, and notices a finished epoch loop no sooner.
os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.1")

import ray
import ray.train
import ray.train.torch
import torch.distributed
from ray._raylet import PlacementGroupID
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer
from ray.util.placement_group import PlacementGroup, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.engine.decisions import Verdict
from search.engine.lease import PROBLEMS, Lease, learn
from search.execution.switchboard import Report, Switchboard
from search.problem import ProblemSpec
from search.study.checkpoints import Checkpoint, CheckpointFolder


class TrainRun:
    """One attempt at one candidate on a group of workers."""

    def __init__(self, lease: Lease, spec: ProblemSpec, switchboard: Any, *, storage: Path) -> None:
        """Start training in a thread.

        Args:
            storage: folder on a file system that every node sees; Ray Train keeps its own state
                there, nothing of ours.
        """
        self.name = lease.run_name
        self._switchboard = switchboard
        self._error: BaseException | None = None
        resources = lease.resources
        # Random, so that the group can be told from all others on the cluster; see _remove_groups.
        self._memory_bytes = resources.memory_bytes + (1 << 20) + secrets.randbits(24)
        per_worker = {"CPU": resources.cpus, "memory": self._memory_bytes}
        if resources.gpus:
            per_worker["GPU"] = resources.gpus
        trainer = TorchTrainer(
            _train_loop,
            train_loop_config={
                "lease": lease,
                "spec": spec.to_dict(),
                "checkpoint": CheckpointFolder(lease.checkpoints).latest(),
                "switchboard": switchboard,
            },
            scaling_config=ScalingConfig(
                num_workers=resources.workers,
                use_gpu=resources.gpus > 0,
                resources_per_worker=per_worker,
            ),
            run_config=RunConfig(
                name=self.name,
                storage_path=str(storage),
                # Failures are classified and retried by the engine, in one place.
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
            report = ray.get(self._switchboard.next_report.remote(self.name, 0.5))
            if report is not None:
                return report
            if not running:
                if self._error is not None:
                    raise self._error
                return None

    def answer(self, verdict: Verdict) -> None:
        self._switchboard.answer.remote(self.name, verdict.value)

    def join(self, timeout_s: float | None = None) -> None:
        """Wait until the workers are gone and their resources free."""
        self._thread.join(timeout_s)
        self._switchboard.forget.remote(self.name)

    def _fit(self, trainer: TorchTrainer) -> None:
        try:
            trainer.fit()
        except BaseException as error:
            self._error = error
        finally:
            _remove_groups(self._memory_bytes)


def _remove_groups(memory_bytes: int) -> None:
    """Remove the placement groups whose bundles reserve exactly so much memory.

    When a rank dies just as training starts, Ray Train's controller gives up without removing its
    group, and the resources would be held for as long as the job lives.
    """
    for group in placement_group_table().values():
        marked = all(b.get("memory") == memory_bytes for b in group["bundles"].values())
        if marked and group["state"] != "REMOVED":
            identifier = PlacementGroupID.from_hex(group["placement_group_id"])
            remove_placement_group(PlacementGroup(identifier))


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
    """Learn, report on rank 0, follow the verdict together."""
    lease: Lease = config["lease"]
    checkpoint: Checkpoint | None = config["checkpoint"]
    context = ray.train.get_context()
    rank = context.get_world_rank()
    device = ray.train.torch.get_device()
    results = learn(
        lease,
        PROBLEMS.get(ProblemSpec.from_dict(config["spec"])),
        checkpoint,
        rank=rank,
        world_size=context.get_world_size(),
        device=str(device),
        threads=max(1, int(lease.resources.cpus)),
    )
    for report in results:
        verdict = Verdict.CONTINUE
        if rank == 0:
            answer = config["switchboard"].report.remote(lease.run_name, report)
            verdict = Verdict(ray.get(answer))
        if not _goes_on(verdict, device):
            return


def _goes_on(verdict: Verdict, device: torch.device) -> bool:
    """Let all ranks follow rank 0's verdict."""
    flag = torch.tensor([verdict is Verdict.CONTINUE], dtype=torch.int32, device=device)
    if torch.distributed.get_world_size() > 1:
        torch.distributed.broadcast(flag, src=0)
    return bool(flag.item())


@contextlib.contextmanager
def switchboard() -> Iterator[Any]:
    """A switchboard for as long as the context lasts; whoever still waits there is let go."""
    actor = start_switchboard()
    try:
        yield actor
    finally:
        ray.kill(actor)


def start_switchboard() -> Any:
    """Start the actor on this node, where the study is driven; it ends with the driver."""
    here = ray.get_runtime_context().get_node_id()
    strategy = NodeAffinitySchedulingStrategy(here, soft=False)
    actor = ray.remote(Switchboard)
    return actor.options(num_cpus=0, max_concurrency=1000, scheduling_strategy=strategy).remote()
