"""Several models of one architecture trained as one: a step of the stack is a step of each.

Small networks leave a GPU idle: a step is hundreds of kernels, each over before the next one is
launched. Here the models' weights lie side by side as [model, ...], and one kernel does for all of
them what it would have done for one. Each model keeps its own seed, order of segments, loss,
learning rate, decay, clipping, augmentation and moving average.

Axes: s step, k model, b segment in batch, c class.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from ecgmodels.errors import ConfigError, TrainingError
from ecgmodels.inference.prediction import autocast
from ecgmodels.inference.trimming import trimmed_batches
from ecgmodels.loading.batches import Batch
from ecgmodels.loading.sampling import epoch_batches
from ecgmodels.models.network import ECGNetwork
from ecgmodels.training.captured import CapturedStep
from ecgmodels.training.config import TrainingConfig
from ecgmodels.training.learner import Learner
from ecgmodels.training.optimisation import MovingAverage, learning_rate
from ecgmodels.training.stacked_models import Models

SHARED = ("batch_size", "segments_per_epoch")
"""Fields of the training configuration that all members of a stack must agree in, as they take
their steps together; every other may differ."""


def require_stackable(configs: Sequence[TrainingConfig]) -> None:
    """Check that these trainings can take their steps together.

    Raises:
        ConfigError: there are none, or they differ in one of `SHARED`.
    """
    if not configs:
        raise ConfigError("there is nothing to train together", hint="give at least one training")
    for name in SHARED:
        values = [getattr(config, name) for config in configs]
        for member, value in enumerate(values):
            if value != values[0]:
                raise ConfigError(
                    f"{name} must be the same in all trainings of a stack, got {values[0]!r} in "
                    f"training 0 and {value!r} in training {member}",
                    hint=f"train those of another {name} by themselves",
                )


class StackedLearner:
    """Learners whose epochs are trained together.

    A member learns what it would have learnt alone, with two reservations. Sums are in another
    order, so that last digits differ. And dropout, drop-path and augmentation are drawn for all
    members from one stream: independently for each, but not as it would have drawn alone, nor as
    it would have without the others.
    """

    def __init__(self, learners: Sequence[Learner]) -> None:
        """Take learners of one model configuration, device and training part.

        From here on their weights and statistics are rows of this stack's (until they are another
        one's), so that validating a learner, or writing it down, is as ever.

        Raises:
            ConfigError: they differ in one of `SHARED`, or read data larger than memory.
        """
        require_stackable([learner.config for learner in learners])
        if any(learner.window is not None for learner in learners):
            raise ConfigError(
                "the training segments are larger than memory, and each training of a stack reads "
                "them in an order of its own",
                hint="train one at a time",
            )
        self.learners = tuple(learners)
        self._train, self._device = learners[0].train, learners[0].device
        self._models = Models([learner.model for learner in learners])
        for learner in learners:
            if learner.average is not None:
                learner.average = _following(learner.average, learner.model)
        self._captured: CapturedStep | None = None
        if self._device.type == "cuda":
            optimizers = [learner.optimizer for learner in learners]
            self._captured = CapturedStep(optimizers, self._device)

    def train_epoch(self, epochs: Sequence[int]) -> list[dict[str, float] | TrainingError]:
        """Train each member through its own 1-based epoch.

        Returns:
            For each member what `Learner.train_epoch` would have returned, or raised: a member
            whose loss is not finite does not disturb the others.
        """
        indices_skb = np.stack(
            [
                epoch_batches(
                    len(self._train),
                    learner.config.batch_size,
                    learner.config.segments_per_epoch,
                    seed=learner.seed,
                    epoch=epoch,
                )
                for learner, epoch in zip(self.learners, epochs, strict=True)
            ],
            axis=1,
        )
        steps, models, _ = indices_skb.shape
        losses_sk = torch.empty(steps, models, device=self._device)
        self._models.train()
        order = torch.from_numpy(indices_skb.reshape(steps, -1))
        with self._noise(epochs), closing(trimmed_batches(self._train, order)) as batches:
            for step, batch in enumerate(batches):
                of_each = [(epoch - 1) * steps + step for epoch in epochs]
                losses_sk[step] = self._step(batch, of_each, steps)
        return [
            _result(learner, losses_s, epoch)
            for learner, losses_s, epoch in zip(
                self.learners, losses_sk.T.cpu(), epochs, strict=True
            )
        ]

    @contextmanager
    def _noise(self, epochs: Sequence[int]) -> Iterator[None]:
        """Draw from all members' seeds, and leave the caller's generators as they were."""
        seeds = [learner.seed for learner in self.learners]
        drawn = np.random.SeedSequence([*seeds, *epochs]).generate_state(1, np.uint64)
        with torch.random.fork_rng(devices=[self._device] if self._device.type == "cuda" else []):
            torch.manual_seed(int(drawn[0]))
            yield

    def _step(self, batch: Batch, steps: Sequence[int], steps_per_epoch: int) -> Tensor:
        """Take each member's next step, the 0-based one of `steps`; return its loss: [k]."""
        for learner, step in zip(self.learners, steps, strict=True):
            for group in learner.optimizer.param_groups:
                group["lr"] = learning_rate(learner.config, step, steps_per_epoch)
        if self._captured is not None:
            losses_k = self._captured(self.learn, batch)
        else:
            losses_k = self.learn(batch)
        for learner, step in zip(self.learners, steps, strict=True):
            if learner.average is not None:
                learner.average.update(step)
        return losses_k

    def learn(self, batch: Batch) -> Tensor:
        """Learn from the members' batches, which follow one another in `batch`; return losses [k].

        Learning rates are those that the optimisers have.
        """
        shares = [
            learner.augmentation(share)
            for learner, share in zip(
                self.learners, _divided(batch, len(self.learners)), strict=True
            )
        ]
        with autocast(self._device):
            logits_kbc = self._models(shares)
        losses_k = torch.stack(
            [
                learner.loss(logits_bc, share.label)
                for learner, logits_bc, share in zip(
                    self.learners, logits_kbc.float(), shares, strict=True
                )
            ]
        )
        # No member's weights are in another's loss, so the sum's gradients are each one's own.
        self._models.backward(losses_k.sum())
        for learner in self.learners:
            if learner.config.gradient_clip is not None:
                nn.utils.clip_grad_norm_(learner.model.parameters(), learner.config.gradient_clip)
            learner.optimizer.step()
        return losses_k.detach()


def _divided(batch: Batch, models: int) -> list[Batch]:
    """Return the models' batches, which follow one another in `batch`."""
    columns = [
        [None] * models if column is None else column.unflatten(0, (models, -1)) for column in batch
    ]
    return [Batch(*share) for share in zip(*columns, strict=True)]


def _following(average: MovingAverage, model: ECGNetwork) -> MovingAverage:
    """Return the same average, of a model whose weights have moved."""
    following = MovingAverage(model, average.decay)
    following.model.load_state_dict(average.model.state_dict())
    return following


def _result(learner: Learner, losses_s: Tensor, epoch: int) -> dict[str, float] | TrainingError:
    finite = losses_s.isfinite()
    if not finite.all():
        step = int(finite.logical_not().nonzero()[0]) + 1
        return TrainingError(
            f"non-finite loss at epoch {epoch}, step {step}",
            hint="lower learning_rate, lengthen warmup_epochs or set gradient_clip",
        )
    return {
        "train_loss": float(losses_s.mean()),
        "learning_rate": learner.optimizer.param_groups[0]["lr"],
    }
