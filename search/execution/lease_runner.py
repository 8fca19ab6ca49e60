"""The Tune actor that carries out leases: one-worker ones itself, wider ones by a Ray Train group.

This module imports little. An actor whose process takes seconds to start may lose its first trial
to one that is warm already, and Tune then drops it: with heavy imports here, a search of short
epochs would stay on one slot. What learning needs is imported by the first lease.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray.tune import PlacementGroupFactory, Trainable

from cluster.resources import Resources
from search.engine.failures import explain
from search.engine.lease import PROBLEMS, Lease, ended_early, learn
from search.execution.start_line import StartLine
from search.problem import ProblemSpec
from search.study.checkpoints import CheckpointFolder
from search.study.records import EpochResult

if TYPE_CHECKING:
    from search.execution.train_trainer import TrainRun

_DRIVER_MEMORY_BYTES = 1 << 20
"""What a wide trial's Tune actor reserves: something, as Tune demands, but no CPU, since drivers
that hold CPUs keep their own workers waiting for ever."""


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
            cause, message = explain(error)
            return {"failure": (cause.value, message)}

    def cleanup(self) -> None:
        if self._learning is not None:
            self._learning.close()


class _OwnLearning:
    """One-worker learning, in this process."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._lease: Lease = config["lease"]
        self._spec = ProblemSpec.from_dict(config["spec"])
        self._start_line: StartLine | None = config["start_line"]
        self._results: Iterator[tuple[EpochResult, ...]] | None = None

    def next_epochs(self) -> tuple[EpochResult, ...]:
        try:
            return self._learn_epoch()
        finally:
            if self._start_line is not None:
                self._start_line.wait(self._lease.name)
                self._start_line = None

    def _learn_epoch(self) -> tuple[EpochResult, ...]:
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
            from search.execution.train_trainer import TrainRun

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
