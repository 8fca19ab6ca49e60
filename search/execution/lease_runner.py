"""The Tune actor that carries out leases: one-worker ones itself, wider ones by a warm group.

This module imports little. An actor whose process takes seconds to start may lose its first trial
to one that is warm already, and Tune then drops it: with heavy imports here, a search of short
epochs would stay on one slot. What learning needs is imported by the first lease.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ray.tune import PlacementGroupFactory, Trainable

from cluster.resources import Resources
from search.engine.failures import Cause, explain
from search.engine.lease import PROBLEMS, Lease, ended_early, learn
from search.execution.start_line import StartLine
from search.execution.warm_group import LOSSES, WarmGroup
from search.problem import ProblemSpec
from search.study.checkpoints import CheckpointFolder
from search.study.records import EpochResult


class LeaseRunner(Trainable):
    """Carries out leases, one after the other: a step is an epoch.

    One-worker leases are learned in this process, which stays warm. For wider ones it keeps a group
    of others in its placement group, and reserves nothing for itself. It is only given leases that
    ask for equal resources.

    Nothing happens in `setup` and `reset_config` but noting the lease: Tune may call them for a
    trial that it then gives to another actor.
    """

    _learning: _OwnLearning | _GroupLearning | None = None
    _group: WarmGroup | None = None
    _start_line: StartLine | None = None

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> PlacementGroupFactory:
        resources: Resources = config["lease"].resources
        bundle = {"CPU": resources.cpus, "GPU": resources.gpus, "memory": resources.memory_bytes}
        if resources.workers == 1:
            return PlacementGroupFactory([bundle])
        # Nothing for this process, which only waits for its group.
        return PlacementGroupFactory([{}, *[bundle] * resources.workers])

    def setup(self, config: dict[str, Any]) -> None:
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._take(new_config)
        return True

    def _take(self, config: dict[str, Any]) -> None:
        if self._learning is not None:
            self._learning.close()
        self._start_line = config["start_line"]
        self._lease: Lease = config["lease"]
        if self._lease.resources.workers == 1:
            self._learning = _OwnLearning(config)
            return
        if self._group is None:
            self._group = WarmGroup()
        self._learning = _GroupLearning(config, self._group)

    def step(self) -> dict[str, Any]:
        try:
            assert self._learning is not None
            return {"epochs": self._learning.next_epochs()}
        except Exception as error:
            cause, message = explain(error)
            if self._group is not None and cause in LOSSES:
                # Tune drops an actor that raises, and its placement group with it.
                raise
        finally:
            if self._start_line is not None:
                self._start_line.wait(self._lease.name)
                self._start_line = None
        if cause is Cause.OUT_OF_MEMORY:
            _free_memory()  # only now: what was raised holds what was learned on
        return {"failure": (cause.value, message)}

    def cleanup(self) -> None:
        if self._learning is not None:
            self._learning.close()
        if self._group is not None:
            self._group.close()


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
    """Learning on the ranks of a warm group."""

    def __init__(self, config: Mapping[str, Any], group: WarmGroup) -> None:
        self._lease: Lease = config["lease"]
        self._spec = ProblemSpec.from_dict(config["spec"])
        self._group = group
        self._begun = False

    def next_epochs(self) -> tuple[EpochResult, ...]:
        if not self._begun:
            self._group.begin(self._lease, self._spec)
            self._begun = True
        return _required(self._group.next_epochs(), self._lease)

    def close(self) -> None:
        """Have the ranks let go of model and optimiser."""
        self._group.end()


def _free_memory() -> None:
    """Give back what lies in reference cycles, and torch's cache of the GPU's memory."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def _required(epochs: tuple[EpochResult, ...] | None, lease: Lease) -> tuple[EpochResult, ...]:
    if epochs is None:
        raise ended_early(lease)
    return epochs
