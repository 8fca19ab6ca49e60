"""Train a model: `fit` yields one `Epoch` after another.

    for epoch in fit(model_config, training_config, data, seed=0):
        print(epoch.number, epoch.metrics["mean_f1"])
        epoch.save(checkpoint)

Pure torch: whoever iterates decides when to save, stop or go on, and nothing here knows of a
search. The same seed gives the same epochs, also when training was interrupted and resumed (bit for
bit on a CPU with an equal number of threads).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import torch

from ecgmodels.errors import ConfigError, TrainingError
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.network import ECGNetwork
from ecgmodels.training.checkpoint import PastEpoch, write_checkpoint
from ecgmodels.training.config import TrainingConfig
from ecgmodels.training.data import TrainingData
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.early_stop import require_measured
from ecgmodels.training.run import Run
from ecgmodels.training.threads import allowed_cpus, require_threads

__all__ = ["Epoch", "TrainingData", "fit"]


@dataclass(frozen=True, kw_only=True)
class Epoch(PastEpoch):
    """An epoch just finished; training waits until the next one is asked for.

    `metrics` are `ecgmodels.metrics.classification.metrics_of` the validation part, and
    validation_loss, train_loss and learning_rate. After an epoch that is `final` none follows.
    """

    _course: _Course = field(repr=False, compare=False)

    @property
    def model(self) -> ECGNetwork:
        """The model as it was validated; it changes when the next epoch is asked for."""
        return self._course.at(self.number).model

    @property
    def best_model(self) -> ECGNetwork:
        """The model to keep: with early stop, the best epoch's so far, else `model`."""
        return self._course.at(self.number).best_model

    @property
    def kept(self) -> int:
        """Number of the epoch that `best_model` is of."""
        return self._course.at(self.number).kept

    @property
    def threads(self) -> int:
        """CPU threads that the epoch computed with."""
        return self._course.at(self.number).threads_used

    def save(self, path: Path) -> None:
        """Write a checkpoint that `fit(checkpoint=path)` goes on from, atomically.

        Raises:
            TrainingError: the next epoch was already asked for.
        """
        write_checkpoint(path, self._course.at(self.number).state())


def fit(
    model_config: ModelConfig,
    training_config: TrainingConfig,
    data: TrainingData,
    *,
    seed: int,
    max_epochs: int | None = None,
    checkpoint: Path | None = None,
    rank: int = 0,
    world_size: int = 1,
    device: str | torch.device = "cpu",
    threads: int | Literal["measure"] | None = None,
    threads_limit: int | None = None,
    batch_parts: int = 1,
) -> Iterator[Epoch]:
    """Train, yielding every epoch as it ends.

    The learning rate follows `training_config.epochs` wherever `max_epochs` stops, so a trial can
    be stopped at a rung and taken up later as if it had never paused.

    Args:
        seed: of the initial weights, the order of segments, dropout and augmentation.
        max_epochs: number of the last epoch to run; by default the schedule's end.
        checkpoint: go on after this file's epoch if it exists (on every rank); nothing is yielded
            if that was the last one.
        rank, world_size: with more than one, the default process group must have been started;
            every rank runs the same epochs and yields the same metrics. Save on one.
        device: where data and model live; arithmetic is bfloat16 on a GPU.
        threads: CPU threads that torch computes an epoch with; the process's setting is as it was
            whenever an epoch is yielded. None takes that setting. "measure" times a few steps (in
            all about a second, or six steps where one is longer) and takes the number that is
            fastest; it is part of the checkpoint, so that a resumed training has the same. On an
            accelerator, where the CPU does little, the limit is taken.
        threads_limit: the largest number that is tried; by default as many as the process may use.
        batch_parts: in how many parts a rank learns from its share of a batch, one after the
            other, before it steps. 2 takes about half the memory, for the same gradient but for
            what layers make of a batch: batch norm's statistics are each part's own, and dropout
            is drawn in another order. It may change when training goes on from a checkpoint.

    Raises:
        ConfigError: model, data and options do not fit together, or one is out of range.
        TrainingError: the checkpoint is of another training, or a loss is not finite.
    """
    if max_epochs is not None and max_epochs < 1:
        raise ConfigError(
            f"max_epochs must be at least 1, or None, got {max_epochs}", hint="change max_epochs"
        )
    if batch_parts < 1:
        raise ConfigError(
            f"batch_parts must be at least 1, got {batch_parts}", hint="change batch_parts"
        )
    require_threads(threads, threads_limit)
    data.require_fit(model_config)
    training_config.require_fit(leads=model_config.leads, rate_hz=data.rate_hz)
    require_measured(training_config, data.metric_names)
    where = _usable(device)
    run = Run(
        model_config,
        training_config,
        data,
        seed=seed,
        ranks=Ranks(rank=rank, world_size=world_size),
        device=where,
        batch_parts=batch_parts,
    )
    if checkpoint is not None and checkpoint.exists():
        run.resume(checkpoint)
    if threads != "measure":
        run.threads = threads
    course = _Course(run, threads_limit or allowed_cpus() if threads == "measure" else None)
    return course.epochs(min(max_epochs or training_config.epochs, training_config.epochs))


class _Course:
    """The epochs of a run, of which the last one yielded can be looked at."""

    def __init__(self, run: Run, measured_up_to: int | None) -> None:
        self._run = run
        self._measured_up_to = measured_up_to
        self._current: int | None = None

    def epochs(self, last: int) -> Iterator[Epoch]:
        run = self._run
        run.require_equal_past()
        if self._measured_up_to is not None and not run.ends_by(last):
            run.choose_threads(self._measured_up_to)
        while not run.ends_by(last):
            self._current = None
            past = run.advance()
            self._current = past.number
            yield Epoch(**asdict(past), _course=self)

    def at(self, number: int) -> Run:
        """Return the run, as long as it stands where that epoch left it."""
        if number != self._current:
            raise TrainingError(
                f"epoch {number} is gone: training went on after it",
                hint="save an epoch, or use its model, before asking for the next one",
            )
        return self._run


def _usable(device: str | torch.device) -> torch.device:
    """Return the device with its index.

    Raises:
        ConfigError: it is unknown, or this machine has none.
    """
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"device '{device}' cannot be used: {str(error).splitlines()[0]}",
            hint="use 'cpu', or a torch built for this machine's GPU",
        ) from error
