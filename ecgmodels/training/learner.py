"""A model in training: one pass over an epoch's batches, validation, state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ecgmodels.errors import TrainingError
from ecgmodels.inference.prediction import autocast, predict_slice
from ecgmodels.inference.trimming import trimmed_batches
from ecgmodels.loading.batches import Batch, DeviceSegments, divided
from ecgmodels.loading.paging import Window
from ecgmodels.loading.sampling import epoch_batches, noise_seed, steps_per_epoch
from ecgmodels.metrics.scoring import scored
from ecgmodels.models.base import ModelConfig
from ecgmodels.models.network import ECGNetwork
from ecgmodels.models.registry import build_model
from ecgmodels.training.augmentation import Augmentation
from ecgmodels.training.captured import CapturedStep
from ecgmodels.training.config import TrainingConfig
from ecgmodels.training.data import TrainingData
from ecgmodels.training.distributed import Ranks, unshared_gradients
from ecgmodels.training.losses import cross_entropy, loss_for
from ecgmodels.training.optimisation import MovingAverage, adamw, learning_rate

_STEPS_BETWEEN_CHECKS = 100  # a loss is read (and a GPU waited for) this often


class Learner:
    """Everything that an epoch changes, and the means to change it."""

    def __init__(
        self,
        model_config: ModelConfig,
        config: TrainingConfig,
        train: DeviceSegments,
        *,
        rate_hz: float,
        seed: int,
        ranks: Ranks,
        device: torch.device,
        window: Window | None = None,
        batch_parts: int = 1,
    ) -> None:
        """Begin anew.

        Args:
            rate_hz: sampling rate of the segments.
            window: the order of reading for data larger than memory, the same on every rank. It
                goes with `state()`, as going on with another one would be another training.
            batch_parts: in how many parts a batch is learnt from before each step.
        """
        self.config = config
        self.train = train
        self.window = window
        self.batch_parts = batch_parts
        self.seed = seed
        self.ranks = ranks
        self.device = device
        with _seeded(seed, device):
            self.model = build_model(model_config)
        self.model.to(device)
        self.optimizer = adamw(self.model, config)
        self.average = MovingAverage(self.model, config.ema_decay) if config.ema_decay else None
        self.loss = loss_for(config, train.label, model_config.classes)
        self.augmentation = Augmentation(config=config, scale=train.scale, rate_hz=rate_hz)
        self._network = ranks.wrap(self.model, device)
        self._captured = self._capturing()

    @property
    def validated_model(self) -> ECGNetwork:
        """The moving average where there is one."""
        return self.average.model if self.average else self.model

    def train_epoch(self, epoch: int) -> dict[str, float]:
        """Train through the 1-based `epoch`; return its mean loss and last learning rate.

        Raises:
            TrainingError: a loss is not finite.
        """
        indices = self._indices(epoch)
        steps = len(indices)
        # Every rank reads its part of each window.
        read_ahead = self.window.segments // self.ranks.world_size if self.window else 0
        losses = torch.empty(steps, device=self.device)
        self._network.train()
        with (
            _seeded(noise_seed(self.seed, epoch, self.ranks.rank), self.device),
            closing(trimmed_batches(self.train, indices, read_ahead=read_ahead)) as batches,
        ):
            for step, batch in enumerate(batches):
                losses[step] = self._step(batch, (epoch - 1) * steps + step)
                if (step + 1) % _STEPS_BETWEEN_CHECKS == 0 or step + 1 == steps:
                    self._check(losses, epoch, step + 1)
        self._average_statistics()
        return {
            "train_loss": float(losses.mean()),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
        }

    def rehearsal(self) -> Callable[[], object]:
        """Return a training step on the first batch, to be timed; each call changes the model."""
        first = self._indices(1)[:1]
        self._network.train()

        def step() -> None:
            with (
                _seeded(self.seed, self.device),
                closing(trimmed_batches(self.train, first)) as batches,
            ):
                for batch in batches:
                    self._step(batch, 0)

        return step

    def _indices(self, epoch: int) -> Tensor:
        """Return which segments make this rank's part of each batch: int64 [step, segment]."""
        indices = epoch_batches(
            len(self.train),
            self.config.batch_size,
            self.config.segments_per_epoch,
            seed=self.seed,
            epoch=epoch,
            rank=self.ranks.rank,
            world_size=self.ranks.world_size,
            window=self.window,
        )
        return torch.from_numpy(indices)

    def _step(self, batch: Batch, step: int) -> Tensor:
        config = self.config
        steps = steps_per_epoch(len(self.train), config.batch_size, config.segments_per_epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(config, step, steps)
        if self._captured is not None:
            loss = self._captured(self.learn, batch)
        else:
            loss = self.learn(batch)
        if self.average:
            self.average.update(step)
        return loss

    def _capturing(self) -> CapturedStep | None:
        """Return what makes a CUDA graph of `learn`, where it can be one."""
        if self.device.type != "cuda" or self.ranks.world_size > 1:
            return None
        return CapturedStep([self.optimizer], self.device)

    def learn(self, batch: Batch) -> Tensor:
        """Learn from `batch` at the optimiser's present learning rate; return the loss."""
        self.optimizer.zero_grad()
        parts = divided(self.augmentation(batch), self.batch_parts)
        losses = []
        for part in parts:
            # Ranks tell each other their gradients once a step, with the last part's.
            with unshared_gradients(self._network, when=part is not parts[-1]):
                losses.append(self._backward(part, len(part.label) / len(batch.label)))
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        self.optimizer.step()
        return losses[0] if len(losses) == 1 else torch.stack(losses).sum()

    def _backward(self, part: Batch, share: float) -> Tensor:
        """Add the gradient of `part`, which is this `share` of a batch; return its loss."""
        with autocast(self.device):
            logits = self._network(*part.inputs)
        loss = self.loss(logits.float(), part.label)
        if share != 1:
            loss = loss * share
        loss.backward()
        return loss.detach()

    def _check(self, losses: Tensor, epoch: int, done: int) -> None:
        """Average over the ranks what came since the last check; all of them see the same."""
        recent = losses[(done - 1) // _STEPS_BETWEEN_CHECKS * _STEPS_BETWEEN_CHECKS : done]
        self.ranks.average_([recent])
        finite = recent.isfinite()
        if not finite.all():
            step = done - len(recent) + int(finite.logical_not().nonzero()[0]) + 1
            raise TrainingError(
                f"non-finite loss at epoch {epoch}, step {step}",
                hint="lower learning_rate, lengthen warmup_epochs or set gradient_clip",
            )

    def _average_statistics(self) -> None:
        """Make batch norm's running statistics equal on all ranks, as the weights are."""
        models = [self.model, self.average.model] if self.average else [self.model]
        norms = [m for model in models for m in model.modules() if isinstance(m, _BatchNorm)]
        for norm in norms:
            if norm.running_mean is not None and norm.running_var is not None:
                self.ranks.average_((norm.running_mean, norm.running_var))

    def validate(self, part: DeviceSegments, data: TrainingData) -> dict[str, float]:
        """Return the metrics of `data.validation` and validation_loss, the same on every rank.

        validation_loss is a mean over segments, whatever the metrics count.

        Args:
            part: `data.validation` on the device.

        Raises:
            TrainingError: the model's outputs are not finite.
            ConfigError: records are scored whose segments differ in their labels.
        """
        own = predict_slice(
            self.validated_model,
            part,
            self.ranks.share(len(part)),
            multi_label=part.multi_label,
        )
        probabilities = self.ranks.gather(own, len(part)).cpu().numpy()
        if not np.isfinite(probabilities).all():
            raise TrainingError(
                "non-finite outputs on the validation segments",
                hint="lower learning_rate, lengthen warmup_epochs or set gradient_clip",
            )
        labels = part.label.cpu().numpy()
        record = np.asarray(data.validation.record)
        metrics = data.metrics(*scored(labels, probabilities, record, data.score))
        metrics["validation_loss"] = cross_entropy(labels, probabilities)
        return metrics

    def state(self) -> dict[str, Any]:
        """Return what going on needs, as tensors and plain values."""
        return {
            "model": self.model.state_dict(),
            "ema": self.average.model.state_dict() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "window": self.window.to_dict() if self.window else None,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to `state()`'s result."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self._captured = self._capturing()  # what the optimiser remembers is elsewhere now
        window = state.get("window")  # checkpoints of old have none
        self.window = Window(**window) if window else None
        if self.average:
            self.average.model.load_state_dict(state["ema"])


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from `seed` inside, and leave the caller's generators as they were."""
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
