"""Train a model: `fit` yields one `Epoch` after another.

    for epoch in fit(model_config, training_config, data, seed=0):
        print(epoch.number, epoch.metrics["mean_f1"])
        epoch.save(checkpoint)

Pure torch: whoever iterates decides when to save, stop or go on, and nothing here knows of a
search. The same seed gives the same epochs, also when training was interrupted and resumed (bit for
bit on a CPU with an equal number of threads).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ecgmodels.errors import ConfigError, TrainingError
from ecgmodels.loading.batches import DeviceSegments, Segments, to_device
from ecgmodels.loading.gathering import HostSignal
from ecgmodels.loading.paging import Window, read_window, usable_memory_bytes
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.network import ECGNetwork
from ecgmodels.models.registry import resolve
from ecgmodels.training.checkpoint import (
    PastEpoch,
    read_checkpoint,
    require_identity,
    write_checkpoint,
)
from ecgmodels.training.config import TrainingConfig
from ecgmodels.training.data import TrainingData
from ecgmodels.training.distributed import Ranks
from ecgmodels.training.learner import Learner

__all__ = ["Epoch", "TrainingData", "fit"]


@dataclass(frozen=True, kw_only=True)
class Epoch(PastEpoch):
    """An epoch just finished; training waits until the next one is asked for.

    `metrics` are `ecgmodels.metrics.classification.metrics_of` the
    validation part, and validation_loss, train_loss and learning_rate.
    """

    _training: _Training = field(repr=False, compare=False)

    @property
    def model(self) -> ECGNetwork:
        """The model as it was validated; it changes when the next epoch is asked for."""
        return self._training.at(self.number).validated_model

    def save(self, path: Path) -> None:
        """Write a checkpoint that `fit(checkpoint=path)` goes on from, atomically.

        Raises:
            TrainingError: the next epoch was already asked for.
        """
        learner = self._training.at(self.number)
        write_checkpoint(
            path,
            {
                "identity": self._training.identity,
                "model_config": learner.model.config.to_dict(),
                "history": [asdict(past) for past in self._training.history],
                **learner.state(),
            },
        )


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
    threads: int | None = None,
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
        threads: CPU threads for torch (a setting of the process), or None to leave them.

    Raises:
        ConfigError: model, data and options do not fit together.
        TrainingError: the checkpoint is of another training, or a loss is not finite.
    """
    data.require_fit(model_config)
    where = _usable(device)
    if threads is not None:
        torch.set_num_threads(threads)
    training = _Training(
        model_config,
        training_config,
        data,
        seed=seed,
        ranks=Ranks(rank=rank, world_size=world_size),
        device=where,
    )
    if checkpoint is not None and checkpoint.exists():
        training.resume(checkpoint)
    return training.epochs(min(max_epochs or training_config.epochs, training_config.epochs))


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


class _Training:
    """A learner, its data and its past."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainingConfig,
        data: TrainingData,
        *,
        seed: int,
        ranks: Ranks,
        device: torch.device,
    ) -> None:
        def move(segments: Segments) -> DeviceSegments:
            return to_device(
                segments,
                data.normalisation,
                names=data.features,
                wanted=model_config.features,
                device=device,
            )

        self._data = data
        self._validation = move(data.validation)
        self._validation_record = np.asarray(data.validation.record)
        self._learner = Learner(
            model_config,
            config,
            move(data.train),
            seed=seed,
            ranks=ranks,
            device=device,
            window=_window(data.train, ranks, device),
        )
        self._ranks = ranks
        self._device = device
        self._current: int | None = None
        self.history: list[PastEpoch] = []
        self.identity: dict[str, Any] = {
            "seed": seed,
            "train_segments": len(data.train.label),
            "model": {"family": model_config.model, **resolve(model_config).to_dict()},
            "training": config.to_dict(),
        }

    def resume(self, checkpoint: Path) -> None:
        state = read_checkpoint(checkpoint)
        require_identity(checkpoint, state["identity"], self.identity)
        self._learner.load_state(state)
        self.history = [PastEpoch(**epoch) for epoch in state["history"]]

    def epochs(self, last: int) -> Iterator[Epoch]:
        self._ranks.require_equal(len(self.history), "the epoch they go on from", self._device)
        for number in range(len(self.history) + 1, last + 1):
            self._current = None
            begin = time.perf_counter()
            training = self._learner.train_epoch(number)
            validation = self._learner.validate(
                self._validation,
                self._data.classes,
                self._data.scored_classes,
                record=self._validation_record,
                score=self._data.score,
            )
            epoch = Epoch(
                number=number,
                metrics={**validation, **training},
                seconds=time.perf_counter() - begin,
                _training=self,
            )
            self.history.append(
                PastEpoch(number=number, metrics=epoch.metrics, seconds=epoch.seconds)
            )
            self._current = number
            yield epoch

    def at(self, number: int) -> Learner:
        """Return the learner, as long as it stands where that epoch left it."""
        if number != self._current:
            raise TrainingError(
                f"epoch {number} is gone: training went on after it",
                hint="save an epoch, or use its model, before asking for the next one",
            )
        return self._learner


def _window(train: Segments, ranks: Ranks, device: torch.device) -> Window | None:
    """Return the order of reading, which ranks on machines of different memory agree on."""
    signal = HostSignal(train.signal_uv)
    segment_bytes = 2 * signal.segment_samples
    window = read_window(len(signal), segment_bytes, usable_memory_bytes())
    if not ranks.any(window is not None, device):
        return None
    return window or read_window(len(signal), segment_bytes, 0)
